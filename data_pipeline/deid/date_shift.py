"""A date moved by some days and written as it was: same order, signs, width, case and kind of month name.

    "3/9/19" + 40 → "4/18/19"      "Mon, March 3rd, 2014" + 40 → "Sat, April 12th, 2014"      "12Mar19" + 40 → "21Apr19"

All full dates of a patient move by the same number of days, so the time between them stays. A day without its year
moves within `year`, a month alone moves from its middle. What cannot be read as a date gives None.
"""

import datetime
import re
from dataclasses import dataclass

from data_pipeline.deid.words import MONTHS

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NAME = re.compile(r"[A-Za-z]{3,}")
_NUMBER = re.compile(r"\d+")
_ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th)\b", re.I)
_CLOCK = re.compile(r"T\d\d:\d\d.*$")
_RANGE = re.compile(r"(\d\d?/\d\d?)( ?- ?| to | thru | through )(\d\d?/\d\d?)")
_PIVOT = 70
"""Two figures from here on are of the twentieth century."""


@dataclass
class _Parts:
    """Where the parts of a date stand in its text; None where it has none."""

    year: re.Match[str] | None = None
    month: re.Match[str] | None = None
    day: re.Match[str] | None = None
    month_is_name: bool = False


def shift_date(written: str, days: int, year: int) -> str | None:
    """The date `written`, `days` later; `year` stands in where it names none."""
    of_two = _RANGE.fullmatch(written)
    if of_two:
        first, second = (shift_date(part, days, year) for part in (of_two[1], of_two[3]))
        return None if first is None or second is None else f"{first}{of_two[2]}{second}"
    clock = _CLOCK.search(written)
    text = written[: clock.start()] if clock else written
    parts = _read(text)
    date = _date(parts, year) if parts else None
    if parts is None or date is None:
        return None
    try:
        moved = date + datetime.timedelta(days=days)
    except OverflowError:
        return None
    return _write(text, parts, moved) + (clock[0] if clock else "")


def year_of(written: str) -> int | None:
    """The year that a date names, if it does."""
    parts = _read(_CLOCK.sub("", written))
    return _year(parts.year[0]) if parts and parts.year else None


def _read(text: str) -> _Parts | None:
    numbers = list(_NUMBER.finditer(text))
    names = [match for match in _NAME.finditer(text) if _month_of(match[0])]
    if len(names) == 1:
        return _read_named(text, names[0], numbers)
    if names or not 2 <= len(numbers) <= 3:
        return None
    first, second = numbers[0], numbers[1]
    if len(numbers) == 2:
        if len(second[0]) == 4:
            return _Parts(month=first, year=second)
        return _Parts(month=first, day=second)
    third = numbers[2]
    if len(first[0]) == 4:
        return _Parts(year=first, month=second, day=third)
    # With full stops the day comes first, as in Europe, unless the figures say otherwise.
    day_first = int(first[0]) > 12 or ("." in text and int(second[0]) <= 12)
    month, day = (second, first) if day_first else (first, second)
    return _Parts(year=third, month=month, day=day)


def _read_named(text: str, month: re.Match[str], numbers: list[re.Match[str]]) -> _Parts | None:
    parts = _Parts(month=month, month_is_name=True)
    if len(numbers) == 2:
        parts.day, parts.year = numbers if len(numbers[0][0]) <= 2 else reversed(numbers)
    elif len(numbers) == 1:
        only = numbers[0]
        # "Mar-19" and "Mar '15" are a month, "March 19" is a day.
        between = text[month.end() : only.start()]
        is_year = len(only[0]) == 4 or "'" in between or (bool(re.fullmatch(r"[-/.]", between)))
        if is_year:
            parts.year = only
        else:
            parts.day = only
    else:
        return None
    return parts


def _date(parts: _Parts, year: int) -> datetime.date | None:
    assert parts.month is not None
    month = _month_of(parts.month[0]) if parts.month_is_name else int(parts.month[0])
    try:
        return datetime.date(
            _year(parts.year[0]) if parts.year else year, month or 0, int(parts.day[0]) if parts.day else 15
        )
    except ValueError:
        return None


def _year(figures: str) -> int:
    number = int(figures)
    return number if len(figures) > 2 else number + (1900 if number >= _PIVOT else 2000)


def _month_of(word: str) -> int | None:
    lower = word.lower()
    return next((n for n, name in enumerate(MONTHS, 1) if name.startswith(lower) or (n == 9 and lower == "sept")), None)


def _write(text: str, parts: _Parts, moved: datetime.date) -> str:
    replaced: list[tuple[int, int, str]] = []
    for match, number in ((parts.day, moved.day), (parts.year, moved.year)):
        if match is not None:
            width = len(match[0])
            value = f"{number % 100:02}" if match is parts.year and width == 2 else f"{number:0{width}}"
            replaced.append((match.start(), match.end(), value))
    assert parts.month is not None
    month = (
        _like(parts.month[0], MONTHS[moved.month - 1])
        if parts.month_is_name
        else f"{moved.month:0{len(parts.month[0])}}"
    )
    replaced.append((parts.month.start(), parts.month.end(), month))
    for match in _NAME.finditer(text):
        if any(day.startswith(match[0].lower()[:3]) for day in _WEEKDAYS) and match.span() != parts.month.span():
            replaced.append((match.start(), match.end(), _like(match[0], _WEEKDAYS[moved.weekday()])))
    ordinal = _ORDINAL.search(text)
    if ordinal and parts.day:
        replaced.append((ordinal.start(), ordinal.end(), _ordinal(moved.day)))
    for start, end, value in sorted(replaced, reverse=True):
        text = text[:start] + value + text[end:]
    return text


def _like(model: str, word: str) -> str:
    """`word` in the case of `model`, and as short where that is an abbreviation."""
    if len(model) <= 4 and model.lower() not in (*MONTHS, *_WEEKDAYS):
        word = word[:3]
    elif model.lower() == "may":
        word = word[:3] if model.isupper() else word
    return word.upper() if model.isupper() else word.capitalize() if model[0].isupper() else word


def _ordinal(day: int) -> str:
    return "th" if 10 < day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
