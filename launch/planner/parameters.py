"""How many parameters the model has, and how many of them one rank holds.

Letters: H hidden size, F feed-forward size, V vocabulary, L layers.
"""

from __future__ import annotations

from dataclasses import dataclass

from pretrain.config import NUM_TOKEN_TYPES, PretrainConfig


@dataclass(frozen=True)
class Shape:
    """What decides the number of parameters."""

    num_layers: int
    hidden_size: int
    ffn_hidden_size: int
    num_attention_heads: int
    vocab_size: int
    max_position_embeddings: int

    @classmethod
    def of(cls, config: PretrainConfig, vocab_size: int) -> Shape:
        return cls(
            num_layers=config.model.num_layers,
            hidden_size=config.model.hidden_size,
            ffn_hidden_size=config.ffn_hidden_size,
            num_attention_heads=config.model.num_attention_heads,
            vocab_size=vocab_size,
            max_position_embeddings=config.max_position_embeddings,
        )


def whole_model(shape: Shape) -> int:
    """Parameters of the pretraining model, the tied decoder counted once: those of Hugging Face's
    MegatronBertForPreTraining."""
    return rank_parameters(shape, tensor=1, pipeline=1, stage=0)


def rank_parameters(shape: Shape, *, tensor: int, pipeline: int, stage: int) -> int:
    """Parameters that a rank of pipeline stage `stage` holds, the same for each of its tensor ranks.

    With several stages the last has a copy of the word embeddings for its decoder. Virtual stages change nothing: a
    rank's chunks together are as many layers, the first rank has the embeddings and the last the heads.
    """
    count = shape.num_layers // pipeline * layer(shape, tensor)
    if stage == 0:
        count += embeddings(shape, tensor)
    if stage == pipeline - 1:
        count += heads(shape, tensor)
        if pipeline > 1:
            count += word_embeddings(shape, tensor)
    return count


def layer(shape: Shape, tensor: int) -> int:
    """One transformer layer. Norms and the biases behind the row-parallel matrices are whole on every tensor rank."""
    hidden, inner = shape.hidden_size, shape.ffn_hidden_size
    norms = 2 * 2 * hidden
    qkv = (3 * hidden * hidden + 3 * hidden) // tensor
    projection = hidden * hidden // tensor + hidden
    feed_forward = (hidden * inner + inner) // tensor + inner * hidden // tensor + hidden
    return norms + qkv + projection + feed_forward


def word_embeddings(shape: Shape, tensor: int) -> int:
    return shape.vocab_size // tensor * shape.hidden_size


def embeddings(shape: Shape, tensor: int) -> int:
    """Word, position and token-type embeddings; only the first are split over the tensor ranks."""
    return word_embeddings(shape, tensor) + (shape.max_position_embeddings + NUM_TOKEN_TYPES) * shape.hidden_size


def heads(shape: Shape, tensor: int) -> int:
    """Final norm, transform before the decoder, the decoder's bias, pooler and sentence order."""
    hidden = shape.hidden_size
    dense = hidden * hidden + hidden
    final_norm, transform_norm, order = 2 * hidden, 2 * hidden, 2 * hidden + 2
    return final_norm + dense + transform_norm + shape.vocab_size // tensor + dense + order
