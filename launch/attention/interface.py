"""Attention implementations for Megatron-BERT in stock transformers, whose class knows one way to compute it.

    from launch.attention.interface import enable_attention_interface

    enable_attention_interface()
    model = AutoModel.from_pretrained("hf", attn_implementation="notemill")     # or sdpa, or eager

Afterwards the class behaves as transformers' other encoders do: sdpa by default, `set_attn_implementation` switches,
`output_attentions=True` gives weights under each of them. Other architectures are left alone.
"""

import functools
from typing import Any


def enable_attention_interface() -> None:
    """Let all Megatron-BERT models of this process, also those there are, choose as their configuration says.

    Calling it again changes nothing. Decoders keep eager attention.
    """
    from transformers.models.megatron_bert import modeling_megatron_bert as stock

    from launch.attention.self_attention import attend

    if stock.MegatronBertSelfAttention.forward is attend:
        return
    family: Any = stock.MegatronBertPreTrainedModel
    family._supports_sdpa = property(lambda self: not self.config.is_decoder)
    # transformers looks for the table's name in the source of the class.
    family._can_set_attn_implementation = classmethod(lambda cls: True)
    stock.MegatronBertSelfAttention.forward = attend  # type: ignore[method-assign, assignment]
    stock.MegatronBertEncoder.forward = _with_config(stock.MegatronBertEncoder.forward)  # type: ignore[method-assign]


def _with_config(forward: Any) -> Any:
    """The encoder's forward; its attention modules, which are built without one, get its configuration first."""

    @functools.wraps(forward)
    def encode(self: Any, *args: Any, **kwargs: Any) -> Any:
        for layer in self.layer:
            layer.attention.self.config = self.config
            if layer.add_cross_attention:
                layer.crossattention.self.config = self.config
        return forward(self, *args, **kwargs)

    return encode
