"""Self-attention of Megatron-BERT by the implementation that `config._attn_implementation` names.

transformers has such a choice for most encoders (https://huggingface.co/docs/transformers/attention_interface), while
its Megatron-BERT knows one way. `attend` is the forward that asks; it registers with transformers' own tables

    notemill                   torch's fused kernel, or plain products where these are faster; padding is a mask of one
                               row a text
    notemill_sliding_window    of models whose configuration has attention_window and num_global_tokens

This file uses torch and transformers alone, so that a model's folder can hold a copy: hence the relative import.
"""

from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.megatron_bert.modeling_megatron_bert import MegatronBertSelfAttention

from .dot_product import attention_weights, dot_product_attention
from .sliding_window import sliding_window_attention, window_mask

NOTEMILL = "notemill"
SLIDING_WINDOW = "notemill_sliding_window"
_eager: Any = MegatronBertSelfAttention.forward


def attend(
    self: Any,
    hidden_states: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    encoder_hidden_states: torch.Tensor | None = None,
    past_key_values: Any = None,
    output_attentions: bool | None = False,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """MegatronBertSelfAttention.forward; weights come second where they were asked for or the way is eager.

    `self.config` is the model's; without one attention is eager. `attention_mask` is what the implementation's own mask
    function made of the padding.
    Raises ValueError in a decoder, which has eager attention only.
    """
    config = getattr(self, "config", None)
    implementation = None if config is None else config._attn_implementation
    if implementation in (None, "eager"):
        return _eager(
            self, hidden_states, attention_mask, encoder_hidden_states, past_key_values, output_attentions, **kwargs
        )
    if self.is_decoder or encoder_hidden_states is not None:
        raise ValueError('a Megatron-BERT decoder has attn_implementation="eager" only; load it with that.')
    batch, length, _ = hidden_states.shape
    query, key, value = (
        projection(hidden_states).view(batch, length, -1, self.attention_head_size).transpose(1, 2)
        for projection in (self.query, self.key, self.value)
    )
    function = (
        _with_weights
        if output_attentions
        else ALL_ATTENTION_FUNCTIONS.get_interface(implementation, _notemill_attention)
    )
    context, weights = function(
        self,
        query,
        key,
        value,
        attention_mask,
        dropout=self.dropout.p if self.training else 0.0,
        scaling=self.attention_head_size**-0.5,
        is_causal=False,
    )
    return context.reshape(batch, length, -1), weights


def _with_weights(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """As eager attention gives them; fused kernels never hold the weights."""
    if module.config._attn_implementation == SLIDING_WINDOW:
        seen = window_mask(query.shape[-2], *_window_of(module), query.device)
        attention_mask = seen if attention_mask is None else seen & attention_mask
    weights = nn.functional.dropout(attention_weights(query, key, attention_mask), dropout)
    return (weights @ value).transpose(1, 2), weights


def _notemill_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """[batch, heads, length, D] → [batch, length, heads, D], as transformers' AttentionInterface asks."""
    if getattr(module, "is_causal", False):
        raise ValueError(f'attn_implementation="{NOTEMILL}" is for encoders; load this model with "sdpa".')
    usual = query.shape[-1] ** -0.5
    if scaling is not None and scaling != usual:
        query = query * (scaling / usual)
    if attention_mask is not None and attention_mask.dtype != torch.bool:
        attention_mask = attention_mask.to(query.dtype)
    return dot_product_attention(query, key, value, attention_mask, dropout).transpose(1, 2), None


def _sliding_window_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    if attention_mask is not None and (attention_mask.dtype != torch.bool or attention_mask.shape[-2] != 1):
        raise ValueError(
            f'attn_implementation="{SLIDING_WINDOW}" takes an attention_mask [texts, tokens] and no other.'
        )
    context = sliding_window_attention(query, key, value, *_window_of(module), attention_mask, dropout)
    return context.transpose(1, 2), None


def _window_of(module: Any) -> tuple[int, int]:
    """Raises ValueError where the model's configuration names no window."""
    window = getattr(module.config, "attention_window", None)
    if window is None:
        raise ValueError(f'attn_implementation="{SLIDING_WINDOW}" needs a model whose config has attention_window.')
    return window, getattr(module.config, "num_global_tokens", 1)


def padding_mask(*, attention_mask: torch.Tensor | None = None, **_: Any) -> torch.Tensor | None:
    """[batch, length] bool → [batch, 1, 1, length], or None where there is no padding.

    Every query sees the same keys, so a row for each, as transformers makes them, would only cost.
    """
    if attention_mask is None or (not torch.compiler.is_compiling() and bool(attention_mask.all())):
        return None
    return attention_mask[:, None, None, :]


def _padding_at_the_end(*, attention_mask: torch.Tensor | None = None, **_: Any) -> torch.Tensor | None:
    """The same, where the first token of every text must be real, since it is global."""
    real = padding_mask(attention_mask=attention_mask)
    if real is not None and not torch.compiler.is_compiling() and not bool(real[..., 0].all()):
        raise ValueError("a model with global first tokens needs padding on the right; set padding_side='right'.")
    return real


for _name, _function, _mask in (
    (NOTEMILL, _notemill_attention, padding_mask),
    (SLIDING_WINDOW, _sliding_window_attention, _padding_at_the_end),
):
    AttentionInterface.register(_name, _function)
    AttentionMaskInterface.register(_name, _mask)
