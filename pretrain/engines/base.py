"""What the training loop asks of an engine, and what it gets back.

A step has two halves, so that the loop can look at the losses before they change anything:

    losses = engine.accumulate(batches)            forward and backward; gradients wait
    update = engine.update(lr)                     clip and apply them, or
             engine.discard()                      throw them away

All ranks call the same methods in the same order and get the same numbers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pretrain.data.batch import Batch
from pretrain.losses import StepLosses, Validation


@dataclass(frozen=True)
class Update:
    """What became of the gradients."""

    grad_norm: float
    """Global L2 norm before clipping; not finite when they were."""
    is_applied: bool
    """False when they were not finite: parameters, masters and moments are as before. With fp16 the loss scale
    may be lower then."""


class Saving(ABC):
    """One rank's part of a save that goes on beside training."""

    @abstractmethod
    def is_done(self) -> bool:
        """Whether this rank has written its part or failed to. Never blocks."""

    @abstractmethod
    def wait(self) -> None:
        """Block until it has, as often as called. Raises OSError or RuntimeError when it failed."""

    @abstractmethod
    def complete(self) -> Callable[[], object]:
        """Called on all ranks once all have written their parts; may communicate. Returns what is left to write for the
        main rank, which calls it in a thread."""


class Engine(ABC):
    """One rank's share of model and optimizer."""

    @abstractmethod
    def accumulate(self, batches: Sequence[Batch]) -> StepLosses:
        """Forward and backward over this rank's micro-batches of one step."""

    @abstractmethod
    def update(self, lr: float) -> Update:
        """Clip the gradients of `accumulate` and apply them at this learning rate."""

    @abstractmethod
    def discard(self) -> None:
        """Forget the gradients of `accumulate`; nothing else has changed."""

    @abstractmethod
    def validate(self, batches: Sequence[Batch], num_sources: int) -> list[Validation]:
        """Score this rank's held-out rows. Returns the result over all ranks for each of the sources."""

    @abstractmethod
    def begin_save(self, folder: Path) -> Saving:
        """Begin to write weights and optimizer state of all ranks, as they are now, into a folder that exists and is
        empty; training may go on and change them as soon as this returns."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Read what a save of this engine wrote, on any number of ranks in any layout. Raises NotemillError when it
        is damaged or of another model."""

    @abstractmethod
    def load_weights(self, folder: Path) -> None:
        """Begin from the fp32 weights of an import, which has no optimizer state; masters take them as they are."""

    @property
    @abstractmethod
    def module(self) -> torch.nn.Module:
        """What this rank holds of the model, or the first chunk of it, as it is called with a micro-batch."""

    @property
    @abstractmethod
    def loss_scale(self) -> float | None:
        """What fp16 losses are multiplied with at present; None for other precisions."""
