"""A model in bf16 or fp16."""

from typing import Any

from megatron.core.transformer.module import Float16Module


class HalfPrecisionModule(Float16Module):
    """megatron-core's wrapper, without its fp32 copy of the logits: the loss takes its own, a few rows at a time."""

    def forward(self, *inputs: Any, **named_inputs: Any) -> Any:
        return super().forward(*inputs, fp32_output=False, **named_inputs)
