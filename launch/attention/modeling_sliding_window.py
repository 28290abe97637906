"""Megatron-BERT with sliding-window attention, for `AutoModel.from_pretrained(FOLDER, trust_remote_code=True)`.

    attention_window     tokens, even: each sees half of them on either side
    num_global_tokens    first tokens of a text, [CLS] being the first, that see all and are seen by all

Weights and their names are those of transformers' own classes, which load the same folder without remote code and
attend to everything. notemill writes this file into the folder; it uses torch and transformers alone.
"""

from typing import Any

from transformers.models.megatron_bert import modeling_megatron_bert as stock

from .self_attention import SLIDING_WINDOW, attend


class _SelfAttention(stock.MegatronBertSelfAttention):
    forward = attend  # type: ignore[assignment]


class _SlidingWindow:
    """Any of transformers' Megatron-BERT classes; `attn_implementation` may still ask for eager or sdpa."""

    _supports_sdpa = True

    def __init__(self, config: Any, *arguments: Any, **settings: Any) -> None:
        wanted = config._attn_implementation or SLIDING_WINDOW
        # The stock encoder that is built inside knows of eager attention and of what is registered.
        config._attn_implementation = SLIDING_WINDOW
        super().__init__(config, *arguments, **settings)  # type: ignore[call-arg]
        model: Any = self
        for module in model.modules():
            if isinstance(module, stock.MegatronBertSelfAttention):
                module.__class__ = _SelfAttention
                module.config = model.config
        model.set_attn_implementation(wanted)

    @classmethod
    def _can_set_attn_implementation(cls) -> bool:
        # transformers looks for the table's name in the source of the class.
        return True


class SlidingWindowMegatronBertModel(_SlidingWindow, stock.MegatronBertModel):
    pass


class SlidingWindowMegatronBertForPreTraining(_SlidingWindow, stock.MegatronBertForPreTraining):
    pass


class SlidingWindowMegatronBertForMaskedLM(_SlidingWindow, stock.MegatronBertForMaskedLM):
    pass


class SlidingWindowMegatronBertForSequenceClassification(_SlidingWindow, stock.MegatronBertForSequenceClassification):
    pass


class SlidingWindowMegatronBertForTokenClassification(_SlidingWindow, stock.MegatronBertForTokenClassification):
    pass


class SlidingWindowMegatronBertForQuestionAnswering(_SlidingWindow, stock.MegatronBertForQuestionAnswering):
    pass
