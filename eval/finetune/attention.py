"""Faster attention for Megatron-BERT, whose class in transformers knows one way to compute it.

`use_fast_attention` replaces the forward of each self-attention module by the same function of the same weights.
Other architectures choose their attention in transformers already.
"""

import types

import torch
from torch import nn

from pretrain.model.dot_product import dot_product_attention


def use_fast_attention(model: nn.Module) -> int:
    """Switch every Megatron-BERT self-attention below `model`; returns how many were switched."""
    from transformers.models.megatron_bert.modeling_megatron_bert import MegatronBertSelfAttention

    switched = 0
    for module in model.modules():
        if isinstance(module, MegatronBertSelfAttention):
            module.forward = types.MethodType(_fast_forward, module)  # type: ignore[method-assign]
            switched += 1
    return switched


def _fast_forward(
    self: nn.Module, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: object
) -> tuple[torch.Tensor, None]:
    """`attention_mask` is what the eager path adds to the scores, [batch, 1, queries, keys], or None."""
    batch, length, _hidden = hidden_states.shape

    def heads(projection: nn.Module) -> torch.Tensor:
        projected = projection(hidden_states)
        return projected.view(batch, length, self.num_attention_heads, self.attention_head_size).transpose(1, 2)

    query, key, value = heads(self.query), heads(self.key), heads(self.value)  # type: ignore[arg-type]
    if attention_mask is not None:
        attention_mask = attention_mask.to(query.dtype)
    dropout_p = float(self.dropout.p) if self.training else 0.0  # type: ignore[union-attr, arg-type]
    context = dot_product_attention(query, key, value, attention_mask, dropout_p)
    return context.transpose(1, 2).reshape(batch, length, -1), None
