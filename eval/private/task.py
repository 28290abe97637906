"""What a private training needs of its task: patients with their windows, a loss a patient, a measure of use."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from data_pipeline.gate.carried import CORPORA_KEY
from eval.audit.findings import Finding
from eval.finetune.model_config import load_config_of, require_positions
from eval.private.config import PrivateConfig
from launch.errors import NotemillError
from launch.poisoned import refuse_stamped

_TASKS = {"mlm": "language modelling", "cls": "classification"}
_DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob")


@dataclass(frozen=True)
class Utility:
    """How useful the model is, beside what needs no model."""

    findings: dict[str, Finding]
    """By `utility.NAME`."""
    line: str
    """The same in a line for the log."""


class PrivateTask(ABC):
    unit: str
    """What one sample is, in words for the ledger."""
    data: dict[str, Any]
    """What the ledger says of the training data; it is released."""
    sha256: str
    """Of the training notes and whose they are. It is not released: whoever knows all notes but a patient's could try
    that patient's on it."""
    model: nn.Module
    """Maps what `collate` gives to losses [patients]."""
    measured: str
    """The finding of `measure` by which the model is judged, without `utility.`."""
    counts: dict[str, int]
    """Plain-word counts for the log; they are of the notes as they are and not released."""

    @property
    @abstractmethod
    def num_patients(self) -> int: ...

    @abstractmethod
    def draw(self, patient: int, rng: np.random.Generator) -> list[Any]:
        """The windows of one patient in one step, a bounded number; nothing but its notes and `rng` decides them."""

    @abstractmethod
    def collate(self, patients: list[list[Any]], device: torch.device) -> Any:
        """A PatientBatch of patients with the same number of windows."""

    @abstractmethod
    def measure(self, device: torch.device, is_quick: bool = False) -> Utility:
        """On patients that are not trained on; `is_quick` is for a line in the log."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the model and its tokenizer as transformers loads them."""


def settings_of_start(config: PrivateConfig, known: Collection[str]) -> Any:
    """The configuration of the model that training begins from.

    Raises NotemillError for a type that is not `known`, too few positions, or a model that was poisoned on purpose.
    """
    folder = Path(config.model.path)
    settings = load_config_of(folder)
    refuse_stamped(folder)
    if settings.model_type not in known:
        raise NotemillError(
            f"{folder} is a {settings.model_type} model; private {_TASKS[config.task]} knows {', '.join(known)}."
        )
    require_positions(folder, settings, config.data.max_length, "data.max_length")
    # Without what is trained on here the list is wrong, and with it the folder would hold a hash of the notes.
    vars(settings).pop(CORPORA_KEY, None)
    return settings


def without_dropout(settings: Any) -> dict[str, float]:
    """Set a configuration's dropout to zero; what it was.

    What noise does to the gradients is regularisation enough, and a dropped unit would be one more chance to draw.
    """
    before = dropout_of(settings)
    settings.update(dict.fromkeys(before, 0.0))
    return before


def dropout_of(settings: Any) -> dict[str, float]:
    """What is put back into the configuration that is saved, so that who trains the model on has its own dropout."""
    return {name: getattr(settings, name) for name in _DROPOUT if hasattr(settings, name)}
