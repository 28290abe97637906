"""Numbers and days that were spoken: "two seven zero five five five", "january eighth twenty twenty four".

Seven or more digits one after the other are a telephone or record number, whatever else is said of them. A day is a
month with a number in words, or numbers in words behind "date of birth".
"""

import re
from collections.abc import Iterator

from data_pipeline.deid.patterns.detector import Detector, whole
from data_pipeline.deid.spans import PhiSpan

_DIGIT = r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|niner|double|triple)"
_TEEN = r"(?:ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen)"
_TENS = r"(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
_NUMBER = rf"(?:{_DIGIT}|{_TEEN}|{_TENS}|hundred|thousand)"
_GAP = r"(?:[ ,-]{1,2}|, ?dash,? | dash | hyphen )"
_SPOKEN = rf"\b(?i:(?:{_DIGIT}{_GAP}){{6,20}}{_DIGIT})\b|\b(?i:(?:{_NUMBER}{_GAP}){{7,20}}{_NUMBER})\b"
_CUED = (
    r"\b(?i:(?:mrn|medical record|record|account|acct|phone|telephone|cell|fax|pager|extension|ext|room|zip(?: code)?"
    r"|social"
    rf"|case|claim|policy|member|id)(?: number| no| is| at"
    rf"| ending in)*[ :]{{1,2}}(?:{_NUMBER}{_GAP}){{3,12}}{_NUMBER})\b"
)
_ORDINAL = (
    r"(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth|fourteenth|fifteenth"
    r"|sixteenth|seventeenth|eighteenth|nineteenth|twentieth|thirtieth|(?:twenty|thirty)[- ]"
    r"(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth))"
)
_MONTH = r"(?:january|february|march|april|may|june|july|august|september|october|november|december)"
_YEAR = (
    rf"(?:(?:nineteen|twenty|eighteen)[ -](?:(?:oh|o|zero)[ -])?(?:{_TENS}(?:[ -]{_DIGIT})?|{_TEEN}|{_DIGIT})"
    rf"|two thousand(?:(?: and)? (?:{_TENS}(?:[ -]{_DIGIT})?|{_TEEN}|{_DIGIT}))?|(?:1[89]|20)\d\d)"
)
_CARDINAL = rf"(?:{_TENS}(?:[ -]{_DIGIT})?|{_TEEN}|{_DIGIT})"
_DATE = (
    rf"\b(?i:{_MONTH} (?:the )?(?:{_ORDINAL}|\d{{1,2}}(?:st|nd|rd|th)|{_CARDINAL})(?:,? (?:of )?{_YEAR})?)\b"
    rf"|\b(?i:{_MONTH} \d{{1,2}},? (?:of )?{_YEAR})\b"
    rf"|\b(?i:(?:the )?{_ORDINAL} (?:of |day of )?{_MONTH}(?:,? {_YEAR})?)\b"
    rf"|\b(?i:{_MONTH},? (?:of )?{_YEAR})\b"
    rf"|\b(?i:(?:mon|tues|wednes|thurs|fri|satur|sun)day,? the (?:{_ORDINAL}|\d{{1,2}}(?:st|nd|rd|th)))\b"
)
_BARE_MAY = re.compile(r"(?:may|march|second) ", re.I)
_BORN = (
    rf"\b(?i:(?:date of birth|birth ?date|d\.?o\.?b\.?|born(?: on)?"
    rf"|d o b)[ :]{{1,2}}(?:{_CARDINAL}[ ,-]{{1,2}}){{2,6}}{_CARDINAL})\b"
)
_BORN_HEAD = re.compile(r"(?:date of birth|birth ?date|d\.?o\.?b\.?|born(?: on)?|d o b)[ :]{1,2}", re.I)
_CUE_HEAD = re.compile(rf"[a-z ]+?[ :]{{1,2}}(?={_NUMBER}\b)", re.I)
_ON_THE = rf"\b(?i:(?:on|since|by|until|till|before|after|from|through) the {_ORDINAL})\b"
_ON_THE_HEAD = re.compile(r"[a-z]+ the ", re.I)
_ON_THE_TAIL = re.compile(r"\s*(?:$|[.,;:)\n]|(?:at|to|he|she|they|we|with|for|of (?:this|the|last|next))\b)")
_E_MAIL = (
    r"\b(?i:[a-z0-9._-]+ ?(?:\(at\)|\[at\]| at ) ?[a-z0-9-]+(?: ?(?:\(dot\)|\[dot\]| dot |\.) ?[a-z0-9-]+)* ?"
    r"(?:\(dot\)|\[dot\]| dot ) ?(?:com|org|net|edu|gov|health|example|co|uk|ca|in))\b"
)


def _judge_date(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    text = plain[start:end]
    # "may one", "march two" and "second may" are too little; a year or an ordinal settles it.
    if _BARE_MAY.match(text) and not re.search(rf"{_ORDINAL}|\d", text, re.I):
        return
    yield PhiSpan(start, end, "DATE")


def _judge_born(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _BORN_HEAD.match(plain, start, end)
    yield PhiSpan(head.end() if head else start, end, "DATE")


def _judge_cued(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _CUE_HEAD.match(plain, start, end)
    yield PhiSpan(head.end() if head else start, end, "ID")


def _judge_on_the(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _ON_THE_HEAD.match(plain, start, end)
    if head and _ON_THE_TAIL.match(plain, end):
        yield PhiSpan(head.end(), end, "DATE")


DETECTORS = (
    Detector(_SPOKEN, whole("PHONE")),
    Detector(_CUED, _judge_cued),
    Detector(_DATE, _judge_date),
    Detector(_BORN, _judge_born),
    Detector(_ON_THE, _judge_on_the),
    Detector(_E_MAIL, whole("EMAIL")),
)
