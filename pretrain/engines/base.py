"""What the training loop asks of an engine, and what it gets back.

A step has two halves, so that the loop can look at the losses before they change anything:

    losses = engine.accumulate(batches)            forward and backward; gradients wait
    update = engine.update(lr)                     clip and apply them, or
             engine.discard()                      throw them away

All ranks call the same methods in the same order and get the same numbers.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pretrain.data.batch import Batch
from pretrain.losses import Validation


@dataclass(frozen=True)
class StepLosses:
    """Mean losses over the whole global batch, in nats."""

    mlm_loss: float
    sop_loss: float
    real_tokens: int
    """Tokens of the global batch that are no padding."""

    @property
    def loss(self) -> float:
        return self.mlm_loss + self.sop_loss

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.loss)


@dataclass(frozen=True)
class Update:
    """What became of the gradients."""

    grad_norm: float
    """Global L2 norm before clipping; not finite when they were."""
    is_applied: bool
    """False when they were not finite: parameters, masters and moments are as before. With fp16 the loss scale is
    lower then."""


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
    def save(self, folder: Path) -> None:
        """Write weights and optimizer state of all ranks into a folder that exists and is empty."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Read what `save` of this engine wrote, on any number of ranks in any layout. Raises NotemillError when it
        is damaged or of another model."""

    @abstractmethod
    def load_weights(self, folder: Path) -> None:
        """Begin from the fp32 weights of an import, which has no optimizer state; masters take them as they are."""

    @property
    @abstractmethod
    def loss_scale(self) -> float | None:
        """What fp16 losses are multiplied with at present; None for other precisions."""
