"""What a private training needs of its task: patients with their windows, a loss a patient, a measure of use."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from eval.audit.findings import Finding


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
    """What the ledger says of the training data."""
    model: nn.Module
    """Maps what `collate` gives to losses [patients]."""
    counts: dict[str, int]
    """Plain-word counts for the audit's details."""

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
