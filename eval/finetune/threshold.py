"""From which probability on a word counts as an identifier, chosen on the dev notes.

A tagger joins other detectors by union, so what counts is what it adds to them. The lowest threshold is taken at which
what it adds wrongly stays within a hundredth of all that is replaced, with a certainty of 95% for other notes of the
kind: the most is found for a price that is known. Few dev notes say little, so they allow less than a hundredth
themselves. Where the notes do not say what the others find ("found"), the tagger is taken to work alone.
"""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from eval.examples import Document, Span
from eval.words import document_words

MAX_WRONG_SHARE = 0.01
"""Of all words that are replaced, those that the tagger adds wrongly."""

DEVIATIONS = 1.64
"""A count of wrong words is taken to be so many standard deviations (its square root) higher: 95% certainty."""

LOWEST, HIGHEST = 0.05, 0.999
_SPELT = re.compile(r"\w")


class Judged(NamedTuple):
    """A word of the dev notes."""

    inside: float
    """The model's probability that it belongs to some entity."""
    is_gold: bool
    is_found: bool
    """Whether another detector finds it."""


def judged_words(documents: Sequence[Document], outside: Sequence[Sequence[float]]) -> list[Judged]:
    """The words with a letter or digit, in order; `outside` is what the model says of each word."""
    judged = []
    for document, shares in zip(documents, outside, strict=True):
        words = document_words(document)
        gold = _touched(words, [span for entity in document.entities for span in entity.spans])
        found = _touched(words, document.found)
        for number, ((start, end), share) in enumerate(zip(words, shares, strict=True)):
            if _SPELT.search(document.text, start, end):
                judged.append(Judged(1 - share, number in gold, number in found))
    return judged


def choose_threshold(words: Sequence[Judged], max_wrong_share: float = MAX_WRONG_SHARE) -> float:
    """The lowest threshold that keeps the promise above, between LOWEST and HIGHEST."""
    replaced = sum(word.is_found for word in words)
    wrong, best = 0, HIGHEST
    open_words = sorted((word for word in words if not word.is_found), key=lambda word: -word.inside)
    for number, word in enumerate(open_words):
        replaced += 1
        wrong += not word.is_gold
        below = open_words[number + 1].inside if number + 1 < len(open_words) else 0.0
        # Words of one probability come together, so a threshold lies only between two of them.
        if below < word.inside and expected_at_most(wrong) <= max_wrong_share * replaced:
            best = min(best, (word.inside + below) / 2)
    return min(max(best, LOWEST), HIGHEST)


def expected_at_most(seen: int) -> float:
    """How many are to be expected at most where so many were seen by chance."""
    return seen + DEVIATIONS * math.sqrt(seen)


def _touched(words: Sequence[Span], spans: Sequence[Span]) -> set[int]:
    """Numbers of the words that a span touches."""
    touched: set[int] = set()
    ordered = sorted(spans)
    first = 0
    for number, (start, end) in enumerate(words):
        while first < len(ordered) and ordered[first][1] <= start:
            first += 1
        if first < len(ordered) and ordered[first][0] < end:
            touched.add(number)
    return touched
