"""AdamW under DeepSpeed's ZeRO optimizers, and what has to be done to these from outside.

Three classes of DeepSpeed share the work: `DeepSpeedZeroOptimizer` for stages 1 and 2, `BF16_Optimizer` for bf16 at
stage 1, `DeepSpeedZeroOptimizer_Stage3` for stage 3. Each cuts masters and moments into flat fp32 buffers over the data
ranks. Their attributes are no public interface: pyproject.toml bounds the version, and the parity tests tell.
"""

from dataclasses import dataclass
from typing import Any

import torch
from megatron.core import parallel_state

from pretrain.config import TrainConfig
from pretrain.model.bert import MegatronBert

MOMENTS = ("exp_avg", "exp_avg_sq")
"""AdamW's first and second moment, by torch's names."""
MASTER = "master"


@dataclass(frozen=True)
class Part:
    """A run of one parameter's elements whose master and moments this rank keeps."""

    name: str
    start: int
    """First element, counted in this tensor rank's shard of the parameter, flattened."""
    length: int
    state: dict[str, torch.Tensor]
    """Master and moments, [length] fp32 each, views of what the optimizer works on."""


def build_adamw(chunk: MegatronBert, train: TrainConfig) -> torch.optim.AdamW:
    """torch's fused AdamW, without decay on biases and norms."""
    parameters = list(chunk.parameters())
    groups: list[dict[str, Any]] = [
        {"params": [each for each in parameters if each.dim() > 1], "weight_decay": train.weight_decay},
        {"params": [each for each in parameters if each.dim() == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=train.lr, betas=(train.beta1, train.beta2), eps=train.adam_epsilon, fused=True)


def create_state(optimizer: Any) -> None:
    """Moments of zero, as AdamW's first step would make them, so that a save or load can come before it."""
    adamw = optimizer.optimizer
    for flat in _flat_masters(optimizer):
        adamw.state[flat] = {"step": torch.zeros((), dtype=torch.float32, device=flat.device)} | {
            key: torch.zeros_like(flat, requires_grad=False) for key in MOMENTS
        }
    if not _is_stage3(optimizer):
        optimizer._lazy_init_hp_params_optimizer_state()


def own_parts(optimizer: Any, parameters: dict[str, torch.nn.Parameter]) -> list[Part]:
    """What this rank keeps of each parameter, where it keeps anything."""
    part_of = _part_at_stage3 if _is_stage3(optimizer) else _part_at_stage1_or_2
    parts = (part_of(optimizer, name, parameter) for name, parameter in parameters.items())
    return [part for part in parts if part is not None]


def updates_of(optimizer: Any) -> int:
    """How often AdamW has updated; the same for all parameters."""
    return int(optimizer.optimizer.state[_flat_masters(optimizer)[0]]["step"])


def set_updates(optimizer: Any, updates: int) -> None:
    for flat in _flat_masters(optimizer):
        optimizer.optimizer.state[flat]["step"].fill_(updates)


@torch.no_grad()
def publish_masters(optimizer: Any) -> None:
    """Make the model's parameters on all ranks what the masters say."""
    if not _is_stage3(optimizer):
        optimizer.update_lp_params()
        return
    optimizer._partition_all_parameters()
    for index in range(len(optimizer.fp16_groups)):
        optimizer._reassign_or_swap_out_partitioned_parameters(index)
    if optimizer.persistent_parameters:
        optimizer.persistent_parameters[0].all_gather(optimizer.persistent_parameters)


def forget_gradients(optimizer: Any) -> None:
    """What DeepSpeed does with gradients after an overflow, without touching the loss scale."""
    optimizer.zero_grad(set_to_none=True)
    if _is_stage3(optimizer):
        if optimizer.offload_optimizer:
            optimizer.reset_cpu_buffers()
            optimizer._offload_boundary_param_ids = set()
    elif hasattr(optimizer, "averaged_gradients"):
        from deepspeed.runtime.zero.stage_1_and_2 import INITIAL_MICRO_STEP_ID

        optimizer.micro_step_id = INITIAL_MICRO_STEP_ID
        for gradients in (optimizer.averaged_gradients, optimizer.all_grad_tensors):
            for group in gradients:
                gradients[group] = None
        if optimizer.cpu_offload:
            optimizer.reset_cpu_buffers()
            optimizer._offload_accumulated_param_ids = set()


def _is_stage3(optimizer: Any) -> bool:
    return hasattr(optimizer, "fp32_partitioned_groups_flat")


def _flat_masters(optimizer: Any) -> list[torch.Tensor]:
    for name in ("fp32_partitioned_groups_flat", "single_partition_of_fp32_groups", "fp32_groups_flat_partition"):
        if hasattr(optimizer, name):
            return list(getattr(optimizer, name))
    raise AssertionError(f"{type(optimizer).__name__} is none of DeepSpeed's ZeRO optimizers that are known here")


def _part_at_stage1_or_2(optimizer: Any, name: str, parameter: Any) -> Part | None:
    mapping = parameter._hp_mapping
    if mapping is None:
        return None
    state = {MASTER: mapping.get_hp_fragment()} | {key: mapping.get_hp_fragment(key) for key in MOMENTS}
    address = mapping.lp_fragment_address
    return Part(name, address.start, address.numel, {key: value.detach() for key, value in state.items()})


def _part_at_stage3(optimizer: Any, name: str, parameter: Any) -> Part | None:
    size = parameter.partition_numel()
    start = size * parallel_state.get_data_parallel_rank()
    # The last partitions of a parameter are filled up, or nothing but filling.
    length = min(size, parameter.ds_numel - start)
    if length <= 0:
        return None
    group, offset, _ = optimizer.grad_position[optimizer.get_param_id(parameter)]
    flat = optimizer.fp32_partitioned_groups_flat[group]
    state = {MASTER: flat} | {key: optimizer.optimizer.state[flat][key] for key in MOMENTS}
    return Part(name, start, length, {key: value.detach()[offset : offset + length] for key, value in state.items()})
