"""Placeholders that an earlier de-identification left, in the manner of MIMIC-III's [**Known lastname 1234**].

They become ours, so that a corpus of several sources has one placeholder a class.
"""

import re
from collections.abc import Iterator

from data_pipeline.deid.patterns.detector import Detector
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.placeholders import PLACEHOLDER_PATTERN, PlaceholderClass

_EARLIER = r"\[\*\*[^\]\n*]{0,80}\*\*\]"
_CLASSES: tuple[tuple[str, PlaceholderClass], ...] = (
    (r"hospital|ward|clinic|facility", "HOSPITAL"),
    (r"name|initial|doctor|attending|dictator", "NAME"),
    (r"telephone|phone|fax|pager|contact", "PHONE"),
    (r"e-?mail", "EMAIL"),
    (r"url", "URL"),
    (r"medical record|mrn|unit number", "MRN"),
    (r"social security|ssn", "SSN"),
    (r"\bage\b", "AGE"),
    (r"location|address|street|city|state|country|zip|company|university|po box", "LOCATION"),
    (r"\d{1,4}-\d{1,2}|date|month|year|holiday|\d{4}|day", "DATE"),
)


def _judge_earlier(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    if PLACEHOLDER_PATTERN.fullmatch(plain, start, end):
        return
    inner = plain[start + 3 : end - 3]
    yield PhiSpan(start, end, next((cls for words, cls in _CLASSES if re.search(words, inner, re.I)), "ID"))


DETECTORS = (Detector(_EARLIER, _judge_earlier),)
