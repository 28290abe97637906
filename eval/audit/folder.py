"""Where an audit writes: a folder of its own, or one that holds its own results already."""

import contextlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from data_pipeline.files import make_own_folder, only_writer
from eval.audit.findings import AUDIT_FILE, Kind, read_audit
from launch.errors import NotemillError


@contextlib.contextmanager
def audit_folder(
    out: Path,
    kind: Kind,
    *names: str,
    files: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    free: Collection[str] = (),
) -> Iterator[None]:
    """Hold `out`, made private, for the result of `kind` and for `names` beside it, against any other process.

    `files`: names and SHA-256 of the audited model's; `settings` as in the result, of which those in `free` may be
    others. Raises NotemillError, and changes nothing, where it is held, or holds anything else, the result of another
    audit, of another model or by other settings.
    """
    ours = re.compile("|".join(map(re.escape, (AUDIT_FILE, *names))))
    _require_same(out, kind, files, settings, free)
    with only_writer(make_own_folder(out, ours, f"result of {kind}")):
        # Another process may have written one since.
        _require_same(out, kind, files, settings, free)
        yield


def _require_same(
    out: Path,
    kind: Kind,
    files: Mapping[str, str] | None,
    settings: Mapping[str, Any] | None,
    free: Collection[str],
) -> None:
    if not (out / AUDIT_FILE).is_file():
        return
    there = read_audit(out)
    if there.kind != kind:
        raise NotemillError(f"{out} holds the result of {there.kind}, not of {kind}; name another folder with --out.")
    if files is not None and there.subject.get("files") != files:
        raise NotemillError(f"{out} holds the result of another model; name another folder with --out.")
    if settings is not None and _fixed(there.settings, free) != _fixed(json.loads(json.dumps(settings)), free):
        raise NotemillError(f"{out} holds a result by other settings; name another folder with --out.")


def _fixed(settings: Mapping[str, Any], free: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in free}
