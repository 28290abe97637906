"""A model in bf16."""

from typing import Any

from megatron.core.transformer.module import Float16Module

from pretrain.data.batch import Batch


class Bf16Module(Float16Module):
    """megatron-core's wrapper, but what comes out stays bf16: the loss takes its own precision a few rows at a time."""

    def forward(self, batch: Batch) -> Any:
        return super().forward(batch, fp32_output=False)
