"""Identifiers that their shape gives away, looked for in the finished text.

Fewer and stricter than the detectors' patterns: where one of these is left, a detector failed. Each note that is held
back without need is a note lost, so a bare "4/13", a pain score or a count of cells is none.
"""

import functools
import re
from pathlib import Path
from typing import Literal, get_args

from data_pipeline.byte_patterns import compiled

Shape = Literal[
    "SSN shape",
    "phone shape",
    "e-mail shape",
    "web address shape",
    "IP shape",
    "record number shape",
    "date shape",
    "age over 89 shape",
    "street shape",
    "titled name shape",
]
SHAPES: tuple[Shape, ...] = get_args(Shape)

_MONTH = (
    "(?:[Jj]an(?:uary)?|JAN(?:UARY)?|[Ff]eb(?:ruary)?|FEB(?:RUARY)?|[Mm]ar(?:ch)?|MAR(?:CH)?|[Aa]pr(?:il)?|APR(?:IL)?"
    "|[Mm]ay|MAY|[Jj]une?|JUNE?|[Jj]uly?|JULY?|[Aa]ug(?:ust)?|AUG(?:UST)?|[Ss]ept?(?:ember)?|SEPT?(?:EMBER)?"
    "|[Oo]ct(?:ober)?|OCT(?:OBER)?|[Nn]ov(?:ember)?|NOV(?:EMBER)?|[Dd]ec(?:ember)?|DEC(?:EMBER)?)"
)
_D, _M, _Y = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)\d\d"
_CUE = (
    "(?i:mrn|medical record|med rec|record|unit|chart|acct|account|ssn|social security|dea|npi|csn|fin|accession|serial"
    "|policy|member|licen[sc]e|passport|beneficiary|encounter)"
)
_PHONE_CUE = "(?i:pager|beeper|phone|telephone|tel|fax|cell|mobile|voicemail)"
_PATTERNS: dict[Shape, str] = {
    "SSN shape": r"\b\d{3}-\d\d-\d{4}\b|\b\d{3} \d\d \d{4}\b",
    "phone shape": r"(?:\(\d{3}\) ?|\b\d{3}[-. ])\d{3}[-. ]\d{4}\b"
    rf"|\b{_PHONE_CUE}(?i:[ :.#]|number|no|is|at)*\d{{3}}[-. ]\d{{4}}\b",
    "e-mail shape": r"\b[A-Za-z0-9._%+-]+ ?(?:@|\(at\)|\[at\]) ?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b",
    "web address shape": r"(?i:https?://|ftp://|\bwww\.)[A-Za-z0-9]",
    "IP shape": r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b",
    "record number shape": rf"\b{_CUE}(?i:[ :.#=-]|number|no|num|id|is)*[A-Z]{{0,4}}-?\d[\d-]{{3,}}\d\b|\b\d{{7,}}\b",
    "date shape": rf"\b{_M}/{_D}/(?:{_Y}|\d\d)\b|\b{_D}/{_M}/{_Y}\b|\b{_M}-{_D}-{_Y}\b"
    rf"|\b{_D}[.-]{_M}[.-]{_Y}\b|\b{_Y}[-/]{_M}[-/]{_D}\b"
    rf"|\b{_MONTH}\.? {_D}(?:st|nd|rd|th)?,? {_Y}\b|\b{_D}(?:st|nd|rd|th)?[ -]?{_MONTH}[ ,.-]{{0,2}}(?:{_Y}|'?\d\d)\b",
    "age over 89 shape": r"\b(?:9\d|1[0-2]\d)[- ]?(?i:years?|yrs?)[- ](?i:old)\b|\b(?:9\d|1[0-2]\d)[- ]?(?i:y/?o)\b",
    "street shape": r"\b\d{1,5} (?:[NSEW]\.? )?[A-Z][a-z]+(?: [A-Z][a-z]+)? "
    r"(?:Street|St|Avenue|Ave|Road|Rd|Court|Ct|Drive|Lane|Ln|Boulevard|Blvd|Parkway|Terrace)\b",
    "titled name shape": r"\b(?:Dr|Mr|Mrs|Prof)\.? {1,2}[A-Z][a-z'-]+|\b(?:Ms|DR|MR|MRS|MS)\. {1,2}[A-Z][A-Za-z'-]+",
}
_ANY_SHAPE = "|".join(_PATTERNS.values()).encode("latin-1")
_AUTOMATON_BYTES = 64 << 20
_FILLER = re.compile(r"abcd?e?f?|xyz|x+|y+|z+")
"""What stands for a name where notes were made anonymous before: Mr. Abc, Dr. XYZ."""
_ALSO_ILLNESS = re.compile(r"M[RS]\.")
"""Written in capitals it may be multiple sclerosis or mental retardation at the end of a sentence."""
_UNIT_AFTER = re.compile(
    r"\s?(?:mg|ml|mcg|g\b|cc|kcal|cells?|units?|u\b|iu\b|meq|cm|mm|copies|/|x\b|cfu|colon|per\b|particles|platelets)",
    re.I,
)


def find_shapes(plain: str) -> set[Shape]:
    """Shapes that a `plain_letters` text without placeholders holds."""
    found: set[Shape] = set()
    for match in compiled(_ANY_SHAPE, _AUTOMATON_BYTES).finditer(plain.encode("latin-1", "replace")):
        candidate = match[0].decode("latin-1")
        for shape, pattern in _single_shapes():
            if pattern.fullmatch(candidate):
                if _is_innocent(shape, candidate, plain, match.start(), match.end()):
                    continue
                found.add(shape)
                break
    return found


def _is_innocent(shape: Shape, candidate: str, plain: str, start: int, end: int) -> bool:
    if shape == "titled name shape":
        return _is_nobody(candidate)
    return shape == "record number shape" and _is_count(candidate, plain, start, end)


def _is_nobody(candidate: str) -> bool:
    title, name = candidate.split(maxsplit=1)
    word = name.strip().lower().removesuffix("'s")
    if word in _words("openers.txt") or _FILLER.fullmatch(word):
        # "seen by Dr. The plan is": the name is gone and a sentence begins.
        return True
    # "typical of MS. Children are": a name in capitals, or one that is no such word, counts.
    return bool(_ALSO_ILLNESS.fullmatch(title)) and not name.isupper() and word in _words("after_illness.txt")


@functools.cache
def _words(file: str) -> frozenset[str]:
    return frozenset((Path(__file__).parent / file).read_text(encoding="utf-8").split())


def _is_count(candidate: str, plain: str, start: int, end: int) -> bool:
    """ "1500000 copies", the digits of a decimal fraction, a sequence of noughts: numbers, but nobody's."""
    if not candidate.isdigit():
        return False
    before = plain[max(0, start - 1) : start]
    return before in (".", ",") or candidate.strip("0") in ("", "1", "5") or bool(_UNIT_AFTER.match(plain, end))


@functools.cache
def _single_shapes() -> tuple[tuple[Shape, re.Pattern[str]], ...]:
    return tuple((shape, re.compile(pattern)) for shape, pattern in _PATTERNS.items())
