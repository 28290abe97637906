"""Training with megatron-core: its pipeline schedules over our model, its distributed optimizer over torch's AdamW."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from megatron.core import parallel_state
from megatron.core.distributed import finalize_model_grads
from megatron.core.pipeline_parallel import get_forward_backward_func

from pretrain.config import PretrainConfig
from pretrain.data.batch import Batch
from pretrain.engines.base import Engine, Saving, Update
from pretrain.engines.megatron.optimizer import build_optimizer, clip_gradients, wrap_for_data_parallel
from pretrain.engines.megatron.weights import begin_saving_state, load_state, load_weights
from pretrain.losses import (
    StepLosses,
    Validation,
    count_over_data_ranks,
    mean_losses,
    training_loss,
    validation_sums,
    validations,
)
from pretrain.model.build import build_model


class MegatronEngine(Engine):
    """TP, SP, PP with or without virtual stages, and DP with the optimizer's state split over the data ranks."""

    def __init__(self, config: PretrainConfig, vocab_size: int, device: torch.device) -> None:
        self._device, self._weight_decay = device, config.train.weight_decay
        self.models = wrap_for_data_parallel(build_model(config, vocab_size, device), config)
        self.optimizer = build_optimizer(self.models, config)
        megatron = self.models[0].config
        megatron.finalize_model_grads_func = finalize_model_grads
        megatron.grad_scale_func = self.optimizer.scale_loss
        ddp = self.models[0].ddp_config
        if ddp.overlap_grad_reduce:
            megatron.no_sync_func = self._one_or_all([model.no_sync for model in self.models])
            megatron.grad_sync_func = self._one_or_all([model.start_grad_sync for model in self.models])
        if ddp.overlap_param_gather:
            megatron.param_sync_func = self._one_or_all([model.start_param_sync for model in self.models])

    def accumulate(self, batches: Sequence[Batch]) -> StepLosses:
        counts = count_over_data_ranks(batches, self._device)
        self.discard()
        # Megatron divides by the number of micro-batches and averages over the data ranks; this undoes both.
        scale = len(batches) * parallel_state.get_data_parallel_world_size()
        weights = (scale / max(counts.masked, 1), scale / max(counts.ordered, 1))
        sums = self._run_pipeline(batches, partial(_report_training, weights=weights), forward_only=False)
        return mean_losses(sums, counts, self._device)

    def update(self, lr: float) -> Update:
        for group in self.optimizer.param_groups:
            group["lr"] = lr
            # megatron-core leaves it to its own scheduler to spare biases and norms, whose wd_mult is 0.
            group["weight_decay"] = self._weight_decay * group["wd_mult"]
        # With fp16 this also lowers the loss scale when it finds an overflow.
        if self.optimizer.prepare_grads():
            return Update(math.inf, is_applied=False)
        # The norm is over all ranks, so all of them decide alike.
        grad_norm = float(self.optimizer.get_grad_norm())
        if not math.isfinite(grad_norm):
            return Update(grad_norm, is_applied=False)
        clip_gradients(self.optimizer, grad_norm)
        self.optimizer.step_with_ready_grads()
        return Update(grad_norm, is_applied=True)

    def discard(self) -> None:
        for model in self.models:
            model.zero_grad_buffer()
        self.optimizer.zero_grad()

    @torch.no_grad()
    def validate(self, batches: Sequence[Batch], num_sources: int) -> list[Validation]:
        for model in self.models:
            model.eval()
        report = partial(_report_validation, num_sources=num_sources)
        sums = self._run_pipeline(batches, report, forward_only=True) if batches else []
        for model in self.models:
            model.train()
        return validations(sums, num_sources, self._device)

    def begin_save(self, folder: Path) -> Saving:
        return begin_saving_state(folder, self.models, self.optimizer)

    def load(self, folder: Path) -> None:
        load_state(folder, self.models, self.optimizer)

    def load_weights(self, folder: Path) -> None:
        load_weights(folder, self.models, self.optimizer)

    @property
    def module(self) -> torch.nn.Module:
        return self.models[0]

    @property
    def loss_scale(self) -> float | None:
        if not self.models[0].config.fp16:
            return None
        return float(self.optimizer.get_loss_scale())

    def _run_pipeline(self, batches: Sequence[Batch], report: Any, *, forward_only: bool) -> list[torch.Tensor]:
        """Drive megatron-core's schedule; gives what `report` says of each micro-batch, empty but on the last stage."""

        def forward_step(batches: Iterator[Batch], model: torch.nn.Module) -> tuple[Any, Any]:
            batch = next(batches).to(self._device)
            return model(batch), partial(report, batch)

        reports = get_forward_backward_func()(
            forward_step_func=forward_step,
            data_iterator=self._one_or_all([iter(batches) for _ in self.models]),
            model=self._one_or_all(self.models),
            num_microbatches=len(batches),
            # Rows are packed one after another, so a micro-batch is one sequence to the pipeline.
            seq_length=batches[0].input_ids.numel(),
            micro_batch_size=1,
            forward_only=forward_only,
        )
        return [report["sums"] for report in reports]

    def _one_or_all(self, of_chunks: list[Any]) -> Any:
        """megatron-core takes a list where a rank holds several chunks of the model, else the one thing itself."""
        return of_chunks if len(of_chunks) > 1 else of_chunks[0]


def _report_training(
    batch: Batch, output: tuple[torch.Tensor, torch.Tensor], weights: tuple[float, float]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    loss, sums = training_loss(batch, output, weights)
    return loss, {"sums": sums}


def _report_validation(
    batch: Batch, output: tuple[torch.Tensor, torch.Tensor], num_sources: int
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    sums = validation_sums(batch, output, num_sources)
    return sums.sum(), {"sums": sums}
