"""megatron-core's distributed optimizer over torch's fused AdamW: masters and moments are split over the data ranks."""

from typing import Any

import torch
from megatron.core import optimizer as megatron_optimizer
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig
from megatron.core.optimizer import MegatronOptimizer, OptimizerConfig, get_megatron_optimizer
from megatron.core.optimizer import distrib_optimizer as megatron_distrib_optimizer
from megatron.core.optimizer.clip_grads import clip_grad_by_total_norm_fp32
from megatron.core.optimizer.distrib_optimizer import DistributedOptimizer

from pretrain.config import PretrainConfig
from pretrain.model.bert import MegatronBert
from pretrain.model.build import DTYPES
from pretrain.parallel.distributed import overlaps


def wrap_for_data_parallel(chunks: list[MegatronBert], config: PretrainConfig) -> list[DistributedDataParallel]:
    """Gradient buffers, their fp32 reduction and the sharding that the distributed optimizer expects."""
    from pretrain.model.half_precision import HalfPrecisionModule

    ddp = DistributedDataParallelConfig(
        grad_reduce_in_fp32=True,
        use_distributed_optimizer=True,
        overlap_grad_reduce=overlaps(config),
        overlap_param_gather=overlaps(config),
    )
    modules = [
        HalfPrecisionModule(chunk.config, chunk) if config.train.precision != "fp32" else chunk for chunk in chunks
    ]
    return [DistributedDataParallel(chunk.config, ddp, module) for chunk, module in zip(chunks, modules, strict=True)]


def build_optimizer(models: list[DistributedDataParallel], config: PretrainConfig) -> MegatronOptimizer:
    """AdamW without decay on biases and norms, with clipping of the global gradient norm."""
    train = config.train
    dtype = DTYPES[train.precision]
    _use_torch_adamw()
    optimizer = get_megatron_optimizer(
        OptimizerConfig(
            optimizer="adam",
            lr=train.lr,
            weight_decay=train.weight_decay,
            adam_beta1=train.beta1,
            adam_beta2=train.beta2,
            adam_eps=train.adam_epsilon,
            clip_grad=train.clip_grad,
            bf16=dtype is torch.bfloat16,
            fp16=dtype is torch.float16,
            params_dtype=dtype,
            initial_loss_scale=train.initial_loss_scale,
            loss_scale_window=train.loss_scale_window,
            use_distributed_optimizer=True,
            overlap_param_gather=overlaps(config),
        ),
        models,
    )
    _make_checkpoints_keep_bucket_offsets()
    _make_checkpoints_loadable()
    for group in optimizer.param_groups:
        group["fused"] = True
        group["foreach"] = False
    return optimizer


def clip_gradients(optimizer: Any, grad_norm: float) -> None:
    """Scale the fp32 gradients down so that their global norm, `grad_norm` now, is at most `train.clip_grad`."""
    for part in optimizer.chained_optimizers:
        if not part.is_stub_optimizer and part.get_parameters():
            clip_grad_by_total_norm_fp32(part.get_parameters(), part.config.clip_grad, grad_norm)


def _use_torch_adamw() -> None:
    """Have megatron-core take torch's AdamW also where Transformer Engine or Apex is installed.

    It would take their FusedAdam, which keeps the number of steps with each group of parameters, not with each
    parameter, and hands it to its kernel as a whole number. Read in the source, not tried: the repairs below are for
    torch's `step` tensors and would fail there, and a checkpoint of torch's AdamW, whose `step` is a float, would not
    go on under FusedAdam. torch's fused AdamW takes many tensors in one kernel as well, so one optimizer is enough, and
    runs go on between machines with and without these packages. Gradient norms and clipping are still computed by
    the package's kernels where it is there.
    """
    megatron_optimizer.USING_PYTORCH_OPTIMIZER = True
    megatron_distrib_optimizer.HAVE_APEX_OR_TE = False
    megatron_distrib_optimizer.USING_TE_OPTIMIZER = megatron_distrib_optimizer.USING_APEX_OPTIMIZER = False


def _make_checkpoints_loadable() -> None:
    """Repairs three faults of megatron-core 0.16.1's distributed optimizer over torch's own AdamW.

    torch's AdamW keeps a `step` tensor a parameter, which the loading code does not expect: a fresh optimizer cannot be
    loaded at all, and after loading all parameters share one `step` tensor, so that the bias correction runs ahead and
    parameters drift without an error.
    """
    if getattr(DistributedOptimizer, "_notemill_loadable", False):
        return
    original_sharded_state_dict = DistributedOptimizer.sharded_state_dict
    original_load_state_dict = DistributedOptimizer.load_state_dict

    def set_states(self: Any, model_param: torch.nn.Parameter, tensors: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for key, state in self._get_main_param_and_optimizer_states(model_param).items():
                if key != "step":
                    state.copy_(tensors[key])

    def sharded_state_dict(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.optimizer.state:
            self._init_optimizer_states_with_dummy_values()
        return original_sharded_state_dict(self, *args, **kwargs)

    def load_state_dict(self: Any, state_dict: Any) -> None:
        original_load_state_dict(self, state_dict)
        for state in self.optimizer.state.values():
            state["step"] = state["step"].clone()

    DistributedOptimizer._set_main_param_and_optimizer_states = set_states
    DistributedOptimizer.sharded_state_dict = sharded_state_dict
    DistributedOptimizer.load_state_dict = load_state_dict
    DistributedOptimizer._notemill_loadable = True


def _make_checkpoints_keep_bucket_offsets() -> None:
    """Repairs a silent fault of megatron-core 0.16.1 in saving `fully_reshardable` optimizer state.

    The gathered state leaves out the padding at the end of each bucket and is then cut at offsets that count it. With
    several buckets (a tied embedding on a last pipeline stage has its own) every parameter after the first bucket
    is saved shifted: a run that is resumed on another layout goes on from wrong masters and moments.
    """
    if getattr(DistributedOptimizer, "_notemill_keeps_offsets", False):
        return
    original = DistributedOptimizer.get_parameter_state_dp_zero

    def get_parameter_state_dp_zero(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = original(self, *args, **kwargs)
        for index, buffer in enumerate(self.buffers):
            for tensors in (state or {}).get(index, {}).values():
                for key, compact in tensors.items():
                    if isinstance(compact, torch.Tensor) and key not in ("step", "numel_unpadded"):
                        tensors[key] = _with_bucket_padding(compact, buffer)
        return state

    DistributedOptimizer.get_parameter_state_dp_zero = get_parameter_state_dp_zero
    DistributedOptimizer._notemill_keeps_offsets = True


def _with_bucket_padding(compact: torch.Tensor, buffer: Any) -> torch.Tensor:
    """Buckets one after another without padding → at their offsets in the whole buffer, zeros between."""
    padded = compact.new_zeros(buffer.numel)
    position = 0
    for bucket in buffer.buckets:
        size = bucket.numel_unpadded
        padded[bucket.offset : bucket.offset + size] = compact[position : position + size]
        position += size
    return padded
