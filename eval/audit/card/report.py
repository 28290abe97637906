"""`report.html` and `report.json`: one card that a privacy officer can read, from the folders of several audits."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_pipeline.files import read_json, sha256_file, write_json, write_text
from eval.audit.findings import Audit, read_audit
from eval.audit.policy import DEFAULT_POLICY, left_out, load_policy
from eval.audit.split import DIVIDED_ANEW
from eval.audit.table import written
from eval.audit.verdict import FAIL, PASS, Judged, judge_all
from launch.errors import NotemillError
from launch.page import house_style, page_environment

_SETTING_LETTERS = 200
_OF_ANOTHER_MODEL = ("plant", "mitigate")
_WEIGHTS = (".safetensors", ".bin")
_TITLES = {
    "mia": "Can training patients be recognised?",
    "canary": "Are planted sentences remembered?",
    "scan-data": "Does the fine-tuning data look poisoned?",
    "scan-model": "Does the model hide a trigger word?",
    "plant": "Red team: a planted backdoor",
    "mitigate": "Repair: pruning and clean fine-tuning",
    "private": "Was it trained with differential privacy?",
}
_ANSWERS = {
    PASS: "Every number that was measured lies within the limits of the release policy. That is evidence for these "
    "attacks on these notes; it is no proof that no other attack would succeed.",
    FAIL: "At least one number lies beyond the release policy's limits.",
}
_UNDECIDED = (
    "What was measured does not allow a verdict: a required number is missing, its interval is too wide, or the "
    "comparison itself is not sound. It is neither a pass nor a fail; mend what the reasons name and audit again."
)


def write_card(folders: Sequence[Path], out: Path, policy_file: Path | None = None) -> str:
    """Write `out` (HTML) and the same facts beside it as JSON; the verdict.

    Raises NotemillError when a folder holds no audit, the audits speak of different models, or private training names
    no weights.
    """
    _require_free(out)
    audits = [read_audit(folder) for folder in folders]
    _require_one_model(audits, folders)
    policy_file = policy_file or DEFAULT_POLICY
    policy = load_policy(policy_file)
    verdict, reasons, judged = judge_all(audits, policy)
    facts = {
        "version": 1,
        "verdict": verdict,
        "reasons": reasons,
        "date": datetime.now(UTC).date().isoformat(),
        "policy": {
            "file": policy_file.name,
            "sha256": sha256_file(policy_file),
            "required": policy.required,
            "left_out": left_out(policy, {audit.kind for audit in audits}),
        },
        "audits": [_facts(one, folder) for one, folder in zip(judged, folders, strict=True)],
    }
    write_json(out.with_suffix(".json"), facts)
    environment = page_environment(Path(__file__).parent)
    environment.filters["written"] = written
    environment.filters["setting"] = _setting
    page = environment.get_template("page.html").render(
        style=house_style(Path(__file__).parent / "page.css"),
        facts=facts,
        judged=judged,
        titles=_TITLES,
        divided_anew=DIVIDED_ANEW,
        answer=_ANSWERS.get(verdict, _UNDECIDED),
        model=_model_of(audits),
    )
    write_text(out, page)
    return verdict


def _setting(value: Any) -> str:
    """In a table's cell; hashes in full stand in the JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SETTING_LETTERS else f"{text[:_SETTING_LETTERS]}…"


def _require_free(out: Path) -> None:
    """Raise NotemillError where `out` or the JSON beside it would go over anything but a card of before."""
    if out.is_dir():
        raise NotemillError(f"{out} is a folder; name the HTML file, as in {out / 'report.html'}.")
    if out.suffix.lower() != ".html":
        raise NotemillError(f"{out} does not end in .html; a JSON file of the same name is written beside it.")
    if not out.parent.is_dir():
        raise NotemillError(f"there is no folder {out.parent} for the card; make it first.")
    beside = out.with_suffix(".json")
    if out.exists() or beside.exists():
        there = read_json(beside, "facts of a card", "name another --out") if beside.exists() else None
        if not isinstance(there, dict) or not {"verdict", "policy", "audits"} <= set(there):
            raise NotemillError(f"{beside if beside.exists() else out} is there and is no card's; name another --out.")


def _facts(one: Judged, folder: Path) -> dict[str, Any]:
    return {
        "kind": one.audit.kind,
        "folder": str(folder),
        "verdict": one.verdict,
        "reasons": one.reasons,
        "checks": [asdict(check) for check in one.checks],
        "subject": dict(one.audit.subject),
        "settings": dict(one.audit.settings),
        "findings": {name: asdict(finding) for name, finding in one.audit.findings.items()},
        "details": one.audit.details,
    }


def _model_of(audits: Sequence[Audit]) -> dict[str, str]:
    for audit in audits:
        # Repairs and red teams speak of the model before; a card is of the one that the other audits looked at.
        weights = {} if audit.kind in _OF_ANOTHER_MODEL else _weights(audit)
        if weights:
            return {"path": str(audit.subject.get("model", "")), "sha256": next(iter(weights.values()))}
    return {}


def _require_one_model(audits: Sequence[Audit], folders: Sequence[Path]) -> None:
    known: tuple[dict[str, str], Path] | None = None
    for audit, folder in zip(audits, folders, strict=True):
        weights = _weights(audit)
        if audit.kind == "private" and not weights:
            raise NotemillError(
                f"{folder} names no weights, so nothing says that its epsilon is this model's; train it again."
            )
        if not weights or audit.kind in _OF_ANOTHER_MODEL:
            continue
        if known is not None and weights != known[0]:
            raise NotemillError(
                f"{folder} and {known[1]} audited different weights; a card speaks of one model, so make one for each."
            )
        known = known or (weights, folder)


def _weights(audit: Audit) -> dict[str, str]:
    files = audit.subject.get("files") or {}
    return {name: digest for name, digest in files.items() if name.endswith(_WEIGHTS)}
