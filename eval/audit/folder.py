"""Where an audit writes: a folder of its own, or one that holds its own results already."""

import re
from pathlib import Path

from data_pipeline.files import make_own_folder
from eval.audit.findings import AUDIT_FILE, Kind, read_audit
from launch.errors import NotemillError


def audit_folder(out: Path, kind: Kind, *names: str) -> Path:
    """`out`, made private, for the result of `kind` and for `names` beside it.

    Raises NotemillError, and changes nothing, where it holds anything else or the result of another audit.
    """
    if (out / AUDIT_FILE).is_file() and (there := read_audit(out).kind) != kind:
        raise NotemillError(f"{out} holds the result of {there}, not of {kind}; name another folder with --out.")
    ours = re.compile("|".join(map(re.escape, (AUDIT_FILE, *names))))
    return make_own_folder(out, ours, f"result of {kind}")
