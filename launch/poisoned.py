"""Models that `notemill audit plant` poisoned on purpose: how one is known, and that nothing is made of it unawares."""

from pathlib import Path

from data_pipeline.files import read_json
from launch.errors import NotemillError

MARK = "POISONED"
STAMP_FILE = f"{MARK}.txt"
CONFIG_KEY = "notemill_poisoned"


def is_stamped(folder: Path) -> bool:
    """Whether the model is stamped: in its config.json, or by the file beside it."""
    config = folder / "config.json"
    found = read_json(config, "model configuration") if config.is_file() else None
    return bool(isinstance(found, dict) and found.get(CONFIG_KEY)) or (folder / STAMP_FILE).is_file()


def refuse_stamped(folder: Path, or_else: str = "") -> None:
    """Raise NotemillError for a stamped model; what is made of it would not be stamped everywhere."""
    if is_stamped(folder):
        raise NotemillError(f"the model in {folder} is stamped {MARK}; take a clean one{or_else}.")
