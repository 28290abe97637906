"""Losses of a batch, and their sums over micro-batches and ranks.

The loss of a step is (sum of MLM losses / masked positions) + (sum of order losses / ordered pieces), both over the
whole global batch. The two counts are agreed on over the data ranks before the forward pass, so every layout and every
split into micro-batches gives the same loss, whatever rows fall where.

Shapes: M masked positions, V this tensor rank's share of the vocabulary, P pieces that have a sentence order.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from megatron.core import parallel_state

from pretrain.data.batch import Batch
from pretrain.model.loss import masked_token_losses

VALIDATION_SUMS = 6
"""MLM loss, masked positions, right pieces, order loss, ordered pieces, right orders."""


@dataclass(frozen=True)
class Counts:
    """What a step's rows hold over all data ranks."""

    masked: int
    ordered: int
    real_tokens: int


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
class Validation:
    """Sums over held-out rows, and their means."""

    mlm_sum: float
    masked: float
    mlm_correct: float
    sop_sum: float
    ordered: float
    sop_correct: float

    def __add__(self, other: "Validation") -> "Validation":
        return Validation(
            self.mlm_sum + other.mlm_sum,
            self.masked + other.masked,
            self.mlm_correct + other.mlm_correct,
            self.sop_sum + other.sop_sum,
            self.ordered + other.ordered,
            self.sop_correct + other.sop_correct,
        )

    @property
    def loss(self) -> float | None:
        if self.mlm_loss is None or self.sop_loss is None:
            return self.mlm_loss if self.sop_loss is None else self.sop_loss
        return self.mlm_loss + self.sop_loss

    @property
    def mlm_loss(self) -> float | None:
        """Nats a masked token; None, as all of these, where nothing was scored."""
        return _mean(self.mlm_sum, self.masked)

    @property
    def mlm_accuracy(self) -> float | None:
        return _mean(self.mlm_correct, self.masked)

    @property
    def sop_loss(self) -> float | None:
        """Nats a piece with a sentence order."""
        return _mean(self.sop_sum, self.ordered)

    @property
    def sop_accuracy(self) -> float | None:
        return _mean(self.sop_correct, self.ordered)


def _mean(total: float, count: float) -> float | None:
    return total / count if count else None


def count_over_data_ranks(batches: Sequence[Batch], device: torch.device) -> Counts:
    """Masked positions, ordered pieces and real tokens of the global batch."""
    counts = [
        sum(batch.masked_positions.numel() for batch in batches),
        sum(batch.sequence_starts.numel() for batch in batches),
        sum(batch.num_real_tokens for batch in batches),
    ]
    total = torch.tensor(counts, dtype=torch.int64, device=device)
    dist.all_reduce(total, group=parallel_state.get_data_parallel_group())
    return Counts(*total.tolist())


def training_loss(
    batch: Batch, output: tuple[torch.Tensor, torch.Tensor], weights: tuple[float, float]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The weighted loss to differentiate, and [MLM sum, order sum] to report."""
    mlm_M, sop_P = _losses(batch, *output)
    mlm_sum, sop_sum = mlm_M.sum(), sop_P.sum()
    return mlm_sum * weights[0] + sop_sum * weights[1], torch.stack([mlm_sum, sop_sum]).detach()


def validation_sums(batch: Batch, output: tuple[torch.Tensor, torch.Tensor], num_sources: int) -> torch.Tensor:
    """[num_sources, VALIDATION_SUMS] of this micro-batch."""
    mlm_M, sop_P = _losses(batch, *output)
    right_M = _vocab_parallel_argmax(output[0][:, 0]) == batch.masked_labels
    right_P = output[1].argmax(dim=1) == batch.sop_labels
    assert batch.masked_sources is not None and batch.order_sources is not None, "held-out rows say their sources"
    sums = mlm_M.new_zeros(num_sources, VALIDATION_SUMS)
    of_tokens = torch.stack([mlm_M, torch.ones_like(mlm_M), right_M.to(mlm_M)], dim=1)
    of_pieces = torch.stack([sop_P, torch.ones_like(sop_P), right_P.to(sop_P)], dim=1)
    sums[:, :3].index_add_(0, batch.masked_sources, of_tokens)
    sums[:, 3:].index_add_(0, batch.order_sources, of_pieces)
    return sums


def mean_losses(sums: Sequence[torch.Tensor], counts: Counts, device: torch.device) -> StepLosses:
    """The step's losses from what `training_loss` reports of each micro-batch."""
    mlm_sum, sop_sum = _sum_over_world(sums, (2,), device).tolist()
    return StepLosses(mlm_sum / max(counts.masked, 1), sop_sum / max(counts.ordered, 1), counts.real_tokens)


def validations(sums: Sequence[torch.Tensor], num_sources: int, device: torch.device) -> list[Validation]:
    """By source, from what `validation_sums` gives of each micro-batch."""
    return [
        Validation(*of_source) for of_source in _sum_over_world(sums, (num_sources, VALIDATION_SUMS), device).tolist()
    ]


def _sum_over_world(sums: Sequence[torch.Tensor], shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Add the last stage's sums over micro-batches and data ranks; each tensor rank holds the same, so one counts."""
    total = torch.zeros(shape, dtype=torch.float64, device=device)
    if sums and parallel_state.get_tensor_model_parallel_rank() == 0:
        total += torch.stack(list(sums)).double().sum(dim=0).to(device)
    dist.all_reduce(total)
    return total.cpu()


def _losses(batch: Batch, logits_M1V: torch.Tensor, order_logits_P2: torch.Tensor) -> tuple[Any, Any]:
    mlm_M = masked_token_losses(logits_M1V[:, 0], batch.masked_labels)
    return mlm_M, F.cross_entropy(order_logits_P2.float(), batch.sop_labels, reduction="none")


def _vocab_parallel_argmax(logits_MV: torch.Tensor) -> torch.Tensor:
    """The best id over the whole vocabulary, of which each tensor rank holds a slice. Shape [M]."""
    group = parallel_state.get_tensor_model_parallel_group()
    best_M, index_M = logits_MV.float().max(dim=1)
    index_M = index_M + logits_MV.shape[1] * dist.get_rank(group)
    best = [torch.empty_like(best_M) for _ in range(dist.get_world_size(group))]
    indices = [torch.empty_like(index_M) for _ in best]
    dist.all_gather(best, best_M.contiguous(), group=group)
    dist.all_gather(indices, index_M.contiguous(), group=group)
    winner_1M = torch.stack(best).argmax(dim=0, keepdim=True)
    return torch.stack(indices).gather(0, winner_1M)[0]
