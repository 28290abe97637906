"""Training with DeepSpeed: ZeRO over the data ranks, megatron-core's modules over the tensor ranks."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from megatron.core import parallel_state

from pretrain.config import PretrainConfig
from pretrain.data.batch import Batch
from pretrain.engines.base import Engine, Saving, Update
from pretrain.engines.deepspeed.library import import_deepspeed
from pretrain.engines.deepspeed.mpu import ModelParallelUnit
from pretrain.engines.deepspeed.optimizer import (
    build_adamw,
    create_state,
    forget_gradients,
    own_parts,
    publish_masters,
    set_updates,
    updates_of,
)
from pretrain.engines.deepspeed.settings import deepspeed_settings
from pretrain.engines.deepspeed.weights import SharedShape, WritingState, load_state, load_weights
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
from pretrain.parallel.distributed import overlaps

_LOSS_SCALER_STATE = ("cur_scale", "cur_iter", "last_overflow_iter", "cur_hysteresis")


class DeepSpeedEngine(Engine):
    """TP, SP and DP, with optimizer state (ZeRO-1), gradients (2) and parameters (3) split over the data ranks."""

    def __init__(self, config: PretrainConfig, vocab_size: int, device: torch.device) -> None:
        deepspeed = import_deepspeed()
        self._device, self._vocab_size = device, vocab_size
        self._in_fp32 = replace(config, train=replace(config.train, precision="fp32"))
        (chunk,) = build_model(config, vocab_size, device)
        self.parameters = dict(chunk.named_parameters())
        tensor_size = parallel_state.get_tensor_model_parallel_world_size()
        self._shapes = {name: SharedShape.of(parameter, tensor_size) for name, parameter in self.parameters.items()}
        if config.parallel.sequence:
            _sum_sequence_parallel_gradients(chunk)
        self._engine, self.optimizer, _, _ = deepspeed.initialize(
            model=chunk,
            optimizer=build_adamw(chunk, config.train),
            mpu=ModelParallelUnit(),
            config=deepspeed_settings(config, overlap=overlaps(config), pin_memory=device.type == "cuda"),
            dist_init_required=False,
        )
        create_state(self.optimizer)
        self.parts = own_parts(self.optimizer, self.parameters)
        self._is_fp16 = config.train.precision == "fp16"
        if self._is_fp16:
            self.optimizer.loss_scaler.cur_scale = config.train.initial_loss_scale
            self.optimizer.loss_scaler.raise_error_at_min_scale = False

    def accumulate(self, batches: Sequence[Batch]) -> StepLosses:
        counts = count_over_data_ranks(batches, self._device)
        self.discard()
        # DeepSpeed averages over the data ranks; this undoes it.
        scale = parallel_state.get_data_parallel_world_size()
        weights = (scale / max(counts.masked, 1), scale / max(counts.ordered, 1))
        sums = []
        for number, batch in enumerate(batches, start=1):
            self._engine.set_gradient_accumulation_boundary(number == len(batches))
            on_device = batch.to(self._device)
            loss, sums_of_batch = training_loss(on_device, self._engine(on_device), weights)
            self._engine.backward(loss, scale_wrt_gas=False)
            sums.append(sums_of_batch)
        return mean_losses(sums, counts, self._device)

    def update(self, lr: float) -> Update:
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        # Gradients that are not finite are thrown away there, on all ranks alike; with fp16 the loss scale falls.
        self._engine.step()
        if not self._engine.was_step_applied():
            return Update(math.inf, is_applied=False)
        return Update(float(self._engine.get_global_grad_norm()), is_applied=True)

    def discard(self) -> None:
        forget_gradients(self.optimizer)

    @torch.no_grad()
    def validate(self, batches: Sequence[Batch], num_sources: int) -> list[Validation]:
        self._engine.eval()
        sums = []
        for batch in batches:
            on_device = batch.to(self._device)
            sums.append(validation_sums(on_device, self._engine(on_device), num_sources))
        self._engine.train()
        return validations(sums, num_sources, self._device)

    def begin_save(self, folder: Path) -> Saving:
        scaler = self.optimizer.loss_scaler if self._is_fp16 else None
        return WritingState(
            folder,
            self.parts,
            self._shapes,
            updates=updates_of(self.optimizer),
            loss_scaler=None if scaler is None else {key: getattr(scaler, key) for key in _LOSS_SCALER_STATE},
        )

    def load(self, folder: Path) -> None:
        saved = load_state(folder, self.parts, self._shapes)
        set_updates(self.optimizer, saved.updates)
        publish_masters(self.optimizer)
        if self._is_fp16 and saved.loss_scaler is not None:
            for key in _LOSS_SCALER_STATE:
                setattr(self.optimizer.loss_scaler, key, saved.loss_scaler[key])

    def load_weights(self, folder: Path) -> None:
        load_weights(folder, self.parts, build_model(self._in_fp32, self._vocab_size, torch.device("cpu"))[0])
        set_updates(self.optimizer, 0)
        publish_masters(self.optimizer)

    @property
    def module(self) -> torch.nn.Module:
        return self._engine.module

    @property
    def loss_scale(self) -> float | None:
        return float(self.optimizer.loss_scale) if self._is_fp16 else None


def _sum_sequence_parallel_gradients(chunk: torch.nn.Module) -> None:
    """Under SP each tensor rank sees a part of the sequence, and its gradients of norms and biases are of that part.

    megatron-core adds them up in `finalize_model_grads`, DeepSpeed does not: they would be too small, silently.
    """
    group = parallel_state.get_tensor_model_parallel_group()

    def sum_over_tensor_ranks(gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.float()
        if total is gradient:
            total = total.clone()
        dist.all_reduce(total, group=group)
        return total.to(gradient.dtype)

    for parameter in chunk.parameters():
        if getattr(parameter, "sequence_parallel", False):
            parameter.register_hook(sum_over_tensor_ranks)
