"""Attention over packed rows: one piece at a time, or variable-length in one kernel.

Shapes: T tokens of all rows one after another, N heads of this tensor rank, D the width of a head.
"""

import contextlib
from dataclasses import dataclass
from typing import Any

import torch
from megatron.core import tensor_parallel
from megatron.core.packed_seq_params import PackedSeqParams
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.transformer_config import TransformerConfig

from launch.attention.dot_product import plain_attention


@dataclass
class Pieces(PackedSeqParams):
    """Borders of the pieces, and what the heads read of them."""

    read_positions: torch.Tensor | None = None
    """[R] int64: where of T the heads look; behind the last attention only these go on. None: everywhere."""


class PackedAttention(MegatronModule):
    """Core attention in which a token sees exactly its own piece, whose borders `cu_seqlens` gives.

    On CUDA it is torch's `varlen_attn`, which has no dropout; elsewhere one product a piece.
    """

    def __init__(
        self,
        config: TransformerConfig,
        layer_number: int,
        attn_mask_type: AttnMaskType,
        attention_type: str,
        attention_dropout: float | None = None,
        softmax_scale: float | None = None,
        **_: Any,
    ) -> None:
        super().__init__(config=config)
        self.dropout = config.attention_dropout if attention_dropout is None else attention_dropout

    def forward(
        self,
        query_TND: torch.Tensor,
        key_TND: torch.Tensor,
        value_TND: torch.Tensor,
        attention_mask: torch.Tensor | None,
        attn_mask_type: AttnMaskType | None = None,
        attention_bias: torch.Tensor | None = None,
        packed_seq_params: PackedSeqParams | None = None,
    ) -> torch.Tensor:
        assert packed_seq_params is not None, "every batch is packed"
        if query_TND.is_cuda:
            from torch.nn.attention.varlen import varlen_attn

            bounds, longest = packed_seq_params.cu_seqlens_q, packed_seq_params.max_seqlen_q
            output: torch.Tensor = varlen_attn(query_TND, key_TND, value_TND, bounds, bounds, longest, longest)  # type: ignore[assignment]
            return output
        return self._attend_by_piece(query_TND, key_TND, value_TND, packed_seq_params.cu_seqlens_q)

    def _attend_by_piece(
        self, query_TND: torch.Tensor, key_TND: torch.Tensor, value_TND: torch.Tensor, cu_seqlens: torch.Tensor
    ) -> torch.Tensor:
        lengths = cu_seqlens.diff().tolist()
        dropout = self.dropout if self.training else 0.0
        # Heads differ between tensor ranks, so their dropout masks must as well.
        random_numbers = tensor_parallel.get_cuda_rng_tracker().fork() if dropout else contextlib.nullcontext()
        with random_numbers:
            outputs_LND = [
                plain_attention(q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1), dropout_p=dropout).transpose(
                    0, 1
                )
                for q, k, v in zip(
                    query_TND.split(lengths), key_TND.split(lengths), value_TND.split(lengths), strict=True
                )
            ]
        return torch.cat(outputs_LND)

    def sharded_state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """No parameters, so nothing in a checkpoint."""
        return {}
