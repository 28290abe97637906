"""Which code runs, for records: the commit of the checkout, or what the container's image was built from."""

import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


def code_revision() -> str | None:
    """The commit, with `+changes` where files differ from it; None where nothing is known."""
    git = ["git", "-C", str(CHECKOUT)]
    try:
        revision = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
        changes = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        image = CHECKOUT / "REVISION"
        return image.read_text(encoding="utf-8").strip() or None if image.is_file() else None
    return revision.strip() + ("+changes" if changes.strip() else "")
