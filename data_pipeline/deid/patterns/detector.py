"""One detector: a pattern that proposes candidates and a function that judges them.

The pattern runs in RE2 over the whole note, without groups, as a plain automaton in linear time. The judge looks at
each candidate alone, with the words around it, and yields the identifiers in it, or nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from data_pipeline.deid.spans import PhiSpan
from data_pipeline.placeholders import PlaceholderClass

Judge = Callable[[str, int, int], Iterator[PhiSpan]]
"""From the note's view and a candidate's bounds to the identifiers in it."""


@dataclass(frozen=True)
class Detector:
    """A pattern in RE2's syntax and its judge."""

    pattern: str
    judge: Judge


def whole(cls: PlaceholderClass) -> Judge:
    """A judge that takes every candidate as it is."""

    def judge(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
        yield PhiSpan(start, end, cls)

    return judge
