r"""Notes as sets of hashed word runs, which is how near-copies and shared passages are told.

    text ──> words: runs of \w, lower case, a number such as 3.1, 120/80 or 08:30 in one piece
         ──> 64 bits a word ──> 64 bits a run of k words (a shingle)

Numbers count like words: "K 3.1" and "K 5.9" share nothing but "K". Everything is a function of the text alone, works
on many texts at a time in numpy, and hashes the same on every machine. Words are not kept.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

BATCH_BYTES = 1 << 18
"""Text hashed at a time, about: small enough for the processor's cache, large enough for numpy."""

_BASE = 0x9E3779B97F4A7C15
_FACTORS = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93], np.uint64)
# Beyond ASCII, what is no letter is no word; the letters there are bytes from 128 on.
_NO_WORD = re.compile(r"[^\w\x00-\x7f]+")
_SEPARATOR, _LETTER, _DIGIT, _JOINER = range(4)


@dataclass(frozen=True)
class Words:
    """The words of some texts, one after another. N texts, W words."""

    hashes: Hashes
    """[W]"""
    is_number: npt.NDArray[np.bool_]
    """[W] True for a word that begins with a digit."""
    text_of: npt.NDArray[np.int64]
    """[W] index of the text that a word stands in."""
    num_texts: int


def hash_words(texts: Sequence[str]) -> Words:
    """The words of `texts`, which together should hold about BATCH_BYTES; see `batches`."""
    encoded = [_plain(text).encode("utf-8", errors="replace") for text in texts]
    data = b"\n".join(encoded) + b"\n"
    # Tables of bytes are several times faster than indexing.
    kinds = np.frombuffer(data.translate(_KINDS), np.uint8)
    in_word = (kinds == _LETTER) | (kinds == _DIGIT)
    joiners = np.flatnonzero(kinds == _JOINER)
    # The data ends in a separator, so a joiner always has a byte behind it; one at the very start looks at that end.
    joins = joiners[(kinds[joiners - 1] == _DIGIT) & (kinds[joiners + 1] == _DIGIT)]
    in_word[joins] = True
    edges = np.flatnonzero(np.diff(in_word, prepend=False))
    starts, ends = edges[::2], edges[1::2]
    powers, inverses = _powers(max(2 * BATCH_BYTES, 1 << len(data).bit_length()))
    sums = np.zeros(len(data) + 1, np.uint64)
    lower = np.frombuffer(data.translate(_LOWER), np.uint8)
    np.cumsum(np.multiply(lower, powers[: len(data)], dtype=np.uint64), out=sums[1:])
    hashes = _mix((sums[ends] - sums[starts]) * inverses[starts])
    text_ends = np.cumsum([len(item) + 1 for item in encoded], dtype=np.int64)
    words_before = np.searchsorted(starts, text_ends)
    text_of = np.repeat(np.arange(len(texts)), np.diff(words_before, prepend=0))
    return Words(hashes, kinds[starts] == _DIGIT, text_of, len(texts))


def batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """`texts` in consecutive runs of about BATCH_BYTES, each of one text at least."""
    first = size = 0
    for index, text in enumerate(texts):
        if size and size + len(text) > BATCH_BYTES:
            yield texts[first:index]
            first, size = index, 0
        size += len(text)
    if first < len(texts):
        yield texts[first:]


def shingles(words: Words, num_words: int) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Hash and text of every run of `num_words` words of one text, in their order; shorter texts have none."""
    count = len(words.hashes) - num_words + 1
    if count <= 0:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    hashes = words.hashes[:count].copy()
    for step in range(1, num_words):
        hashes *= _FACTORS[0]
        hashes += words.hashes[step : step + count]
    within = words.text_of[:count] == words.text_of[num_words - 1 :]
    return _mix(hashes[within]), words.text_of[:count][within]


def numbers(words: Words) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Hash and text of every number with the word before it: the 3.1 of "K 3.1" is another than that of "Ca 3.1"."""
    (places,) = np.nonzero(words.is_number)
    before = np.where(
        (places > 0) & (words.text_of[places - 1] == words.text_of[places]), words.hashes[places - 1], np.uint64(0)
    )
    return _mix(before * _FACTORS[2] + words.hashes[places]), words.text_of[places]


def distinct(hashes: Hashes, text_of: npt.NDArray[np.int64], num_texts: int) -> tuple[npt.NDArray[np.uint32], Hashes]:
    """The different values of each text as 32 bits, sorted, one text after another; and where each text's begin
    [N+1]."""
    keyed = (text_of.astype(np.uint64) << np.uint64(32)) | (hashes >> np.uint64(32))
    keyed.sort()
    if len(keyed):
        keyed = keyed[np.diff(keyed, prepend=keyed[0] ^ np.uint64(1)) != 0]
    starts = np.searchsorted(keyed, np.arange(num_texts + 1, dtype=np.uint64) << np.uint64(32)).astype(np.uint64)
    return keyed.astype(np.uint32), starts


def _plain(text: str) -> str:
    return text if text.isascii() else _NO_WORD.sub(" ", text)


def _mix(values: Hashes) -> Hashes:
    """Spread the bits, in place."""
    values ^= values >> np.uint64(30)
    values *= _FACTORS[0]
    values ^= values >> np.uint64(27)
    values *= _FACTORS[1]
    values ^= values >> np.uint64(31)
    return values


@lru_cache(maxsize=2)
def _powers(length: int) -> tuple[Hashes, Hashes]:
    """Powers of an odd base modulo 2^64, and of its inverse: hashes of words become differences of one running sum."""
    inverse = pow(_BASE, -1, 1 << 64)
    powers, inverses = (np.full(length, base, np.uint64) for base in (_BASE, inverse))
    powers[0] = inverses[0] = 1
    return np.cumprod(powers), np.cumprod(inverses)


def _kind(byte: int) -> int:
    char = chr(byte)
    if byte >= 128 or char.isalpha() or char == "_":
        return _LETTER
    return _DIGIT if char.isdigit() else _JOINER if char in ".,:/" else _SEPARATOR


_KINDS = bytes(map(_kind, range(256)))
_LOWER = bytes(range(256)).lower()
