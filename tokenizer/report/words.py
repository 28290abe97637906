"""Words of a text, and how many pieces a tokenizer makes of each, the same way for every kind of tokenizer.

A word is a run of letters and digits; punctuation is none, for every tokenizer spends a piece on it. A placeholder is
counted apart. The whole text is encoded as the tokenizer wants it, and the pieces of a word are those whose characters
overlap it, so WordPiece's `##ia`, byte-level BPE's `Ġhypo` and SentencePiece's `▁hypo` are counted alike. A piece that
holds only the space before a word belongs to the word; other white space belongs to none.
"""

import re
from dataclasses import dataclass

import numpy as np
from tokenizers import Encoding

from data_pipeline.placeholders import PLACEHOLDER_PATTERN

_WORD = re.compile(f"(?P<placeholder>{PLACEHOLDER_PATTERN.pattern})|[^\\W_](?:[^\\W_]|[\u0300-\u036f])*")


@dataclass(frozen=True)
class Words:
    """Words of one text with their places; `is_placeholder` marks those that stand for an identifier."""

    texts: list[str]
    starts: np.ndarray
    """Where each word begins, one earlier where a space stands before it."""
    ends: np.ndarray
    is_placeholder: np.ndarray


def find_words(text: str) -> Words:
    """All words of `text` in order."""
    found = list(_WORD.finditer(text))
    starts = [m.start() - (m.start() > 0 and text[m.start() - 1] == " ") for m in found]
    return Words(
        [m.group() for m in found],
        np.array(starts, np.int64),
        np.array([m.end() for m in found], np.int64),
        np.array([m.lastgroup == "placeholder" for m in found], bool),
    )


@dataclass(frozen=True)
class Pieces:
    """For each word its first piece, the one behind its last, and whether a piece of it is the unknown one.

    A piece over several words counts for each of them; a word that the tokenizer deletes has none.
    """

    first: np.ndarray
    behind: np.ndarray
    is_unknown: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        return self.behind - self.first


def pieces_of_words(words: Words, encoding: Encoding, unknown_id: int | None) -> Pieces:
    """`encoding` is that of the text in which `words` were found."""
    offsets = np.array(encoding.offsets, np.int64).reshape(-1, 2)
    # Pieces without a character of their own take the place of the one before, so that both columns are in order.
    starts, ends = np.maximum.accumulate(offsets[:, 0]), np.maximum.accumulate(offsets[:, 1])
    first = np.searchsorted(ends, words.starts, side="right")
    behind = np.maximum(first, np.searchsorted(starts, words.ends, side="left"))
    is_unknown = np.array(encoding.ids, np.int64) == (-1 if unknown_id is None else unknown_id)
    before = np.concatenate([[0], np.cumsum(is_unknown)])
    return Pieces(first, behind, before[behind] > before[first])
