"""Identifiers that their shape or their context gives away, found in linear time.

Every detector is one RE2 pass over the note's view (`deid.view`); see `detector`. The patterns are in `dates`,
`dictation`, `numbers`, `codes`, `places`, `streets`, `facilities`, `names`, `people`, `callings` and `earlier`. Left
alone on purpose: years and states alone (Safe Harbor lets both stay), eponyms, doses, vitals, scores and scales.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from data_pipeline.deid.lexicon import find_names
from data_pipeline.deid.patterns import (
    callings,
    codes,
    dates,
    dictation,
    earlier,
    facilities,
    names,
    numbers,
    people,
    places,
    streets,
)
from data_pipeline.deid.patterns.detector import Detector, Judge
from data_pipeline.deid.patterns.pattern_set import PatternSet, Search, searcher
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.view import byte_view, unwrapped

PATTERNS_VERSION = 6
"""Changes with every change of what patterns and lexicons find; it is part of a corpus' identity."""

_FIRST_WORD = re.compile(r"\w+")
_AUTOMATON_BYTES = 128 << 20
"""RE2 builds its automaton lazily and starts over when it outgrows this; a thousand given names need room."""


def find_by_pattern(plains: Sequence[str]) -> list[list[PhiSpan]]:
    """Identifiers in each view of `deid.view.plain_view`; spans may overlap.

    Hundreds of notes at a time are faster than one, because one automaton after the other stays in the processor's
    cache.
    """
    plains = [unwrapped(plain) for plain in plains]
    data = [byte_view(plain) for plain in plains]
    found: list[list[PhiSpan]] = [find_names(plain) for plain in plains]
    for group in _groups():
        notes_with: list[list[int]] = [[] for _ in group.detectors]
        for number, item in enumerate(data):
            for place in group.patterns.matching(item):
                notes_with[place].append(number)
        for (search, judge), numbers_of_notes in zip(group.detectors, notes_with, strict=True):
            for number in numbers_of_notes:
                found[number] += _find(search, judge, plains[number], data[number])
    return found


def _find(search: Search, judge: Judge, plain: str, data: bytes) -> Iterator[PhiSpan]:
    """What one detector finds."""
    position = 0
    while match := search(data, position):
        start, end = match
        last = 0
        for span in judge(plain, start, end):
            last = span.end
            yield span
        # What a judge trimmed off or refused may begin the next identifier: "Mr. Hill, Mrs. Hill".
        word = _FIRST_WORD.match(plain, start, end)
        position = max(last, word.end() if word else 0, start + 1)


@dataclass(frozen=True)
class _Group:
    """Detectors whose patterns are tried together."""

    patterns: PatternSet
    detectors: tuple[tuple[Search, Judge], ...]


def detector_groups() -> tuple[tuple[Detector, ...], ...]:
    """All detectors, in groups that are tried together.

    One group for all has the fewest passes and an automaton of many more states: some were fastest.
    """
    return (
        (*dates.DETECTORS, *dictation.DETECTORS, *numbers.DETECTORS),
        tuple(codes.DETECTORS),
        (*places.DETECTORS, *streets.DETECTORS),
        tuple(facilities.detectors()),
        tuple(names.detectors()),
        (*people.detectors(), *earlier.DETECTORS),
        tuple(callings.DETECTORS),
    )


@functools.cache
def _groups() -> tuple[_Group, ...]:
    def search_and_judge(item: Detector) -> tuple[Search, Judge]:
        return searcher(item.pattern, _AUTOMATON_BYTES), item.judge

    return tuple(
        _Group(PatternSet([item.pattern for item in group], _AUTOMATON_BYTES), tuple(map(search_and_judge, group)))
        for group in detector_groups()
    )
