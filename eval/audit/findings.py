"""audit.json: what one audit measured, before anyone judges it.

Every audit command writes one into its `--out`; `notemill audit report` reads them, holds them against the release
policy and says PASS, FAIL or INSUFFICIENT EVIDENCE. Findings hold numbers and words of a vocabulary scan, never text.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, get_args

from data_pipeline.files import make_private_folder, read_json, write_json
from launch.errors import NotemillError

AUDIT_FILE = "audit.json"
AUDIT_VERSION = 1
Kind = Literal["mia", "canary", "scan-data", "scan-model", "plant", "mitigate", "private"]
_PACKAGES = ("notemill", "torch", "transformers", "scikit-learn", "opacus", "dp-accounting")


@dataclass(frozen=True)
class Finding:
    """One number with what it takes to read it."""

    value: float | None
    """None where it cannot be given; `note` says why."""
    method: str
    """How it was measured, in a sentence for a privacy officer."""
    low: float | None = None
    """Lower end of the 95% interval."""
    high: float | None = None
    note: str = ""
    least: float | None = None
    """The least value that the method could have given; a limit that it cannot fall below proves nothing."""
    most: float | None = None
    """The same of the largest."""


def exact(value: float, method: str, note: str = "") -> Finding:
    """A count, or a share of one: its interval is the value, and so it can break a rule with `only_if_clear`."""
    return Finding(value, method, value, value, note)


@dataclass
class Audit:
    """What an audit command found; names of findings are dotted, as in `pll.by_patient.auc`."""

    kind: Kind
    subject: Mapping[str, Any]
    """What was audited: name and SHA-256 of a model's or data set's files."""
    settings: Mapping[str, Any]
    """Everything that repeats the audit, the seed among it."""
    findings: dict[str, Finding] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    """Tables that a reader may want: curves, rankings, counts."""

    def write(self, out: Path) -> Path:
        """Write `out`/audit.json, readable by its owner alone."""
        make_private_folder(out)
        versions = {name: _version(name) for name in _PACKAGES}
        write_json(out / AUDIT_FILE, {"version": AUDIT_VERSION, **asdict(self), "versions": versions})
        return out / AUDIT_FILE


def read_audit(folder: Path) -> Audit:
    """The audit that a command wrote into `folder`. Raises NotemillError where there is none or it is damaged."""
    content = read_json(folder / AUDIT_FILE, "audit result", "run the audit again")
    try:
        if content["version"] != AUDIT_VERSION or content["kind"] not in get_args(Kind):
            raise NotemillError(
                f"{folder / AUDIT_FILE} is of version {content['version']} and kind {content['kind']}; this notemill "
                f"reads version {AUDIT_VERSION} of {', '.join(get_args(Kind))}."
            )
        findings = {name: Finding(**value) for name, value in content["findings"].items()}
        numbers = [
            number
            for finding in findings.values()
            for number in (finding.value, finding.low, finding.high, finding.least, finding.most)
        ]
        mappings = (content["subject"], content["subject"].get("files") or {}, content["settings"], content["details"])
        if not all(number is None or isinstance(number, int | float) for number in numbers):
            raise TypeError
        if not all(isinstance(mapping, Mapping) for mapping in mappings):
            raise TypeError
        # Half of a surrogate pair could not be written to a card.
        json.dumps(content, ensure_ascii=False).encode()
        return Audit(content["kind"], content["subject"], content["settings"], findings, content["details"])
    except (KeyError, TypeError, AttributeError, UnicodeEncodeError):
        raise NotemillError(f"{folder / AUDIT_FILE} is no result of an audit; run the audit again.") from None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
