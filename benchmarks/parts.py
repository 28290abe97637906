"""Where the time of a training step goes, by part of the model, forward and backward."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

_PREFIX = "part: "
PARTS = {
    "embedding": "embedding",
    "input_layernorm": "layer norms",
    "pre_mlp_layernorm": "layer norms",
    "final_layernorm": "layer norms",
    "linear_qkv": "attention: matrices",
    "linear_proj": "attention: matrices",
    "core_attention": "attention: products and softmax",
    "linear_fc1": "feed-forward: matrices",
    "linear_fc2": "feed-forward: matrices",
    "mlp": "feed-forward: bias and GELU",
    "encoder": "dropout, residuals and the rest of the layers",
    "lm_head": "head",
    "output_layer": "head",
}
"""By the last part of a module's name; the innermost counts."""
_BY_OPERATOR = {
    "aten::_fused_adamw_": "optimizer",
    "c10d::": "communication",
    "gloo": "communication",
    "nccl": "communication",
}


@contextmanager
def timed_parts(models: Sequence[torch.nn.Module]) -> Iterator[profile]:
    """A profile of what runs inside, with the modules' forwards marked."""
    hooks, open_parts = [], []

    def enter(name: str) -> Any:
        def hook(*_: Any) -> None:
            open_parts.append(record_function(_PREFIX + name))
            open_parts[-1].__enter__()

        return hook

    def leave(*_: Any) -> None:
        open_parts.pop().__exit__(None, None, None)

    for model in models:
        for name, module in model.named_modules():
            part = PARTS.get(name.rsplit(".", 1)[-1])
            if part:
                hooks += [module.register_forward_pre_hook(enter(part)), module.register_forward_hook(leave)]
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    try:
        with profile(activities=activities) as measured:
            yield measured
    finally:
        for hook in hooks:
            hook.remove()


def seconds_by_part(measured: profile) -> dict[str, dict[str, float]]:
    """Seconds of each part forward and backward: of the device where there is one, of this process's thread otherwise.

    An operator of the backward pass belongs to the part whose forward made it, by its sequence number.
    """
    on_device = torch.cuda.is_available()
    events = [event for event in measured.events() or [] if event.device_type == torch.autograd.DeviceType.CPU]
    part_of_sequence: dict[int, str] = {}
    seconds: dict[str, dict[str, float]] = defaultdict(lambda: {"forward": 0.0, "backward": 0.0})
    placed = [(event, *_place(event)) for event in events]
    for event, part, is_backward in placed:
        if part and not is_backward and event.sequence_nr >= 0:
            part_of_sequence[event.sequence_nr] = part
    for event, part, is_backward in placed:
        if is_backward:
            part = part_of_sequence.get(_sequence(event), "losses")
        own = event.self_device_time_total if on_device else event.self_cpu_time_total
        seconds[_operator_part(event.name) or part or "losses, gradient buffers and clipping"][
            "backward" if is_backward else "forward"
        ] += own / 1e6
    return {part: seconds[part] for part in sorted(seconds)}


def _place(event: Any) -> tuple[str | None, bool]:
    """The innermost part that is open, and whether this is the backward pass."""
    while event is not None:
        if event.name.startswith(_PREFIX):
            return event.name.removeprefix(_PREFIX), False
        if event.name.startswith("autograd::engine::evaluate_function"):
            return None, True
        event = event.cpu_parent
    return None, False


def _sequence(event: Any) -> int:
    while not event.name.startswith("autograd::engine::evaluate_function"):
        event = event.cpu_parent
    return int(event.sequence_nr)


def _operator_part(name: str) -> str | None:
    return next((part for start, part in _BY_OPERATOR.items() if name.startswith(start)), None)
