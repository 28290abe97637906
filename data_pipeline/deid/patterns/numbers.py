"""Telephone numbers, addresses on the net, and the numbers of people, records and things.

A number alone says little. Long ones and those of a fixed shape are taken as they are, others only after a word such as
MRN, account or serial, and the weaker the word ("case", "unit") the more digits or signs ("#", "no.") it takes.
"""

import re
from collections.abc import Iterator

from data_pipeline.deid.patterns.detector import Detector, whole
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.placeholders import PlaceholderClass

_EMAIL = r"\b[A-Za-z0-9._%+-]+ ?@ ?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b"
_DOMAINS = "com|org|net|edu|gov"
_URL = "|".join(
    (
        r"\b(?i:https?|ftp)://[^\s<>\")]+",
        r"\b(?i:www)\.[A-Za-z0-9-]+\.[^\s<>\")]+",
        rf"\b[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.(?:{_DOMAINS})\b(?:/[^\s<>\")]*)?",
    )
)
_IP = (
    r"\b(?:\d{1,3}\.){3}\d{1,3}\b|\b(?:[0-9A-Fa-f]{1,4}:){4,7}:?[0-9A-Fa-f]{1,4}\b"
    r"|\b(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}\b"
)
_EXTENSION = r"(?:,? ?(?i:x|ext\.?|extension) ?\d{1,6}\b|\b)"
_PHONE = "|".join(
    (
        rf"(?:\+?\b(?:001|1)[-. ]?)?(?:\(\d{{3}}\)[ \n-]{{0,2}}|\b\d{{3}}[-. /])\d{{3}}[-. /]\d{{4}}{_EXTENSION}",
        rf"\(\d{{3}}\) ?\d{{7}}{_EXTENSION}",
        r"\b(?:[pcwhtf]|[PCWHTF]|ph|pg)[:.)]? \d{1,2}-\d{4}\b|\bp\d{4,5}\b",
        rf"\b\d{{3}}-\d{{4}}{_EXTENSION}",
        r"\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,5}\b",
        r"\b0\d{1,4}[ .-]\d{2,4}(?:[ .-]\d{2,4}){1,3}\b",
        r"\b[xX] ?-?(?:\d-)?\d{4,6}\b",
        r"\b0\d{4} \d{6}\b|\b0\d{2,3} \d{3,4} \d{3,4}\b|\(0\d{1,4}\) ?\d{3,4} ?\d{3,4}\b",
        r"\b(?i:spectralink|vocera|voalte|ascom|zone|vmail|vm|ext|extension|pager|beeper|desk|cell|call|phone|tel|fax|unit|office|at|dial)"
        r"[ :#.]{1,2}\d-\d{4}\b",
        r"\b(?i:ext\.?|extension|option)[ :#.]{1,2}\d{2,6}\b",
        r"\b(?i:pager|beeper|page|pgr|phone|telephone|tel|cell|mobile|fax|ext|extension|call|voicemail|contact|desk"
        r"|office|whatsapp|reached|ph|pgr|bpr|bleep|vmail|voalte|spectralink|ascom|vocera)"
        r"(?i: ?(?:number|no\.?|num|is|at|#|me at|us at|him at|her at))*[ :.#\n]{1,3}x?\+?\(?\d[\d() .-]{2,17}\d"
        r"(?:,? ?(?i:x|ext\.?) ?\d{1,6})?\b",
    )
)
_UNIT_AFTER_NUMBER = re.compile(
    r"\s?(?:mg|ml|mcg|g\b|cc|kcal|calorie|cells|units?|meq|cm|mm|hz|feet|m\b|[np]mol)|/", re.I
)
_RANGE_BEFORE_NUMBER = re.compile(
    r"(?:range|normal|levels?|ref\.?|between|reference|values?)(?: of| is|:)?\s*\(?$", re.I
)


HOURS = re.compile(r"(?:(?:[01]\d|2[0-3])[0-5]\d[ ,]?){2,6}")
"""Hours of a day in a row, as drugs and rounds have them."""


def _judge_url(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    # The full stop of a sentence is no part of the address that ends it.
    yield PhiSpan(start, start + len(plain[start:end].rstrip(".,;:")), "URL")


def _judge_ip(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    if ":" in plain[start:end] or all(int(part) < 256 for part in plain[start:end].split(".")):
        yield PhiSpan(start, end, "IP")


def _judge_phone(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    candidate = plain[start:end]
    number = re.search(r"[+(]?\d", candidate)
    is_extension = re.match(r"(?:ext|option)", candidate, re.I)
    if number is None or sum(char.isdigit() for char in candidate) < (2 if is_extension else 4):
        return
    if HOURS.fullmatch(candidate):
        return
    # "white cell 5.31" is a count though "cell" announces a telephone, "range 411-1248" one of a laboratory.
    if re.search(r" \d+\.\d+$", candidate) or _RANGE_BEFORE_NUMBER.search(plain[max(0, start - 20) : start]):
        return
    if not _UNIT_AFTER_NUMBER.match(plain, end):
        yield PhiSpan(start + number.start(), end, "PHONE")


_NUMBER_LINK = r"(?i:[ ]?(?:numbers?|no\.?|num\.?|#|id|is|was|of|code|:|=|-))*[ :#.]{0,3}"
_VALUE = r"\b[A-Z0-9][A-Z0-9-]{2,24}\b"
_ID_CUES: dict[PlaceholderClass, str] = {
    "SSN": r"ssn|ss|social security",
    "MRN": r"mrn|mr|medical record|med rec|unit|hospital|chart|patient id|patient|record|hist(?:ory)?|pt id|epi",
    "ACCOUNT": r"account|acct|encounter|visit|csn|fin|admission|har|bill(?:ing)?",
    "LICENSE": r"licen[sc]e(?: plate)?|lic|dea|npi|driver'?s licen[sc]e|dl|certificate|registration",
    "DEVICE": r"serial|s/n|sn|device|model|lot|implant|udi|imei|mac",
    "ID": r"fingerprint|biometric|voiceprint|retina(?:l)? scan|badge|employee|student|caller|ticket|invoice"
    r"|job|document|accession|specimen|case|order|insurance|policy|member|subscriber|health plan|beneficiary|group"
    r"|medicare|medicaid|confirmation|dictation|transcription|plate|vin|study|requisition|reference|passport|id",
}
_ID = "|".join(
    (
        rf"\b(?i:{'|'.join(_ID_CUES.values())}){_NUMBER_LINK}{_VALUE}",
        r"\b\d{3}[- ]\d{2}[- ]\d{4}\b",
        r"\b[A-Z]{0,4}-?\d{7,}\b",
        r"\b[A-Z]{2,4}\d{5,}[A-Z]?\b",
        r"\b[A-Z]{2}\d{2}[A-Z0-9]{4}\d{6,22}\b",
        r"\b[A-HJ-NPR-Z0-9]{17}\b",
        r"\b[A-Z]{2,5}-\d{3,}-\d{3,}\b",
        r"\b(?:\d{4}[ -]){3}\d{1,7}\b",
        r"#\s?(?:[A-Z]{1,4}-?)?\d{5,}\b",
        r"\b\d{2}-\d{2}-\d{2}(?:-\d{1,2})?\b",
        # Accession and pathology numbers: S19-12345, CT-31-77196.
        r"\b[A-Z]{1,4}-?\d{2}-\d{4,8}(?:-\d{1,3})?\b",
    )
)
_ID_CUE_CLASSES = [(cls, re.compile(rf"(?:{cues})(?![a-z])", re.I)) for cls, cues in _ID_CUES.items()]
_ID_VALUE_AT_END = re.compile(r"[A-Z0-9][A-Z0-9-]*$")
_WEAK_CUE = re.compile(
    r"(?:unit|hospital|patient|chart|record|case|order|group|model|lot|mr|ss|sn|study|visit|lic|dl|id|hist|fin|har|mac"
    r"|job|admission|history|document|device|reference|registration|certificate|plate|policy|member|specimen|bill"
    r"|epi)$",
    re.I,
)
_LINK_MARK = re.compile(r"#|:|=|\bno\b|\bnum|\bid\b|\bcode\b", re.I)


def _judge_id(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    candidate = plain[start:end]
    if re.fullmatch(r"\d{3}[- ]\d{2}[- ]\d{4}", candidate):
        yield PhiSpan(start, end, "SSN")
        return
    if re.fullmatch(r"(?:\d{4}[ -]){3}\d{1,7}", candidate):
        yield PhiSpan(start, end, "ACCOUNT")
        return
    value = _ID_VALUE_AT_END.search(candidate)
    if value is None:
        return
    # A day, as long as it can be one, is for the patterns of dates; letters of a sequence are no number.
    if re.fullmatch(r"\d\d-\d\d-\d\d(?:-\d{1,2})?", candidate):
        first, second, *_ = (int(part) for part in candidate.split("-"))
        if max(first, second) > 31 and candidate[:1] != "0" and not _UNIT_AFTER_NUMBER.match(plain, end):
            yield PhiSpan(start, end, "ID")
        return
    context = candidate[: value.start()]
    digits = sum(char.isdigit() for char in value[0])
    if not context:
        if digits >= 5 and not _UNIT_AFTER_NUMBER.match(plain, end):
            yield PhiSpan(start, end, "ID")
        return
    cue = re.match(r"[A-Za-z/' ]*[A-Za-z]", context)
    name = cue[0] if cue else ""
    marked = _LINK_MARK.search(context[len(name) :]) or re.search(r"\b(?:numbers?|no|num|id)\b", name, re.I)
    if digits < 3 or digits * 3 < len(value[0]) or (not marked and re.fullmatch(r"\d{1,4}-\d{1,4}", value[0])):
        return
    # "unit 300" and "case 12345" are too little; a sign such as '#' or five digits settle it.
    if not marked and (digits < 5 or (_WEAK_CUE.search(name) and digits < 6)):
        return
    if marked and digits < 4 and _WEAK_CUE.search(re.split(r"\b(?:number|no|num)\b", name, flags=re.I)[0].strip()):
        return
    cls: PlaceholderClass = next((cls for cls, cues in _ID_CUE_CLASSES if cues.match(context)), "ID")
    yield PhiSpan(start + value.start(), end, cls)


_SPELLED_OUT = "|".join(
    (
        r"\b(?i:plate|tag|rego|reg|registration|vehicle|car|lic)s?(?i: number| no\.?| is|:"
        r"|#){0,2} (?:[A-Z]{2} )?[A-Z0-9]{1,4}[ -][A-Z0-9]{2,5}\b",
        r"\b(?i:ssn|social security)[^.\n\d]{0,20}(?i:ending|last (?:4|four))[^\d\n]{0,14}\d{4}\b",
        (
            r"\b(?i:user ?name|user id|user|login|handle|instagram|facebook|twitter|skype)(?i: is)?[:=@ "
            r"]{1,3}[A-Za-z][A-Za-z0-9._-]*[0-9_][A-Za-z0-9._-]*"
        ),
        (
            r"\b(?i:helicopter|aircraft|tail|flight|vehicle|truck|ambulance)(?i: number| no\.?|:|#){0,2} "
            r"[A-Z]{1,2}\d{2,5}[A-Z]{0,2}\b"
        ),
        r"(?:^|[\s(:])@[A-Za-z][A-Za-z0-9_]{3,}\b",
    )
)
_PLATE = (
    r"\b(?i:plates?|rego|reg|registration|tags?)(?i: number| no\.?| is| are|:|#){0,2} [A-Z0-9]{1,4}-?[A-Z0-9]{2,6}\b"
)
_SPELLED_VALUE = re.compile(r"(?:(?:[A-Z]{2} )?[A-Z0-9]{1,4}[ -][A-Z0-9]{2,5}|\b\d{4}|@?[A-Za-z0-9._-]+)$")


def _judge_spelled_out(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    value = _SPELLED_VALUE.search(plain, start, end)
    if value and re.search(r"\d|@", value[0]) and not _VERTEBRAE.fullmatch(value[0]):
        end -= plain[start:end].endswith(".")
        yield PhiSpan(
            value.start(), end, "SSN" if re.match(r"(?i)s", plain[start:end]) and value[0].isdigit() else "ID"
        )


# "locking plate C3-C5"
_VERTEBRAE = re.compile(r"[CTLS]\d\d?[- ][CTLS]?\d\d?")


def _judge_plate(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    value = re.search(r"[A-Z0-9-]+$", plain[start:end])
    if value is None or _VERTEBRAE.fullmatch(value[0]):
        return
    if re.search(r"[A-Z]", value[0]) and re.search(r"\d", value[0]) and len(value[0]) > 3:
        yield PhiSpan(start + value.start(), end, "LICENSE")


DETECTORS = (
    Detector(_PLATE, _judge_plate),
    Detector(_SPELLED_OUT, _judge_spelled_out),
    Detector(_EMAIL, whole("EMAIL")),
    Detector(_URL, _judge_url),
    Detector(_IP, _judge_ip),
    Detector(_PHONE, _judge_phone),
    Detector(_ID, _judge_id),
)
