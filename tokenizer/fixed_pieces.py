"""Pieces that every tokenizer has: special tokens, placeholders, and unused ones that fill the vocabulary up."""

import re
from collections.abc import Mapping, Sequence

from tokenizers import AddedToken, Tokenizer, processors

from data_pipeline.placeholders import PLACEHOLDER_CLASSES, placeholder

VOCABULARY_MULTIPLE = 128
"""Vocabularies are padded to a multiple of this, so that every tensor-parallel size up to 128 divides them."""
LARGEST_MULTIPLE = 65_536
LARGEST_VOCABULARY = 10_000_000
"""The libraries end the whole process, or the memory does, where far more is asked for."""
ROLES = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
"""The special token of each role, in the order of their ids in a trained tokenizer."""
SPECIAL_TOKENS = tuple(ROLES.values())
UNUSED = re.compile(r"\[unused(\d+)\]")
"""Matches the names of unused pieces."""


def placeholder_pieces() -> list[str]:
    """Every placeholder of a corpus, in the order of their ids."""
    return [placeholder(name) for name in PLACEHOLDER_CLASSES]


def added_placeholder(piece: str) -> AddedToken:
    """A placeholder as one token, found in the raw text before anything splits it."""
    return AddedToken(piece, single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)


def unused_piece(number: int) -> str:
    """A piece that stands for nothing; pads the vocabulary."""
    return f"[unused{number}]"


def padded_size(vocab_size: int, multiple: int = VOCABULARY_MULTIPLE) -> int:
    """`vocab_size` rounded up to a multiple."""
    return -(-vocab_size // multiple) * multiple


def pad_pieces(pieces: Sequence[str], multiple: int = VOCABULARY_MULTIPLE) -> list[str]:
    """The pieces, and unused ones up to a multiple."""
    missing = padded_size(len(pieces), multiple) - len(pieces)
    return [*pieces, *(unused_piece(number) for number in range(missing))]


def add_fixed_tokens(tokenizer: Tokenizer) -> None:
    """Make a trained tokenizer's special tokens and placeholders whole, and add [CLS] and [SEP] on demand."""
    frame(tokenizer, ROLES)
    tokenizer.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in SPECIAL_TOKENS])
    # Not special: decoding with skip_special_tokens, as generation and reports do, must not delete them.
    tokenizer.add_tokens([added_placeholder(piece) for piece in placeholder_pieces()])


def frame(tokenizer: Tokenizer, roles: Mapping[str, str]) -> None:
    """Let `add_special_tokens` give what pretraining sees: [CLS] A [SEP], or [CLS] A [SEP] B [SEP] with two types."""
    cls, sep = roles["cls"], roles["sep"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[f"{cls}:0", "$A:0", f"{sep}:0"],
        pair=[f"{cls}:0", "$A:0", f"{sep}:0", "$B:1", f"{sep}:1"],
        special_tokens=[(piece, tokenizer.token_to_id(piece)) for piece in {cls, sep}],
    )
