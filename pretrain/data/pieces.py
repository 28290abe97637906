"""Cuts documents into pieces: runs of sentences of one document that fit a row together with their special tokens.

    [CLS] A [SEP] B [SEP]    two or more sentences; A and B consecutive runs, swapped half of the time (order label 1)
    [CLS] A [SEP]            one sentence, which has no order to learn: such a piece carries no order label; without
                             the sentence-order objective every piece is of this form

Greedy from a document's start: a piece takes sentences while they fit, so a document longer than a row becomes several
pieces cut between sentences. Sentences longer than a piece are first cut into equal parts. Every token of a document
is in exactly one piece. Only lengths are looked at here; tokens are read when a row is built.
"""

from dataclasses import dataclass

import numpy as np

SPECIALS_OF_PAIR = 3
SPECIALS_OF_SINGLE = 2


@dataclass(frozen=True)
class Units:
    """Sentences, or parts of overlong ones, of some documents one after another."""

    ends: np.ndarray
    """[U + 1] int64: tokens before each unit, and of all."""
    document_bounds: np.ndarray
    """[D + 1] int64: first unit of each document, and U."""


@dataclass(frozen=True)
class Pieces:
    """Runs of units, in the order of the documents."""

    first: np.ndarray
    """[P] int64: first unit."""
    end: np.ndarray
    """[P] int64: unit after the last."""

    def lengths(self, units: Units, has_pairs: bool = True) -> np.ndarray:
        """Tokens of each piece with its special ones; without pairs every piece is one run."""
        specials = np.where((self.end - self.first > 1) & has_pairs, SPECIALS_OF_PAIR, SPECIALS_OF_SINGLE)
        return units.ends[self.end] - units.ends[self.first] + specials


def make_units(sentence_lengths: np.ndarray, document_bounds: np.ndarray, max_len: int) -> Units:
    """Cut sentences over `max_len` tokens into as few, equally long parts as possible; drop those of no tokens.

    `document_bounds` [D + 1] counts sentences as `Units.document_bounds` counts units.
    """
    lengths = sentence_lengths.astype(np.int64)
    parts = -(-lengths // max_len)
    parts_before = np.concatenate(([0], np.cumsum(parts)))
    sentence = np.repeat(np.arange(len(lengths)), parts)
    number = np.arange(len(sentence)) - parts_before[sentence]
    # The first (length mod parts) parts are one token longer.
    part_lengths = lengths[sentence] // parts[sentence] + (number < lengths[sentence] % parts[sentence])
    return Units(np.concatenate(([0], np.cumsum(part_lengths))), parts_before[document_bounds])


def cut_pieces(units: Units, seq_len: int) -> Pieces:
    """All documents at once, one piece of each a turn."""
    max_tokens = seq_len - SPECIALS_OF_PAIR
    position, stop = units.document_bounds[:-1], units.document_bounds[1:]
    firsts, ends = [], []
    while True:
        unfinished = position < stop
        position, stop = position[unfinished], stop[unfinished]
        if not len(position):
            break
        fits_up_to = np.searchsorted(units.ends, units.ends[position] + max_tokens, side="right") - 1
        end = np.minimum(fits_up_to, stop)
        firsts.append(position)
        ends.append(end)
        position = end
    if not firsts:
        return Pieces(np.empty(0, np.int64), np.empty(0, np.int64))
    first, end = np.concatenate(firsts), np.concatenate(ends)
    order = np.argsort(first, kind="stable")
    return Pieces(first[order], end[order])


def dissolve(pieces: Pieces, which: np.ndarray) -> Pieces:
    """Make each unit of the pieces where `which` [P] is True a piece of its own."""
    counts = np.where(which, pieces.end - pieces.first, 1)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    first = np.repeat(pieces.first, counts) + number
    return Pieces(first, np.where(np.repeat(which, counts), first + 1, np.repeat(pieces.end, counts)))
