"""The shape of a model as transformers' MegatronBertConfig says it, and as ours."""

from typing import Any

from launch.attention.long_form import attention_window, mark_config
from pretrain.config import NUM_TOKEN_TYPES, ModelConfig

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
"""`model.activation` by transformers' `hidden_act`."""


def to_huggingface_config(model: ModelConfig, *, vocab_size: int, positions: int, ffn_width: int, pad_id: int) -> Any:
    """A MegatronBertConfig of a model of that shape."""
    from transformers import MegatronBertConfig

    config = MegatronBertConfig(
        vocab_size=vocab_size,
        hidden_size=model.hidden_size,
        num_hidden_layers=model.num_layers,
        num_attention_heads=model.num_attention_heads,
        intermediate_size=ffn_width,
        hidden_act={"gelu": "gelu", "gelu_tanh": "gelu_new"}[model.activation],
        hidden_dropout_prob=model.hidden_dropout,
        attention_probs_dropout_prob=model.attention_dropout,
        max_position_embeddings=positions,
        type_vocab_size=NUM_TOKEN_TYPES,
        initializer_range=model.init_std,
        layer_norm_eps=model.layernorm_epsilon,
        pad_token_id=pad_id,
        tie_word_embeddings=True,
    )
    if model.attention_window is not None:
        mark_config(config, model.attention_window)
    return config


def from_huggingface_config(config: Any) -> ModelConfig:
    """The inverse, of a config whose activation is one of `ACTIVATIONS`."""
    return ModelConfig(
        num_layers=config.num_hidden_layers,
        hidden_size=config.hidden_size,
        num_attention_heads=config.num_attention_heads,
        ffn_hidden_size=config.intermediate_size,
        activation=ACTIVATIONS[config.hidden_act],  # type: ignore[arg-type]
        max_position_embeddings=config.max_position_embeddings,
        attention_window=attention_window(config),
        hidden_dropout=float(config.hidden_dropout_prob),
        # Published models say 0.1, and on CUDA packed attention has none.
        attention_dropout=0.0,
        init_std=config.initializer_range,
        layernorm_epsilon=config.layer_norm_eps,
    )
