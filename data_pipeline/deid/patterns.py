"""Identifiers that their shape or their context gives away, found in linear time.

Each detector is one RE2 pass over the note's view (`deid.view`) with no groups, which RE2 runs as a plain automaton. It
proposes candidates; a small function then looks at each candidate alone and trims it to the identifier, or refuses it.
What decides between a date and a fraction, or a surname and a ward, is in those functions and the words next to it.

Left alone on purpose: years and states alone (Safe Harbor lets both stay), eponyms, doses, vitals, scores and scales.
"""

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import re2

from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.view import byte_view
from data_pipeline.placeholders import PlaceholderClass

PATTERNS_VERSION = 1
"""Changes with every change of behaviour here; it is part of a corpus' identity."""

Judge = Callable[[str, int, int], Iterator[PhiSpan]]
"""From the view and a candidate's bounds to the identifiers in it."""


@dataclass(frozen=True)
class Detector:
    """One pass: a pattern that proposes and a function that judges."""

    pattern: str
    judge: Judge


def find_by_pattern(plain: str) -> list[PhiSpan]:
    """Identifiers in a view of `deid.view.plain_view`; spans may overlap."""
    data = byte_view(plain)
    found: list[PhiSpan] = []
    for compiled, judge in _compiled():
        for match in compiled.finditer(data):
            found.extend(judge(plain, match.start(), match.end()))
    return found


# ---- dates -----------------------------------------------------------------------------------------------------------

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?|JAN(?:UARY)?|FEB(?:RUARY)?|MAR(?:CH)?|APR(?:IL)?|MAY|JUNE?|JULY?|AUG(?:UST)?"
    r"|SEPT?(?:EMBER)?|OCT(?:OBER)?|NOV(?:EMBER)?|DEC(?:EMBER)?|jan(?:uary)?|feb(?:ruary)?|march|apr(?:il)?|june?|july?"
    r"|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_MONTH_NUMBER = r"(?:0?[1-9]|1[0-2])"
_YEAR = r"(?:1[89]\d\d|2[0-2]\d\d)"
_ORDINAL = r"(?:st|nd|rd|th)?"
_WEEKDAY = r"(?:(?i:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?i:day)?[,.]?\s)"

_DATE = "|".join(
    (
        rf"\b{_YEAR}[-/.]{_MONTH_NUMBER}[-/.]{_DAY}\b",
        rf"{_WEEKDAY}?\b{_MONTH_NUMBER}/{_DAY}/(?:{_YEAR}|\d\d)\b",
        rf"\b{_DAY}[/.-]{_MONTH_NUMBER}[/.-]{_YEAR}\b",
        rf"\b{_MONTH_NUMBER}[.-]{_DAY}[.-]{_YEAR}\b",
        rf"\b\d\d[.-]\d\d[.-]\d\d\b",
        rf"\b{_MONTH_NUMBER}/{_YEAR}\b",
        rf"{_WEEKDAY}?\b{_MONTH}\.?\s{{1,2}}{_DAY}{_ORDINAL}\b(?:,?\s{{1,2}}(?:{_YEAR}\b|'\d\d\b))?",
        rf"\b{_DAY}{_ORDINAL}[ -]?(?:of )?{_MONTH}\.?(?:[ ,-]{{0,2}}(?:{_YEAR}|'?\d\d)\b|\b)",
        rf"\b{_MONTH}\.?(?:,|\s+of)?\s{{1,2}}{_YEAR}\b",
        rf"\b{_MONTH}[-/.'](?:{_YEAR}|\d\d)\b",
        rf"{_WEEKDAY}\b{_MONTH_NUMBER}/{_DAY}\b",
        rf"\b{_MONTH_NUMBER}/{_DAY}\b",
    )
)
_BARE_DATE = re.compile(r"(\d\d?)/(\d\d?)")
_CUE_OF_DATE = re.compile(
    r"(?:\b(?:on|since|until|till|through|thru|dated?|dates?|seen|birth|dob|doa|admitted|discharged?|dictated|due|"
    r"last|lmp|by|before|after|from|as of|admission|procedure|operation|surgery|service|visit|onset|d|t|dd|dt|edc|edd|verified|yesterday|today|tomorrow|week of)\b[:\s,(]*)$",
    re.I,
)
_CUE_OF_PLACE_IN_TIME = re.compile(r"(?:\bin\s)$", re.I)
_CAPITAL_BEFORE_IN = re.compile(r"(?:[A-Z][a-z]+|, [A-Z]{2}) in $")
_CUE_OF_SCORE = re.compile(
    r"(?:pain|strength|murmur|grade|graded|scale|score|apgars?|motor|reflex(?:es)?|pulses?|power|rated|rates?|gcs|"
    r"systolic|muscle|flexors?|extensors?|bilaterally|visual acuity|bp|nodes?|[+#<>=~./*-]|\dx)"
    r"(?:\s(?:is|was|of|at|as|a|are|were|score|level|today|now|about|approximately|currently|with|and|or|to|in|on))*[\s:,(]*$",
    re.I,
)
_NOT_AFTER_DATE = re.compile(
    r"(?:\s?(?:%|mg|ml|mcg|cc|cm|mm|inch|inches|in\b|lb|oz|kg|hour|hr|tab|tablet|teaspoon|tsp|cup|pack|ppd|normal|ns\b|"
    r"strength|murmur|systolic|diastolic|pain|intensity|power|motor|pulses?|bilateral|throughout|in all|scale|nodes?|"
    r"positive|lymph|of\b|cores?|quadrants?|point|vicryl|percent|dose|mets|months?|years?|days|weeks?|reflex|ejection|"
    r"full|symmetric|on a|out of|proximally|distally)|[/\d]|\.\d|-\d)",
    re.I,
)
_LEADING_SPACE = re.compile(r"\s*")


def _judge_date(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    candidate = plain[start:end]
    bare = _BARE_DATE.fullmatch(candidate)
    if bare is not None and not _is_bare_date(plain, start, end, int(bare[1]), int(bare[2])):
        return
    # "T12-11-10" and "1.12-10-20" are levels and ranges, "may 5" a sentence that goes on.
    if start and plain[start - 1] in "./-" and candidate[0].isdigit():
        return
    if re.fullmatch(r"\d\d[.-]\d\d[.-]\d\d", candidate) and not _is_numeric_date(candidate):
        return
    yield PhiSpan(start, end, "DATE")


def _is_numeric_date(candidate: str) -> bool:
    first, second, _ = (int(part) for part in re.split(r"[.-]", candidate))
    return 1 <= first <= 31 and 1 <= second <= 31 and min(first, second) <= 12


def _is_bare_date(plain: str, start: int, end: int, first: int, second: int) -> bool:
    """Whether "4/13" is a day; "5/10" after pain, "3/6" before murmur and "1/2" before a tablet are not."""
    before = plain[max(0, start - 40) : start]
    after = plain[end : end + 14]
    if _NOT_AFTER_DATE.match(after) or _CUE_OF_SCORE.search(before):
        return False
    if _CUE_OF_DATE.search(before):
        return True
    # Scores and fractions count up to what they are out of; days of a month beyond 10 are out of nothing usual.
    could_be_score = first <= second and second <= 10 and second != 7
    if _CUE_OF_PLACE_IN_TIME.search(before):
        # "moved from Dover, OH in 7/10": after a name of a place it is a day, whatever the numbers.
        return _CAPITAL_BEFORE_IN.search(before) is not None or not (first <= second and second in (5, 10))
    return not could_be_score and second != 12


# ---- ages over 89 ----------------------------------------------------------------------------------------------------

_OLD = r"(?:9\d|1[0-2]\d)"
_OLD_WORD = r"(?i:ninety(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?|(?:a |one )?hundred(?: and)?(?: (?:one|two|three|four|five))?)"
_AGE = "|".join(
    (
        rf"\b(?:{_OLD}|{_OLD_WORD})[- ]*(?i:year|yr)s?[- ]*(?i:olds?|of age)\b",
        rf"\b{_OLD}[- ]?(?i:y\.?/?o\b|y/o|yr/o)",
        rf"\b{_OLD} ?(?:[MF]\b|(?i:male|female|woman|man|lady|gentleman)\b)",
        rf"\b(?i:age|aged|age:|age is|turned|age of)\s{{1,2}}{_OLD}\b",
    )
)
_OLD_NUMBER = re.compile(rf"{_OLD}|{_OLD_WORD.replace('(?i:', '(?:')}", re.I)


def _judge_age(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    number = _OLD_NUMBER.search(plain, start, end)
    if number:
        yield PhiSpan(number.start(), number.end(), "AGE")


# ---- contacts --------------------------------------------------------------------------------------------------------

_CONTACT = "|".join(
    (
        r"\b[A-Za-z0-9._%+-]+ ?@ ?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b",
        r"\b(?i:https?|ftp)://[^\s<>\")]+",
        r"\b(?i:www)\.[A-Za-z0-9-]+\.[^\s<>\")]+",
        r"\b[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.(?:com|org|net|edu|gov)\b(?:/[^\s<>\")]*)?",
        r"\b(?:\d{1,3}\.){3}\d{1,3}\b",
        r"(?:\+?\b1[-. ])?(?:\(\d{3}\)[ -]{0,2}|\b\d{3}[-. /])\d{3}[-. ]\d{4}\b(?:,? ?(?i:x|ext\.?|extension) ?\d{1,6}\b)?",
        r"\b\d{3}-\d{4}\b(?: ?(?i:x|ext\.?|extension) ?\d{1,6}\b)?",
        r"\b(?i:pager|beeper|page|pgr|phone|telephone|tel|cell|mobile|fax|ext|extension|call|voicemail|contact)"
        r"(?i: ?(?:number|no\.?|num|is|at|#|me at|us at|him at|her at))*[ :.#]{1,3}\+?\(?\d[\d() .-]{2,17}\d\b",
    )
)
_UNIT_AFTER_NUMBER = re.compile(r"\s?(?:mg|ml|mcg|g\b|cc|kcal|calorie|cells|units?|meq|cm|mm|hz|feet|m\b|/)", re.I)


def _judge_contact(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    candidate = plain[start:end]
    if "@" in candidate:
        yield PhiSpan(start, end, "EMAIL")
    elif re.match(r"(?:https?|ftp)://|www\.", candidate, re.I) or re.match(r"[A-Za-z0-9.-]*[A-Za-z]", candidate) and re.search(
        r"\.(?:com|org|net|edu|gov)\b", candidate
    ):
        yield PhiSpan(start, start + len(candidate.rstrip(".,;:")), "URL")
    elif candidate.count(".") == 3 and re.fullmatch(r"[\d.]+", candidate):
        if all(int(part) < 256 for part in candidate.split(".")):
            yield PhiSpan(start, end, "IP")
    else:
        number = re.search(r"[+(]?\d", candidate)
        digits = sum(char.isdigit() for char in candidate)
        # "white cell 5.31" is a count, though "cell" also announces a telephone.
        if number and digits >= 4 and not re.search(r" \d+\.\d+$", candidate) and not _UNIT_AFTER_NUMBER.match(plain, end):
            yield PhiSpan(start + number.start(), end, "PHONE")


# ---- numbers that name a person, a record or a thing -----------------------------------------------------------------

_NUMBER_LINK = r"(?i:[ ]?(?:numbers?|no\.?|num\.?|#|id|is|was|of|code|:|=|-))*[ :#.]{0,3}"
_VALUE = r"\b[A-Z0-9][A-Z0-9-]{2,24}\b"
_ID_CUES: dict[PlaceholderClass, str] = {
    "SSN": r"ssn|ss|social security",
    "MRN": r"mrn|mr|medical record|med rec|unit|hospital|chart|patient id|patient|record|hist(?:ory)?|pt id|epi",
    "ACCOUNT": r"account|acct|encounter|visit|csn|fin|admission|har|bill(?:ing)?",
    "LICENSE": r"licen[sc]e|lic|dea|npi|driver'?s licen[sc]e|dl|certificate|registration",
    "DEVICE": r"serial|s/n|sn|device|model|lot|implant|udi|imei|mac",
    "ID": r"job|document|accession|specimen|case|order|insurance|policy|member|subscriber|health plan|beneficiary|group"
    r"|medicare|medicaid|confirmation|dictation|transcription|plate|vin|study|requisition|reference|passport|id",
}
_ID = "|".join(
    (
        *(rf"\b(?i:{cues}){_NUMBER_LINK}{_VALUE}" for cues in ["|".join(_ID_CUES.values())]),
        r"\b\d{3}[- ]\d{2}[- ]\d{4}\b",
        r"\b[A-Z]{0,4}-?\d{7,}\b",
        r"\b[A-Z]{2,4}\d{5,}[A-Z]?\b",
    )
)
_ID_CUE_CLASSES = [(cls, re.compile(rf"(?:{cues})(?![a-z])", re.I)) for cls, cues in _ID_CUES.items()]
_ID_VALUE_AT_END = re.compile(r"[A-Z0-9][A-Z0-9-]*$")
_WEAK_CUE = re.compile(r"(?:unit|hospital|patient|chart|record|case|order|group|model|lot|mr|ss|sn|study|visit|lic|dl|id|hist|fin|har|mac|job|admission|history|document|device|reference|registration|certificate|plate|policy|member|specimen|registration|bill|epi)$", re.I)
_LINK_MARK = re.compile(r"#|:|=|\bno\b|\bnum|\bid\b|\bcode\b", re.I)


def _judge_id(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    candidate = plain[start:end]
    if re.fullmatch(r"\d{3}[- ]\d{2}[- ]\d{4}", candidate):
        yield PhiSpan(start, end, "SSN")
        return
    value = _ID_VALUE_AT_END.search(candidate)
    if value is None:
        return
    context = candidate[: value.start()]
    digits = sum(char.isdigit() for char in value[0])
    if not context:
        if not _UNIT_AFTER_NUMBER.match(plain, end):
            yield PhiSpan(start, end, "ID")
        return
    if digits < 3 or digits * 3 < len(value[0]) or re.fullmatch(r"\d{1,4}-\d{1,4}", value[0]):
        return
    cue = re.match(r"[A-Za-z/' ]*[A-Za-z]", context)
    name = cue[0] if cue else ""
    marked = _LINK_MARK.search(context[len(name) :]) or re.search(r"\b(?:numbers?|no|num|id)\b", name, re.I)
    # "unit 300" and "case 12345" are too little; a sign such as '#' or five digits settle it.
    if not marked and (digits < 5 or _WEAK_CUE.search(name) and digits < 6):
        return
    if marked and digits < 4 and _WEAK_CUE.search(re.split(r"\b(?:number|no|num)\b", name, flags=re.I)[0].strip()):
        return
    cls = next((cls for cls, cues in _ID_CUE_CLASSES if cues.match(context)), "ID")
    yield PhiSpan(start + value.start(), end, cls)


# ---- places ----------------------------------------------------------------------------------------------------------

_CAPITAL = r"[A-Z][A-Za-z'.-]+"
_STATE_CODES = (
    "AL|AK|AZ|AR|CA|CO|CT|DC|DE|FL|GA|HI|IA|ID|IL|IN|KS|KY|LA|MA|MD|ME|MI|MN|MO|MS|MT|NC|ND|NE|NH|NJ|NM|NV|NY|OH|OK|OR|PA|"
    "RI|SC|SD|TN|TX|UT|VA|VT|WA|WI|WV|WY"
)
_STATE_NAMES = (
    "Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|Idaho|Illinois|"
    "Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|"
    "Montana|Nebraska|Nevada|New Hampshire|New Jersey|New Mexico|New York|North Carolina|North Dakota|Ohio|Oklahoma|"
    "Oregon|Pennsylvania|Rhode Island|South Carolina|South Dakota|Tennessee|Texas|Utah|Vermont|Virginia|Washington|"
    "West Virginia|Wisconsin|Wyoming"
)
# Codes that are also credentials or abbreviations of the ward count only before a ZIP code.
_AMBIGUOUS_STATES = frozenset("MD PA OR IN ME ID MS DC CO LA AL MA MI HI DE MO MT NC PE".split())
_STREET = (
    "Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Way|Place|Pl|Circle|Cir|Terrace|Ter|Parkway|"
    "Pkwy|Highway|Hwy|Square|Trail|Pike|Turnpike|Route|Alley|Crescent"
)
_ZIP = r"\d{5}(?:-\d{4})?\b"
_TOWN_TAIL = rf"(?:,? {{1,2}}(?:{_STATE_CODES}|{_STATE_NAMES})\b)?(?:,? {{1,2}}{_ZIP})?"
_LOCATION = "|".join(
    (
        rf"\b\d{{1,5}}[A-Z]? (?:[NSEW]{{1,2}}\.? |North |South |East |West )?(?:(?:{_CAPITAL}|\d{{1,3}}(?:st|nd|rd|th)) ){{1,3}}(?:{_STREET})\b\.?"
        rf"(?:,? (?i:apt|apartment|suite|ste|unit|#)\.? ?\w{{1,6}})?(?:[,\n] ?{_CAPITAL}(?: {_CAPITAL})?{_TOWN_TAIL})?",
        r"\b(?i:p\.? ?o\.? box) \d{1,6}\b",
        rf"\b{_CAPITAL}(?: {_CAPITAL})?, (?:{_STATE_NAMES})\b(?: {_ZIP})?",
        rf"\b{_CAPITAL}(?: {_CAPITAL})?, (?:{_STATE_CODES})\b(?: {_ZIP})?",
        rf"\b(?:{_STATE_CODES}) {_ZIP}",
        rf"\b(?i:zip(?: ?code)?)[ :]{{1,2}}{_ZIP}",
        rf"\b(?i:lives|living|resides|residing|born|raised|moved|relocated|traveled|resident|native|originally)(?: here| there| alone| now| back)? "
        rf"(?i:in|at|from|to|near|of) (?:the )?{_CAPITAL}(?: {_CAPITAL})?(?:, {_CAPITAL}(?: {_CAPITAL})?)?",
        rf"\b(?i:city|town|address|home address|residence|county)[ ]?: ?(?:{_CAPITAL}|\d+)(?:,? (?:{_CAPITAL}|\d+)){{0,6}}",
    )
)
_CUE_OF_LOCATION = re.compile(
    r"(?:lives|living|resides|residing|born|raised|moved|relocated|traveled|resident|native|originally)[a-z ]*? "
    r"(?:in|at|from|to|near|of) (?:the )?|(?:city|town|address|home address|residence|county) ?: ?|zip(?: ?code)?[ :]{1,2}",
    re.I,
)


def _judge_location(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    candidate = plain[start:end]
    cue = _CUE_OF_LOCATION.match(candidate)
    if cue:
        rest = candidate[cue.end() :]
        first = re.match(r"[A-Za-z']+", rest)
        if first and (first[0].lower() in not_names() or first[0].lower() in _GENERIC_PLACE):
            return
        yield PhiSpan(start + cue.end(), start + len(candidate.rstrip(".")), "LOCATION")
        return
    town = re.fullmatch(rf"(.+), ({_STATE_CODES})", candidate)
    if town:
        first = re.match(r"[A-Za-z']+", candidate)
        if town[2] in _AMBIGUOUS_STATES or candidate[:3].isupper() or first and first[0].lower() in not_names():
            return
    yield PhiSpan(start, end, "LOCATION")


_FACILITY = (
    "Hospitals?|Medical Cent(?:er|re)|Med Ctr|Clinics?|Health System|Health Cent(?:er|re)|Healthcare|Infirmary|"
    "Rehabilitation Cent(?:er|re)|Rehab Cent(?:er|re)|Nursing Home|Nursing Cent(?:er|re)|Nursing Facility|Hospice|Cancer Cent(?:er|re)|"
    "Cancer Institute|Heart Institute|Surgery Cent(?:er|re)|Surgical Cent(?:er|re)|Memorial|Sanatorium|Manor|School of Medicine|"
    "University|Medical Group|Care Cent(?:er|re)|Hospital and Clinics"
)
_HOSPITAL = rf"\b(?:{_CAPITAL} (?:of |for |and )?){{1,5}}(?:{_FACILITY})\b"
_GENERIC_PLACE = frozenset(
    "the at in our this an to from of and for brief past prior outside outlying local emergency general pain wound "
    "cardiology oncology orthopedic surgery surgical dental eye sleep primary care outpatient inpatient day course "
    "university hospital medical center clinic community regional county city state psychiatric mental health "
    "rehabilitation rehab skilled nursing assisted living home long term acute coumadin anticoagulation diabetes "
    "women's children's veterans urgent walk-in family medicine internal referring admitting another other his her "
    "their your my was is with she he patient patient's if after previous recent admit discharge hospital's home "
    "bed follow-up followup weight loss headache heart failure allergy neurology dermatology urology gi ent fertility".split()
)


def _judge_hospital(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    words = list(re.finditer(r"[A-Za-z'.-]+", plain[start:end]))
    facility = re.search(rf"(?:{_FACILITY})$", plain[start:end])
    proper = [word for word in words if facility and word.start() < facility.start()]
    while proper and (proper[0][0].lower() in _GENERIC_PLACE - {"general", "community", "regional", "university"} or proper[0][0].lower() in not_names() or proper[0][0].endswith(".") and len(proper[0][0]) > 3):
        proper.pop(0)
    if not all(word[0].lower().strip(".") in _GENERIC_PLACE | not_names() for word in proper):
        yield PhiSpan(start + proper[0].start(), end, "HOSPITAL")


# ---- names -----------------------------------------------------------------------------------------------------------

_NAME_WORD = r"[A-Z][A-Za-z'-]+"
_INITIAL = r"[A-Z]\.?"
_NAME = rf"{_NAME_WORD}(?:,? (?:{_INITIAL} )?{_NAME_WORD}){{0,2}}"
_INITIALED = rf"(?:{_INITIAL} ){{0,2}}{_NAME}"
_ANY_CASE_NAME = r"[A-Za-z][A-Za-z'-]+(?:,? (?:[A-Za-z]\.? )?[A-Za-z][A-Za-z'-]+){0,2}"
_TITLE = r"\b(?:D[Rr]s?\.|Dr|Drs|M[Rr]\.|Mr|M[Rr][Ss]\.|Mrs|M[Ss]\.|Ms|Miss|Prof\.|Professor|Doctor|Nurse|Rev\.|Judge|Sr\. )"
_LOWER_TITLE = r"\b(?:dr|mr|mrs|ms|prof)\. ?[a-z][a-z'-]+(?: [a-z][a-z'-]+)?"
_CREDENTIAL = (
    r"(?:M\.? ?D\.?|D\.O\.?|DO|R\.?N\.?|N\.?P\.?|P\.?A\.?(?:-C)?|Ph\.? ?D\.?|LCSW|CRNA|D\.?D\.?S\.?|FACS|FACC|Pharm\.?D|D\.?P\.?M\.?|FNP(?:-C)?"
    r"|ARNP|APRN|LPN|RPh|CNM|MSW|O\.D\.|D\.C\.|M\.?B\.?B\.?S\.?|Esq)"
)
_CUE_WORDS_COLON = (
    r"(?:patient|patient's|pt|full|first|last|middle|maiden|mother's|spouse|provider|physician|doctor)? ?name|patient|pt|"
    r"attending(?: physician| surgeon| md)?|(?:referring|primary care|primary|consulting|ordering|admitting|requesting|treating|"
    r"supervising|family) (?:physician|provider|md|doctor|surgeon)|physician|provider|surgeon|co-surgeon|first assistant|assistants?|anesthesiologist|"
    r"anesthetist|nurse|cc|pcp|radiologist|pathologist|resident|fellow|author|dictator|transcriptionist|emergency contact|"
    r"next of kin|contact|contact person|guardian|spouse|attn|attention|to|from|re|dear"
)
_CUE_WORDS_BY = (
    r"(?:electronically |digitally )?(?:signed|authenticated|dictated|transcribed|reviewed|verified|interpreted|read|prepared|"
    r"approved|entered|reported|written|finalized)(?: electronically)? by|e-signed by|dear|next of kin|named|name is"
)
_RELATIVE = (
    r"daughter|son|wife|husband|mother|father|sister|brother|spouse|partner|niece|nephew|aunt|uncle|cousin|grandson|"
    r"granddaughter|grandmother|grandfather|fiancee?|girlfriend|boyfriend|friend|caregiver|neighbor|guardian|mom|dad"
)


@functools.cache
def not_names() -> frozenset[str]:
    """Lower-case words that follow a title or a cue without being a name."""
    return frozenset(_words("not_names.txt"))


@functools.cache
def first_names() -> frozenset[str]:
    """Common given names, in lower case."""
    return frozenset(name.lower() for name in _words("first_names.txt"))


def _words(file: str) -> list[str]:
    return (Path(__file__).parent / file).read_text(encoding="utf-8").split()


def _name_pattern() -> str:
    given = "|".join(sorted({form for name in _words("first_names.txt") for form in (name, name.upper())}))
    return "|".join(
        (
            rf"(?:{_TITLE}\s{{0,2}}){{1,2}}{_INITIALED}",
            _LOWER_TITLE,
            rf"\b(?i:{_CUE_WORDS_COLON})[ \t]{{0,2}}:[ \t,]{{0,3}}(?:{_TITLE}\s?)?(?:{_INITIALED}|{_ANY_CASE_NAME})",
            rf"\b(?i:{_CUE_WORDS_BY})[ \t:,]{{1,3}}(?:{_TITLE}\s?)?(?:{_INITIALED}|{_ANY_CASE_NAME})",
            rf"\b(?:{_NAME_WORD},? (?:{_INITIAL} )?){{1,4}}{_CREDENTIAL}(?:\b|[ ,;:\n]|$)".replace(",? ", ",? {1,2}"),
            rf"\b(?i:{_RELATIVE})(?: is|,| named| \(|,? whose name is)? {_NAME_WORD}(?: {_NAME_WORD})?",
            rf"\b(?:{given})(?: {_INITIAL})? {_NAME_WORD}",
            rf"\b{_NAME_WORD}, (?:{given})\b(?: [A-Z]\b)?",
        )
    )


_TITLE_HEAD = re.compile(rf"(?:{_TITLE}\s{{0,2}})+")
_CUE_HEAD = re.compile(
    rf"(?:(?:{_CUE_WORDS_COLON})[ \t]{{0,2}}:[ \t,]{{0,3}}|(?:{_CUE_WORDS_BY})[ \t:,]{{1,3}}"
    rf"|(?:{_RELATIVE})(?: is|,? whose name is|,| named| \()? )",
    re.I,
)
_CREDENTIAL_TAIL = re.compile(rf",? {{1,2}}{_CREDENTIAL}[ ,;:\n]?$")
_TOKEN = re.compile(r"[A-Za-z][A-Za-z'-]*\.?")
# Cues after which a name may be written in lower case.
_CUE_OF_ANY_CASE = re.compile(r"(?:name|patient|pt|by|physician|surgeon|provider|attending)[ \t]{0,2}[: \t,]+$", re.I)
# Cues that hold other things more often than names: only two capitalised words that are no ordinary words count.
_WEAK_NAME_CUE = re.compile(r"^(?:to|from|re|contact|assistants?|nurse|physician|provider|resident|fellow|cc)\b", re.I)


def _judge_name(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    candidate = plain[start:end]
    if re.match(_LOWER_TITLE, candidate):
        head, tail = re.match(r"\w+\. ?", candidate), None
        allow_lower = True
    else:
        head, tail = _CUE_HEAD.match(candidate), _CREDENTIAL_TAIL.search(candidate)
        allow_lower = bool(head and _CUE_OF_ANY_CASE.search(head[0]))
    begin = head.end() if head else 0
    cue = candidate[:begin]
    title = _TITLE_HEAD.match(candidate, begin)
    if title:
        begin = title.end()
    stop = tail.start() if tail else len(candidate)
    tokens = [token for token in _TOKEN.finditer(candidate, begin, stop)]
    if tail and not head and not title:
        tokens = _tokens_before_credential(tokens)
    else:
        tokens = _leading_name_tokens(tokens, allow_lower)
    if cue and not title and _WEAK_NAME_CUE.match(cue) and len(tokens) < 2:
        return
    if re.match(r"\w+\. ", cue) and allow_lower and len(tokens) > 1 and tokens[0][0] not in first_names():
        tokens = tokens[:1]
    if not tokens or all(len(token[0].strip(".")) < 2 for token in tokens):
        return
    last = tokens[-1]
    length = len(re.sub(r"'s$|\.$", "", last[0])) if len(last[0]) > 2 else len(last[0])
    yield PhiSpan(start + tokens[0].start(), start + last.start() + length, "NAME")


def _leading_name_tokens(tokens: list[re.Match[str]], allow_lower: bool) -> list[re.Match[str]]:
    kept: list[re.Match[str]] = []
    for token in tokens:
        word = token[0].rstrip(".").lower()
        if word.removesuffix("'s") in not_names() and len(word) > 1 or token[0][0].islower() and not allow_lower:
            break
        kept.append(token)
        if token[0].endswith("'s") or token[0].endswith(".") and len(word) > 1:
            break
    # Once a name began with a capital, a lower-case word is the sentence going on.
    if kept and kept[0][0][0].isupper():
        kept = [token for index, token in enumerate(kept) if all(t[0][0].isupper() for t in kept[: index + 1])]
    return kept


def _tokens_before_credential(tokens: list[re.Match[str]]) -> list[re.Match[str]]:
    kept: list[re.Match[str]] = []
    for token in reversed(tokens):
        if token[0].rstrip(".").lower() in not_names() and len(token[0]) > 2:
            break
        kept.insert(0, token)
    return kept[-3:]


# ---- what an earlier de-identification left --------------------------------------------------------------------------

_EARLIER = r"\[\*\*[^\]\n*]{0,80}\*\*\]"
_EARLIER_CLASSES: tuple[tuple[str, PlaceholderClass], ...] = (
    (r"hospital|ward|clinic|facility", "HOSPITAL"),
    (r"name|initial|doctor|attending|dictator|wardname", "NAME"),
    (r"telephone|phone|fax|pager|contact", "PHONE"),
    (r"e-?mail", "EMAIL"),
    (r"url", "URL"),
    (r"medical record|mrn|unit number", "MRN"),
    (r"social security|ssn", "SSN"),
    (r"age over|age", "AGE"),
    (r"location|address|street|city|state|country|zip|company|university|po box", "LOCATION"),
    (r"\d{1,4}-\d{1,2}|date|month|year|holiday|\d{4}|day", "DATE"),
)


def _judge_earlier(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    inner = plain[start + 3 : end - 3]
    cls = next((cls for words, cls in _EARLIER_CLASSES if re.search(words, inner, re.I)), "ID")
    if inner not in _own_classes():
        yield PhiSpan(start, end, cls)


@functools.cache
def _own_classes() -> frozenset[str]:
    from data_pipeline.placeholders import PLACEHOLDER_CLASSES

    return frozenset(PLACEHOLDER_CLASSES)


@functools.cache
def _compiled() -> tuple[tuple[re2._Regexp, Judge], ...]:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    # The automaton is built lazily and starts over when it outgrows this; names with many alternatives need room.
    options.max_mem = 128 << 20
    detectors = (
        Detector(_DATE, _judge_date),
        Detector(_AGE, _judge_age),
        Detector(_CONTACT, _judge_contact),
        Detector(_ID, _judge_id),
        Detector(_LOCATION, _judge_location),
        Detector(_HOSPITAL, _judge_hospital),
        Detector(_name_pattern(), _judge_name),
        Detector(_EARLIER, _judge_earlier),
    )
    return tuple((re2.compile(item.pattern.encode("latin-1"), options), item.judge) for item in detectors)
