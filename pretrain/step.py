"""One optimizer step, and one pass over the held-out rows.

The loss of a step is (sum of MLM losses / masked positions) + (sum of order losses / ordered pieces), both over the
whole global batch. The two counts are agreed on over the data ranks before the forward pass, so every layout and every
split into micro-batches gives the same loss, whatever rows fall where.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from megatron.core import parallel_state
from megatron.core.distributed import DistributedDataParallel
from megatron.core.optimizer import MegatronOptimizer
from megatron.core.pipeline_parallel import get_forward_backward_func

from launch.errors import NotemillError
from pretrain.data.batch import Batch
from pretrain.model.loss import masked_token_losses


@dataclass(frozen=True)
class StepResult:
    """What one optimizer step gave, over the whole global batch."""

    mlm_loss: float
    sop_loss: float
    grad_norm: float
    real_tokens: int

    @property
    def loss(self) -> float:
        return self.mlm_loss + self.sop_loss


@dataclass(frozen=True)
class Validation:
    """Mean losses and accuracies over the held-out rows."""

    mlm_loss: float
    mlm_accuracy: float
    sop_loss: float
    sop_accuracy: float

    @property
    def loss(self) -> float:
        return self.mlm_loss + self.sop_loss


def train_step(
    models: list[DistributedDataParallel],
    optimizer: MegatronOptimizer,
    batches: Sequence[Batch],
    device: torch.device,
    step: int,
) -> StepResult:
    """Forward, backward and update over this rank's micro-batches; NotemillError for a loss that is not finite."""
    masked, ordered, real_tokens = _sum_over_data_ranks(
        [
            sum(batch.masked_positions.numel() for batch in batches),
            sum(batch.sequence_starts.numel() for batch in batches),
            sum(batch.num_real_tokens for batch in batches),
        ],
        device,
    )
    for model in models:
        model.zero_grad_buffer()
    optimizer.zero_grad()
    # Megatron divides by the number of micro-batches and averages over the data ranks; this undoes both.
    scale = len(batches) * parallel_state.get_data_parallel_world_size()
    weights = (scale / max(masked, 1), scale / max(ordered, 1))
    outputs = _run_pipeline(models, batches, partial(_training_loss, weights=weights), device, forward_only=False)
    mlm_sum, sop_sum = _sum_over_world(outputs, width=2, device=device)
    mlm_loss, sop_loss = mlm_sum / max(masked, 1), sop_sum / max(ordered, 1)
    # Every rank sees the same sums, so all stop together, and before the update.
    if not math.isfinite(mlm_loss + sop_loss):
        raise NotemillError(
            f"the loss of step {step} is {mlm_loss + sop_loss}, not finite; the last checkpoint is untouched: "
            "lower train.lr or use train.precision=fp32 and resume."
        )
    _, grad_norm, _ = optimizer.step()
    # The norm is over all ranks, so here too all stop together, and before anything is saved.
    if not math.isfinite(grad_norm):
        raise NotemillError(
            f"the gradient norm of step {step} is {grad_norm}, not finite; the last checkpoint is untouched: lower "
            "train.lr or use train.precision=fp32 and resume."
        )
    return StepResult(mlm_loss, sop_loss, float(grad_norm), real_tokens)


@torch.no_grad()
def validate(models: list[DistributedDataParallel], batches: Sequence[Batch], device: torch.device) -> Validation:
    """Score held-out rows; every data rank passes its own share, and all get the same result."""
    for model in models:
        model.eval()
    outputs = _run_pipeline(models, batches, _validation_sums, device, forward_only=True) if batches else []
    for model in models:
        model.train()
    mlm_sum, masked, mlm_correct, sop_sum, ordered, sop_correct = _sum_over_world(outputs, width=6, device=device)
    return Validation(
        mlm_loss=mlm_sum / max(masked, 1),
        mlm_accuracy=mlm_correct / max(masked, 1),
        sop_loss=sop_sum / max(ordered, 1),
        sop_accuracy=sop_correct / max(ordered, 1),
    )


def _run_pipeline(
    models: list[DistributedDataParallel],
    batches: Sequence[Batch],
    loss_function: Any,
    device: torch.device,
    *,
    forward_only: bool,
) -> list[torch.Tensor]:
    """Drive megatron-core's schedule; gives the loss function's sums by micro-batch, empty but on the last stage."""

    def forward_step(batches: Iterator[Batch], model: torch.nn.Module) -> tuple[Any, Any]:
        batch = next(batches).to(device)
        return model(batch), partial(loss_function, batch)

    interleaved = len(models) > 1
    reports = get_forward_backward_func()(
        forward_step_func=forward_step,
        data_iterator=[iter(batches) for _ in models] if interleaved else iter(batches),
        model=models if interleaved else models[0],
        num_microbatches=len(batches),
        # Rows are packed one after another, so a micro-batch is one sequence to the pipeline.
        seq_length=batches[0].input_ids.numel(),
        micro_batch_size=1,
        forward_only=forward_only,
    )
    return [report["sums"] for report in reports]


def _token_losses(batch: Batch, logits_M1V: torch.Tensor, order_logits_P2: torch.Tensor) -> tuple[Any, Any]:
    mlm_M = masked_token_losses(logits_M1V[:, 0], batch.masked_labels)
    return mlm_M, F.cross_entropy(order_logits_P2.float(), batch.sop_labels, reduction="sum")


def _training_loss(
    batch: Batch, output: tuple[torch.Tensor, torch.Tensor], weights: tuple[float, float]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    mlm_M, sop_sum = _token_losses(batch, *output)
    mlm_sum = mlm_M.sum()
    loss = mlm_sum * weights[0] + sop_sum * weights[1]
    return loss, {"sums": torch.stack([mlm_sum, sop_sum]).detach()}


def _validation_sums(
    batch: Batch, output: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    mlm_M, sop_sum = _token_losses(batch, *output)
    predicted_M = _vocab_parallel_argmax(output[0][:, 0])
    sums = [
        mlm_M.sum(),
        torch.tensor(float(len(mlm_M))),
        (predicted_M == batch.masked_labels).sum(),
        sop_sum,
        torch.tensor(float(len(batch.sop_labels))),
        (output[1].argmax(dim=1) == batch.sop_labels).sum(),
    ]
    return mlm_M.sum(), {"sums": torch.stack([value.to(mlm_M) for value in sums])}


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


def _sum_over_data_ranks(counts: list[int], device: torch.device) -> list[int]:
    total = torch.tensor(counts, dtype=torch.int64, device=device)
    dist.all_reduce(total, group=parallel_state.get_data_parallel_group())
    return total.tolist()


def _sum_over_world(sums: list[torch.Tensor], width: int, device: torch.device) -> list[float]:
    """Add the last stage's sums over micro-batches and data ranks; each tensor rank holds the same, so one counts."""
    total = torch.zeros(width, dtype=torch.float64, device=device)
    if sums and parallel_state.get_tensor_model_parallel_rank() == 0:
        total += torch.stack(sums).double().sum(dim=0).to(device)
    dist.all_reduce(total)
    return total.tolist()
