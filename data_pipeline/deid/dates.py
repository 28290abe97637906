"""Dates in the forms that notes use, and ages over 89.

The hard case is the bare "4/13": the same shape is a pain score, a murmur's grade, a strength or half a tablet. What
stands before and after it decides; where nothing does, it is whether things are scored out of the second number.
"""

import re
from collections.abc import Iterator

from data_pipeline.deid.detector import Detector
from data_pipeline.deid.spans import PhiSpan

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?|JAN(?:UARY)?|FEB(?:RUARY)?|MAR(?:CH)?|APR(?:IL)?|MAY|JUNE?|JULY?|AUG(?:UST)?"
    r"|SEPT?(?:EMBER)?|OCT(?:OBER)?|NOV(?:EMBER)?|DEC(?:EMBER)?|jan(?:uary)?|feb(?:ruary)?|march|apr(?:il)?|june?|july?"
    r"|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_MONTH_NUMBER = r"(?:0?[1-9]|1[0-2])"
_YEAR = r"(?:1[89]\d\d|2[0-2]\d\d)"
_ORDINAL = r"(?i:st|nd|rd|th)?"
_WEEKDAY = r"(?:(?i:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?i:day)?[,.]?\s)"
_CUED_DAY = (
    r"(?i:on|since|until|till|through|dated|date|seen|home|admitted|discharged|d/c|due|last|f/u|encounter|visit|note"
    r"|appt|rtc)"
)
_HOLIDAY = (
    r"(?:Christmas|New Year'?s?|Thanksgiving|Easter|Halloween|Labor Day|Memorial Day|Mother's Day|Father's Day"
    r"|Valentine'?s"
    r"|Independence Day|Veterans Day|Columbus Day|Passover|Hanukkah|Ramadan|St\. Patrick's)(?: (?:Day|Eve))?(?:,? "
    r"\d{4}\b)?"
)
_DAY_TAIL = re.compile(r"the \d\d?[a-z]{2}$")
_CUED_TAIL = re.compile(r"\d\d?-\d\d?$")

_DATE = "|".join(
    (
        rf"\b{_YEAR}[-/.]{_MONTH_NUMBER}[-/.]{_DAY}(?:\b|T\d\d:\d\d(?::\d\d)?)",
        rf"{_WEEKDAY}?\b{_MONTH_NUMBER}/(?:\s?{_DAY}/\s?{_YEAR}|{_DAY}/\d\d)\b",
        rf"\b(?:{_DAY}\.{_MONTH_NUMBER}|{_MONTH_NUMBER}\.{_DAY})\.\d\d\b",
        rf"\b{_CUED_DAY} {_MONTH_NUMBER}-{_DAY}\b",
        rf"\b(?i:on|since|until|till|by|before|after) the {_DAY}(?:st|nd|rd|th)\b",
        rf"\b(?:{_HOLIDAY})\b",
        rf"\b{_DAY}[/.-]{_MONTH_NUMBER}[/.-]{_YEAR}\b",
        rf"\b{_MONTH_NUMBER}[.-]{_DAY}[.-]{_YEAR}\b",
        r"\b\d\d[.-]\d\d[.-]\d\d\b",
        rf"\b{_MONTH_NUMBER}-{_DAY}-\d\d\b",
        rf"\b{_MONTH_NUMBER}/{_YEAR}\b",
        rf"{_WEEKDAY}?\b{_MONTH}\.?\s{{1,2}}{_DAY}{_ORDINAL}\b(?:,?\s{{1,2}}(?:{_YEAR}\b|'\d\d\b))?",
        rf"\b{_DAY}{_ORDINAL}[ -]?(?:of )?{_MONTH}\.?(?:[ ,-]{{0,2}}(?:{_YEAR}|'?\d\d)\b|\b)",
        rf"\b{_MONTH}\.?(?:,|\s+of)?\s{{1,2}}{_YEAR}\b",
        r"\bmay \d{1,2}(?:st|nd|rd|th)\b(?:,? \d{4}\b)?",
        rf"\b{_MONTH}(?:[-/.]| ?')(?:{_YEAR}|\d\d)\b",
        rf"{_WEEKDAY}\b{_MONTH_NUMBER}/{_DAY}\b",
        rf"\b{_MONTH_NUMBER}/{_DAY}(?: ?- ?| to | thru | through ){_MONTH_NUMBER}/{_DAY}\b",
        rf"\b{_MONTH_NUMBER}/{_DAY}\b",
    )
)
_BARE_DATE = re.compile(r"(\d\d?)/(\d\d?)")
_BARE_RANGE = re.compile(r"(\d\d?)/(\d\d?)[ a-z-]+(\d\d?)/(\d\d?)")
_CUE_OF_DATE = re.compile(
    r"(?:\b(?:on|since|until|till|through|thru|dated?|dates?|seen|birth|dob|doa|admitted|discharged?|dictated|due|"
    r"last|lmp|by|before|after|from|as of|admission|procedure|operation|surgery|service|visit|"
    r"onset|rn|md|np|d|t|dd|dt|edc|edd|verified|week of)\b[:\s,(]*)$",
    re.I,
)
_CUE_OF_STUDY = re.compile(
    r"\b(?:ct|mri|x-?ray|cxr|echo|ekg|ultrasound|examination|biopsy|study)\b[^.;\n]{0,30},\s$", re.I
)
_CUE_OF_PLACE_IN_TIME = re.compile(r"(?:\bin\s)$", re.I)
_CAPITAL_BEFORE_IN = re.compile(r"(?:[A-Z][a-z]+|, [A-Z]{2}) in $")
_CUE_OF_SCORE = re.compile(
    r"(?:(?:pain|strength|murmur|grade|graded|scale|score|apgars?|motor|reflex(?:es)?|pulses?|power|rated|rates?|gcs|"
    r"systolic|muscle|flexors?|extensors?|bilaterally|acuity|eye|vision|glasgow|bp|nodes?)"
    r"(?:\s(?:is|was|of|at|as|a|are|were|score|level|today|now|about|approximately|currently|with|and|or|to|in|on))*"
    r"[\s:,(]*|=\s?|[+#<>~./*-]|\dx)$",
    re.I,
)
_NOT_AFTER_DATE = re.compile(
    r"(?:\s?(?:%|mg|ml|mcg|cc|cm|mm|inch|inches|lb|oz|kg|hour|hr|tab|tablet|teaspoon|tsp|cup|pack|ppd|normal|ns\b|"
    r"strength|murmur|systolic|diastolic|pain|intensity|power|motor|pulses?|bilateral|throughout|in all|scale|nodes?|"
    r"positive|lymph|of\b|cores?|quadrants?|point|vicryl|percent|dose|mets|months?|years?|days|weeks?|reflex|ejection|"
    r"full|symmetric|on a|out of|o[ds]\b|proximally|distally)|[/\d]|\.\d|-\d)",
    re.I,
)
_LEADING_SPACE = re.compile(r"\s*")


def _judge_date(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    candidate = plain[start:end]
    days = _BARE_RANGE.fullmatch(candidate)
    # "4/5 to 5/5" is strength, "1/2-1/5" is four days: days of one range are out of two numbers, and rise.
    if days and (days[2] == days[4] or not _is_bare_date(plain, start, end, 12, 31)):
        return
    if _DAY_TAIL.search(candidate):
        # "seen on the 3rd, and", not "on the 3rd digit".
        if re.match(
            r"\s*(?:$|[.,;:)\n]|(?:at|and|he|she|they|we|with|for|of (?:this|the|last) month)\b)", plain[end : end + 20]
        ):
            yield PhiSpan(start + candidate.index("the ") + 4, end, "DATE")
        return
    cued = _CUED_TAIL.search(candidate) if candidate[0].isalpha() else None
    if cued:
        if not _NOT_AFTER_DATE.match(plain[end : end + 14]):
            yield PhiSpan(start + cued.start(), end, "DATE")
        return
    short = re.fullmatch(r"\d\d?-\d\d?-(\d\d)", candidate)
    # "3-3-58" can be nothing else; "1-2-10" needs a word before it.
    if short and len(candidate) < 8 and int(short[1]) <= 31 and not _has_cue(plain, start):
        return
    bare = _BARE_DATE.fullmatch(candidate)
    if bare is not None and not _is_bare_date(plain, start, end, int(bare[1]), int(bare[2])):
        return
    # "T12-11-10" and "1.12-10-20" are levels and ranges, "may 5" a sentence that goes on.
    if start and plain[start - 1] in "./-" and candidate[0].isdigit():
        return
    if re.fullmatch(r"\d\d[.-]\d\d[.-]\d\d", candidate) and not _is_numeric_date(candidate):
        return
    yield PhiSpan(start, end, "DATE")


def _has_cue(plain: str, start: int) -> bool:
    before = plain[max(0, start - 40) : start]
    return bool(_CUE_OF_DATE.search(before) or re.search(r"\b(?:b\.|born)\s$", before))


def _is_numeric_date(candidate: str) -> bool:
    first, second, _ = (int(part) for part in re.split(r"[.-]", candidate))
    return 1 <= first <= 31 and 1 <= second <= 31 and min(first, second) <= 12


def _is_bare_date(plain: str, start: int, end: int, first: int, second: int) -> bool:
    """Whether "4/13" is a day; "5/10" after pain, "3/6" before murmur and "1/2" before a tablet are not."""
    before = plain[max(0, start - 40) : start]
    after = plain[end : end + 14]
    if _NOT_AFTER_DATE.match(after) or _CUE_OF_SCORE.search(before):
        return False
    if re.match(r"\s?in\b", after) and second in (2, 3, 4, 8, 16) and first < second:
        return False
    if _CUE_OF_DATE.search(before) or _CUE_OF_STUDY.search(before):
        return True
    # Scores and fractions count up to what they are out of; days of a month beyond 10 are out of nothing usual.
    could_be_score = first <= second and second <= 10 and second != 7
    if _CUE_OF_PLACE_IN_TIME.search(before):
        # "moved from Dover, OH in 7/10": after a name of a place it is a day, whatever the numbers.
        return _CAPITAL_BEFORE_IN.search(before) is not None or not (first <= second and second in (5, 10))
    return not could_be_score


_OLD = r"(?:9\d|1[0-2]\d)"
_OLD_WORD = (
    r"(?i:ninety(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?"
    r"|(?:a |one )?hundred(?: and)?(?: (?:one|two|three|four|five))?)"
)
_AGE = "|".join(
    (
        rf"\b(?:{_OLD}|{_OLD_WORD})[- ]*(?i:year|yr)s?[- ]*(?i:olds?|of age)\b",
        rf"\b{_OLD}[- ]?(?i:y\.?/?o\b|y/o|yr/o)",
        rf"\b{_OLD} ?(?:M\b|(?i:male|female|woman|man|lady|gentleman)\b)",
        rf"\b(?i:age|aged|age:|age is|age of)\s{{1,2}}(?:{_OLD}|{_OLD_WORD})\b",
        rf"\b(?i:she is|he is|patient is|she's|he's|now) {_OLD_WORD}[.,;\n]",
        (
            rf"\b{_OLD} ?[FfMm] (?:p/w|with|w/|c/o|h/o|s/p|who|admitted|presents?|presenting|here|hx|PMH|found|from|in"
            rf"|c)\b"
        ),
        r"\b(?:nonagenarian|centenarian)\b",
    )
)
_OLD_NUMBER = re.compile(rf"{_OLD}|{_OLD_WORD.replace('(?i:', '(?:')}", re.I)


def _judge_age(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    number = _OLD_NUMBER.search(plain, start, end)
    if number is None:
        yield PhiSpan(start, end, "AGE")
    else:
        yield PhiSpan(number.start(), number.end(), "AGE")


DETECTORS = (Detector(_DATE, _judge_date), Detector(_AGE, _judge_age))
