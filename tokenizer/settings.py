"""Settings of `notemill tokenizer train`, for every kind."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from launch.errors import NotemillError
from tokenizer.fixed_pieces import LARGEST_MULTIPLE, LARGEST_VOCABULARY, VOCABULARY_MULTIPLE, padded_size
from tokenizer.kinds import TrainableKind

MIN_LEARNED = 64
"""Pieces left to learn, below which a vocabulary is refused."""
_AT_MOST = {"vocab_size": LARGEST_VOCABULARY, "vocab_multiple": LARGEST_MULTIPLE, "min_frequency": 1_000_000_000}

TextSource = Callable[[], Iterator[str]]


@dataclass(frozen=True)
class TokenizerConfig:
    """Settings of `notemill tokenizer train`."""

    kind: TrainableKind = "wordpiece"
    """wordpiece, bytebpe, sentencepiece_bpe or sentencepiece_unigram; docs/tokenizer.md says what differs."""
    vocab_size: int = 50_176
    """Pieces, rounded up to a multiple of `vocab_multiple`; fewer where the sample has no more to learn."""
    vocab_multiple: int = VOCABULARY_MULTIPLE
    """The vocabulary's size is a multiple of this, so that tensor parallelism divides it."""
    max_digits: int | None = None
    """Longest number that is one piece: 3 makes 2,220 pieces, 2 makes 220, 1 spells numbers out. When not given: 3 for
    vocabularies of 16,384 and more, 2 for smaller ones, 1 below 2,048; with sentencepiece always 1."""
    min_frequency: int = 2
    """Least times that two pieces must stand together to become one; not for sentencepiece, which has no such bound."""
    min_char_count: int = 3
    """Least times that a character must occur in the sample to be known; others become [UNK], with sentencepiece bytes.
    bytebpe knows all."""
    max_chars: int = 4_000
    """Most characters known beyond the fixed ones; the most frequent are taken."""
    sample_bytes: int = 4_000_000_000
    """Bytes of text to learn from; the trainer's counters hold about 20 GB."""
    sample_smoothing: float = 0.7
    """Power of a note type's size that its share of the sample is proportional to; 1 keeps proportions."""
    seed: int = 1234
    """Decides which notes are drawn when there are more than `sample_bytes`."""
    model_max_length: int = 512
    """Longest input that the tokenizer announces to transformers."""

    @property
    def is_sentencepiece(self) -> bool:
        return self.kind.startswith("sentencepiece")

    def digits(self) -> int:
        """`max_digits`, or what it is when not given."""
        if self.max_digits is not None:
            return self.max_digits
        if self.is_sentencepiece:
            return 1
        return 3 if self.vocab_size >= 16_384 else 2 if self.vocab_size >= 2_048 else 1

    def padded_size(self) -> int:
        """Pieces of the whole vocabulary."""
        return padded_size(self.vocab_size, self.vocab_multiple)

    def room_to_learn(self, num_fixed: int) -> int:
        """Pieces left to learn beside the fixed ones. Raises NotemillError when there are too few."""
        room = self.padded_size() - num_fixed
        if room < MIN_LEARNED:
            raise NotemillError(
                f"vocab_size {self.vocab_size} leaves nothing to learn: {num_fixed} pieces are characters, numbers and "
                f"placeholders; give at least {num_fixed + MIN_LEARNED}, or a smaller max_digits."
            )
        return room

    def validate(self) -> list[str]:
        problems = []
        if not 1 <= self.digits() <= 4:
            problems.append(f"max_digits is {self.max_digits} and must be from 1 to 4")
        elif self.is_sentencepiece and self.digits() != 1:
            problems.append(f"max_digits is {self.max_digits} and must be 1 for {self.kind}, which spells numbers out")
        if not 0 <= self.sample_smoothing <= 1:
            problems.append(f"sample_smoothing is {self.sample_smoothing} and must be from 0 to 1")
        for name in (
            "vocab_size",
            "vocab_multiple",
            "min_frequency",
            "min_char_count",
            "sample_bytes",
            "model_max_length",
        ):
            if getattr(self, name) < 1:
                problems.append(f"{name} is {getattr(self, name)} and must be at least 1")
        if self.max_chars < 0:
            problems.append(f"max_chars is {self.max_chars} and must be at least 0")
        for name, most in _AT_MOST.items():
            if getattr(self, name) > most:
                problems.append(f"{name} is {getattr(self, name)} and must be at most {most}")
        return problems
