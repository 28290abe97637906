"""Attention over packed rows: one piece at a time, or variable-length in one kernel.

With `model.attention_window` a token sees half a window of its piece on either side, and the piece's first token,
[CLS], which sees all. The way that attention goes depends on the micro-batch:

    torch's varlen_attn       on CUDA, where the window holds the longest piece; it has no dropout, and knows windows
                              but no tokens outside them
    attention_by_sequence     the same on a CPU without dropout
    a product for each piece  otherwise; beyond the window in time and memory linear in the length

Shapes: T tokens of all rows one after another, R of them that the heads of the model read, N heads of attention of this
tensor rank, D the width of a head.
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

from launch.attention.dot_product import dot_product_attention
from launch.attention.long_form import NUM_GLOBAL_TOKENS
from launch.attention.sliding_window import sliding_window_attention
from pretrain.model.many_sequences import attention_by_sequence


@dataclass
class PackedPieces(PackedSeqParams):
    """Borders of the pieces, and what the heads read of them."""

    read_positions: torch.Tensor | None = None
    """[R] int64, ascending: where of T the heads look; in the last layer only these have queries. None: everywhere."""


class PackedAttention(MegatronModule):
    """Core attention in which a token sees exactly its own piece, whose borders `cu_seqlens` gives."""

    only_where_read = False
    """Whether the output is only of `PackedPieces.read_positions`."""

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
        self.half_window = None if config.window_size is None else config.window_size[0]

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
        assert isinstance(packed_seq_params, PackedPieces), "every batch is packed"
        bounds, longest = packed_seq_params.cu_seqlens_q, packed_seq_params.max_seqlen_q
        positions_R = packed_seq_params.read_positions if self.only_where_read else None
        dropout = self.dropout if self.training else 0.0
        is_covered = self.half_window is None or longest <= self.half_window + 1
        if is_covered and not query_TND.is_cuda and not dropout:
            num_queries = num_keys = bounds.diff().tolist()
            if positions_R is not None:
                query_TND = query_TND.index_select(0, positions_R)
                num_queries = torch.searchsorted(positions_R, bounds).diff().tolist()
            return attention_by_sequence(query_TND, key_TND, value_TND, num_queries, num_keys)
        output_TND: torch.Tensor
        if is_covered and query_TND.is_cuda:
            from torch.nn.attention.varlen import varlen_attn

            output_TND = varlen_attn(query_TND, key_TND, value_TND, bounds, bounds, longest, longest)  # type: ignore[assignment]
        else:
            output_TND = self._attend_by_piece(query_TND, key_TND, value_TND, bounds.diff().tolist(), dropout)
        return output_TND if positions_R is None else output_TND.index_select(0, positions_R)

    def _attend_by_piece(
        self,
        query_TND: torch.Tensor,
        key_TND: torch.Tensor,
        value_TND: torch.Tensor,
        lengths: list[int],
        dropout: float,
    ) -> torch.Tensor:
        # Heads differ between tensor ranks, so their dropout masks must as well.
        random_numbers = tensor_parallel.get_cuda_rng_tracker().fork() if dropout else contextlib.nullcontext()
        with random_numbers:
            outputs_LND = [
                self._of_piece(q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1), dropout).transpose(0, 1)
                for q, k, v in zip(
                    query_TND.split(lengths), key_TND.split(lengths), value_TND.split(lengths), strict=True
                )
            ]
        return torch.cat(outputs_LND)

    def _of_piece(
        self, query_NLD: torch.Tensor, key_NLD: torch.Tensor, value_NLD: torch.Tensor, dropout: float
    ) -> torch.Tensor:
        if self.half_window is None or query_NLD.shape[1] <= self.half_window + 1:
            return dot_product_attention(query_NLD, key_NLD, value_NLD, dropout_p=dropout)
        return sliding_window_attention(
            query_NLD[None], key_NLD[None], value_NLD[None], 2 * self.half_window, NUM_GLOBAL_TOKENS, dropout_p=dropout
        )[0]

    def sharded_state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """No parameters, so nothing in a checkpoint."""
        return {}


class LastAttention(PackedAttention):
    """That of the last layer: [R, N, D], or [T, N, D] where all positions go on."""

    only_where_read = True
