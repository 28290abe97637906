"""Whole-word masking: which tokens the model must predict, and what it sees in their place.

A word is a token and those after it that go on with it, in WordPiece the ## pieces. Words of a row are put in a random
order and taken until the row's share of its maskable tokens is reached; a word that crosses the limit is taken when at
least half of it lies within, so the share is met on average. Of the taken tokens 80% become [MASK], 10% a random piece
and 10% stay.

All random numbers are hashes of (row key, position in the row): a row is masked alike in any micro-batch on any rank.
"""

import numpy as np

from pretrain.data.counter_random import random_bits, uniform
from pretrain.data.vocabulary import Vocabulary

MASK_SHARE = 0.8
RANDOM_SHARE = 0.1
_ORDER_BITS = 48
"""Bits of a word's random rank in a sort key; the rest hold the row, so a micro-batch has at most 65,536 rows."""


def mask_rows(
    ids_RS: np.ndarray, maskable_RS: np.ndarray, row_keys: np.ndarray, probability: float, vocabulary: Vocabulary
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the ids after masking [R, S], the masked flat positions in R x S [M] ascending, and what stood there [M].

    `maskable_RS` is False at special tokens and padding. A ## piece after such a position begins a word of its own.
    """
    num_rows, row_len = ids_RS.shape
    assert num_rows <= 1 << (64 - _ORDER_BITS)
    tokens = np.flatnonzero(maskable_RS)
    ids = ids_RS.ravel()[tokens]
    follows = np.empty(len(tokens), bool)
    follows[:1] = False
    # Adjacent and not over a row's end, so in the same run of text.
    np.logical_and(np.diff(tokens) == 1, tokens[1:] % row_len != 0, out=follows[1:])
    follows[1:] &= vocabulary.is_continuable[ids[:-1]]
    begins = ~(follows & vocabulary.is_continuation[ids])

    chosen = tokens[_choose_words(tokens, begins, num_rows, row_len, row_keys, probability)]
    labels = ids_RS.ravel()[chosen]
    counters, keys = chosen % row_len, row_keys[chosen // row_len]
    action = uniform(keys, counters + row_len)
    pick = (uniform(keys, counters + 2 * row_len) * len(vocabulary.replacements)).astype(np.int64)
    seen = np.where(
        action < MASK_SHARE,
        vocabulary.mask,
        np.where(action < MASK_SHARE + RANDOM_SHARE, vocabulary.replacements[pick], labels),
    )
    masked_RS = ids_RS.copy()
    masked_RS.ravel()[chosen] = seen
    return masked_RS, chosen, labels


def _choose_words(
    tokens: np.ndarray, begins: np.ndarray, num_rows: int, row_len: int, row_keys: np.ndarray, probability: float
) -> np.ndarray:
    """True for the tokens of the words that are taken."""
    word_of_token = np.cumsum(begins) - 1
    first = tokens[begins]
    sizes = np.bincount(word_of_token, minlength=len(first))
    row = first // row_len
    rank = random_bits(row_keys[row], first % row_len) >> np.uint64(64 - _ORDER_BITS)
    order = np.argsort((row.astype(np.uint64) << np.uint64(_ORDER_BITS)) | rank, kind="stable")

    maskable_of_row = np.bincount(tokens // row_len, minlength=num_rows)
    limit_of_row = np.round(maskable_of_row * probability)
    tokens_before_row = np.cumsum(maskable_of_row) - maskable_of_row
    ordered_row = row[order]
    taken_up_to = np.cumsum(sizes[order]) - tokens_before_row[ordered_row]
    is_taken = np.empty(len(first), bool)
    is_taken[order] = taken_up_to - sizes[order] / 2 <= limit_of_row[ordered_row]
    return is_taken[word_of_token]
