"""Dates in a text, by their numbers: to look for a patient's own date of birth, however it is written."""

import contextlib
import datetime
import re
from collections.abc import Iterator
from typing import NamedTuple

from data_pipeline.byte_patterns import compiled

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAME = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"
_FORMS = re.compile(
    r"(?<!\d)(?:"
    r"(?P<y1>\d{4})[-/. ]?(?P<m1>\d\d?)[-/. ]?(?P<d1>\d\d?)"
    r"|(?P<a>\d\d?)\s?[-/.]\s?(?P<b>\d\d?)(?:\s?[-/.]\s?(?P<y2>\d{4}|\d\d))?"
    rf"|(?P<d3>\d\d?)(?:st|nd|rd|th)?[-\s]?(?:of\s)?{_NAME.replace('(', '(?P<n3>', 1)}"
    r"\.?,?[-\s']{0,2}(?P<y3>\d{4}|\d\d)?"
    rf"|(?<![a-z]){_NAME.replace('(', '(?P<n4>', 1)}"
    r"\.?[-\s]{0,2}(?P<d4>\d\d?)(?:st|nd|rd|th)?(?:,?[-\s']{0,2}(?P<y4>\d{4}|\d\d))?"
    r")(?!\d)",
    re.I,
)


# The same places for RE2, which finds them in linear time; what they say is read by the pattern above.
_PLACES = (
    rb"(?i)\d{4}[-/. ]?\d\d?[-/. ]?\d\d?|\d\d?\s?[-/.]\s?\d\d?\s?[-/.]\s?\d\d"
    rb"|\d\d?(?:st|nd|rd|th)?[-\s]?(?:of\s)?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
    rb"|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?[-\s]{0,2}\d|\b(?:born|birth|dob)\b.{0,12}?\d\d?/\d"
)
_BIRTH = re.compile(r"(?:born|birth|dob).{0,12}?(?=\d)", re.I | re.S)


class FoundDate(NamedTuple):
    """Year as written (two digits, four, or None), month and day."""

    year: int | None
    month: int
    day: int

    def is_of(self, date: datetime.date) -> bool:
        """Whether this may be `date`; without a year the day alone decides."""
        if (self.month, self.day) != (date.month, date.day):
            return False
        return self.year is None or self.year == date.year or self.year == date.year % 100

    def isoformat(self) -> str:
        """For a date with its whole year."""
        return f"{self.year:04d}-{self.month:02d}-{self.day:02d}"


def find_dates(text: str) -> Iterator[FoundDate]:
    """Every reading of every date: "2/3/50" is both the third of February and the second of March.

    A bare "2/3" is a date only behind "born" or "DOB"; elsewhere it is a strength or a fraction.
    """
    for place in compiled(_PLACES).finditer(text.encode("latin-1", "replace")):
        start = place.start()
        cue = _BIRTH.match(text, start)
        match = _FORMS.match(text, cue.end() if cue else start)
        if match is None:
            continue
        part = match.groupdict()
        if part["y1"]:
            yield from _if_valid(int(part["y1"]), int(part["m1"]), int(part["d1"]))
        elif part["a"]:
            year = int(part["y2"]) if part["y2"] else None
            first, second = int(part["a"]), int(part["b"])
            yield from _if_valid(year, first, second)
            if first != second:
                yield from _if_valid(year, second, first)
        else:
            which = "3" if part["n3"] else "4"
            year = int(part[f"y{which}"]) if part[f"y{which}"] else None
            yield from _if_valid(year, 1 + _MONTHS.index(part[f"n{which}"].lower()), int(part[f"d{which}"]))


def read_dates(value: str) -> list[datetime.date]:
    """A roster's date of birth in every reading; two digits of a year are taken as a century ago at most."""
    dates = []
    for found in find_dates(value):
        if found.year is None:
            continue
        year = found.year if found.year > 99 else found.year + (1900 if found.year > 30 else 2000)
        with contextlib.suppress(ValueError):
            dates.append(datetime.date(year, found.month, found.day))
    return sorted(set(dates))


def _if_valid(year: int | None, month: int, day: int) -> Iterator[FoundDate]:
    if 1 <= month <= 12 and 1 <= day <= 31:
        yield FoundDate(year, month, day)
