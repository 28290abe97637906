"""Identifiers that their shape or their context gives away, found in linear time.

Every detector is one RE2 pass over the note's view (`deid.view`); see `deid.detector`. The patterns are in `dates`,
`numbers`, `places`, `names` and `earlier`. Left alone on purpose: years and states alone (Safe Harbor lets both stay),
eponyms, doses, vitals, scores and scales.
"""

import functools
import re
from typing import Any

import re2

from data_pipeline.deid import (
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
from data_pipeline.deid.detector import Judge
from data_pipeline.deid.lexicon import find_names
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.view import byte_view, unwrapped

PATTERNS_VERSION = 3
"""Changes with every change of behaviour of the patterns; it is part of a corpus' identity."""

_FIRST_WORD = re.compile(r"\w+")
_AUTOMATON_BYTES = 128 << 20
"""RE2 builds its automaton lazily and starts over when it outgrows this; a thousand given names need room."""


def find_by_pattern(plain: str) -> list[PhiSpan]:
    """Identifiers in a view of `deid.view.plain_view`; spans may overlap."""
    plain = unwrapped(plain)
    data = byte_view(plain)
    found: list[PhiSpan] = []
    for compiled, judge in _compiled():
        position = 0
        while match := compiled.search(data, position):
            start, end = match.span()
            spans = list(judge(plain, start, end))
            found += spans
            # What a judge trimmed off or refused may begin the next identifier: "Mr. Hill, Mrs. Hill".
            word = _FIRST_WORD.match(plain, start, end)
            position = max(spans[-1].end if spans else 0, word.end() if word else 0, start + 1)
    return found + find_names(plain)


@functools.cache
def _compiled() -> tuple[tuple[Any, Judge], ...]:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = _AUTOMATON_BYTES
    detectors = (
        *dates.DETECTORS,
        *dictation.DETECTORS,
        *numbers.DETECTORS,
        *codes.DETECTORS,
        *places.DETECTORS,
        *streets.DETECTORS,
        *facilities.detectors(),
        *names.detectors(),
        *people.detectors(),
        *callings.DETECTORS,
        *earlier.DETECTORS,
    )
    return tuple((re2.compile(item.pattern.encode("latin-1"), options), item.judge) for item in detectors)
