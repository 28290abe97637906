"""What a micro-batch holds, as far as memory and time depend on it."""

from __future__ import annotations

from dataclasses import dataclass

from pretrain.config import PretrainConfig

_TEXT_SHARE = 0.97
"""Of the tokens of a row; special tokens and the padding that packing leaves are never masked."""


@dataclass(frozen=True)
class Rows:
    """One micro-batch."""

    tokens: int
    """T, with padding."""
    masked: int
    """M, positions that the language-model head sees."""
    ordered: int
    """P, pieces that have a sentence order; with the masked positions all that the heads read."""
    squared_lengths: int
    """Sum over pieces of length squared: attention weights a head, where the kernel keeps them."""

    @classmethod
    def of(cls, config: PretrainConfig) -> Rows:
        """What to expect without looking at data: each row one piece, masked at the higher of the run's two rates."""
        tokens = config.train.micro_batch_size * config.train.seq_len
        rate = max(config.data.mask_probability, config.final_mask_probability)
        pieces = config.train.micro_batch_size if config.train.sentence_order else 0
        return cls(tokens, round(tokens * rate * _TEXT_SHARE), pieces, tokens * config.train.seq_len)

    @property
    def read(self) -> int:
        """R, positions that the heads read."""
        return self.masked + self.ordered
