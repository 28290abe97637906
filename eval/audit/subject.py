"""What an audit says of the model that it looked at."""

from pathlib import Path
from typing import Any

from eval.finetune.model_config import model_hashes
from launch.poisoned import is_stamped


def model_subject(folder: Path, name: str) -> dict[str, Any]:
    """Name and hashes, and `poisoned` where the model is stamped. Raises NotemillError where there is no model."""
    subject: dict[str, Any] = {"model": name, "files": model_hashes(folder)}
    if is_stamped(folder):
        subject["poisoned"] = True
    return subject
