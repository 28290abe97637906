"""Faster attention for Megatron-BERT, whose class in transformers knows one way to compute it.

`use_fast_attention` replaces the forward of each self-attention module by the same function of the same weights:
torch's scaled_dot_product_attention, except for bf16 on a CPU, where plain products are 2 to 4 times as fast as that
kernel's backward pass at every length to 512 (measured; its softmax then stays in bf16 instead of a copy in fp32).
Other architectures choose their attention in transformers already.
"""

import math
import types

import torch
from torch import nn
from torch.nn.functional import dropout, scaled_dot_product_attention


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
    if query.dtype == torch.bfloat16 and query.device.type == "cpu":
        context = _attend_by_products(query, key, value, attention_mask, dropout_p)
    else:
        context = scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, dropout_p=dropout_p)
    return context.transpose(1, 2).reshape(batch, length, -1), None


def _attend_by_products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, dropout_p: float
) -> torch.Tensor:
    # Autocast would take the softmax to fp32 and back: two copies of the largest tensor of the layer.
    with torch.autocast(query.device.type, enabled=False):
        scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(-1, -2)
        if mask is not None:
            scores = scores + mask
        return dropout(scores.softmax(dim=-1), dropout_p) @ value if dropout_p else scores.softmax(dim=-1) @ value
