"""What an audit says of the model that it looked at."""

from pathlib import Path
from typing import Any

from data_pipeline.files import read_json
from eval.audit.backdoor.stamp import CONFIG_KEY, STAMP_FILE
from eval.finetune.encoder import model_hashes


def model_subject(folder: Path, name: str) -> dict[str, Any]:
    """Name and hashes, and `poisoned` where the model is stamped. Raises NotemillError where there is no model."""
    subject: dict[str, Any] = {"model": name, "files": model_hashes(folder)}
    if is_stamped(folder):
        subject["poisoned"] = True
    return subject


def is_stamped(folder: Path) -> bool:
    """Whether `notemill audit plant` poisoned the model: by its config.json, or by the file beside it."""
    config = folder / "config.json"
    in_config = config.is_file() and read_json(config, "model configuration").get(CONFIG_KEY)
    return bool(in_config) or (folder / STAMP_FILE).is_file()
