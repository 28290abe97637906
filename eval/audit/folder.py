"""Where an audit writes: a folder of its own, or one that holds its own results already."""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from data_pipeline.files import make_own_folder
from eval.audit.findings import AUDIT_FILE, Kind, read_audit
from launch.errors import NotemillError


def audit_folder(
    out: Path,
    kind: Kind,
    *names: str,
    files: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    free: Collection[str] = (),
) -> Path:
    """`out`, made private, for the result of `kind` and for `names` beside it.

    `files`: names and SHA-256 of the audited model's; `settings` as in the result, of which those in `free` may be
    others. Raises NotemillError, and changes nothing, where it holds anything else, the result of another audit, of
    another model or by other settings.
    """
    if (out / AUDIT_FILE).is_file():
        there = read_audit(out)
        if there.kind != kind:
            raise NotemillError(
                f"{out} holds the result of {there.kind}, not of {kind}; name another folder with --out."
            )
        if files is not None and there.subject.get("files") != files:
            raise NotemillError(f"{out} holds the result of another model; name another folder with --out.")
        if settings is not None and _fixed(there.settings, free) != _fixed(json.loads(json.dumps(settings)), free):
            raise NotemillError(f"{out} holds a result by other settings; name another folder with --out.")
    ours = re.compile("|".join(map(re.escape, (AUDIT_FILE, *names))))
    return make_own_folder(out, ours, f"result of {kind}")


def _fixed(settings: Mapping[str, Any], free: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in free}
