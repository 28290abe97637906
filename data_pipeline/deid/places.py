"""Streets, towns and hospitals. States and countries alone stay: Safe Harbor lets them."""

import re
from collections.abc import Iterator

from data_pipeline.deid.detector import Detector
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.words import not_names

_CAPITAL = r"[A-Z][A-Za-z'.-]+"
_STATE_CODES = (
    "AL|AK|AZ|AR|CA|CO|CT|DC|DE|FL|GA|HI|IA|ID|IL|IN|KS|KY|LA|MA|MD|ME|MI|MN|MO|MS|MT|NC|ND|NE|NH|NJ|NM|NV|NY|OH|OK|OR|"
    "PA|RI|SC|SD|TN|TX|UT|VA|VT|WA|WI|WV|WY"
)
_STATE_NAMES = (
    "Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|Idaho|Illinois|"
    "Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|"
    "Montana|Nebraska|Nevada|New Hampshire|New Jersey|New Mexico|New York|North Carolina|North Dakota|Ohio|Oklahoma|"
    "Oregon|Pennsylvania|Rhode Island|South Carolina|South Dakota|Tennessee|Texas|Utah|Vermont|Virginia|Washington|"
    "West Virginia|Wisconsin|Wyoming"
)
# A town has no full stop in it, so that a sentence's end ends it; "St." and the like come before.
_TOWN = r"(?:(?:St|Ft|Mt)\. )?[A-Z][A-Za-z'-]+"
# Codes that are also credentials or abbreviations of the ward count before a ZIP code, or after "from" and the like.
_AMBIGUOUS_STATES = frozenset(
    ["CT", "IL", "MD", "PA", "OR", "IN", "ME", "MS", "DC", "MI", "MA", "CO", "HI", "ID", "AL", "LA", "DE", "MT"]
)
_CUE_OF_TOWN = re.compile(r"\b(?:in|from|at|to|near|of|outside)\s$")
_STREET = (
    "Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Way|Place|Pl|Circle|Cir|Terrace|Ter|Parkway|"
    "Pkwy|Highway|Hwy|Square|Trail|Pike|Turnpike|Route|Alley|Crescent"
)
_ZIP = r"\d{5}(?:-\d{4})?\b"
_TOWN_TAIL = rf"(?:,? {{1,2}}(?:{_STATE_CODES}|{_STATE_NAMES})\b)?(?:,? {{1,2}}{_ZIP})?"
_LIVING = "lives|living|resides|residing|born|raised|moved|relocated|traveled|resident|native|originally"
_WORKING = "(?:works|worked|working|employed)(?: [a-z]+){0,4} (?:at|for)"
_COMING = (
    "ambulance|transferred|admitted|arrived|arriving|brought in|referred|visiting|travell?ed|immigrated|emigrated|came|"
    "retired [a-z]+|returned|returning|flown|man|woman|male|female|family|hails|here|called|calling|veteran|pension|"
    "[mf]"
)
_LOCATION = "|".join(
    (
        rf"\b[1-9]\d{{0,4}}[A-Z]? (?:[NSEW]{{1,2}}\.? |North |South |East |West )?"
        rf"(?:(?:{_TOWN}|\d{{1,3}}(?:st|nd|rd|th)) ){{1,3}}(?:{_STREET})\b\.?"
        rf"(?:,? (?i:apt|apartment|suite|ste|unit|#)\.? ?\w{{1,6}})?(?:[,\n] ?{_TOWN}(?: {_TOWN})?{_TOWN_TAIL})?",
        r"\b(?i:p\.? ?o\.? box) \d{1,6}\b",
        rf"\b{_TOWN}(?: {_TOWN})?, (?:{_STATE_NAMES})\b(?: {_ZIP})?",
        rf"\b{_TOWN}(?: {_TOWN})?, (?:{_STATE_CODES})\b(?: {_ZIP})?",
        rf"\b(?:{_STATE_CODES}) {_ZIP}",
        rf"\b(?i:zip(?: ?code)?)[ :]{{1,2}}{_ZIP}",
        rf"\b(?i:{_LIVING})(?: here| there| alone| now| back)? "
        rf"(?i:in|at|from|to|near|of) (?:the )?{_TOWN}(?: {_TOWN})?(?:, {_TOWN}(?: {_TOWN})?)?",
        rf"\b(?i:{_COMING}) from (?:the )?{_TOWN}(?: {_TOWN})?(?:, {_TOWN})?",
        rf"\b(?i:{_WORKING}) (?:the )?{_TOWN}(?: {_TOWN}){{0,2}}",
        rf"\b(?i:city|town|address|home address|residence|county)[ ]?: ?(?:{_TOWN}|\d+)(?:,? (?:{_TOWN}|\d+)){{0,6}}",
    )
)
_CUE_OF_LOCATION = re.compile(
    rf"(?:(?:{_LIVING})[a-z ]*? (?:in|at|from|to|near|of)|(?:{_COMING}) from|{_WORKING}) (?:the )?"
    r"|(?:city|town|address|home address|residence|county) ?: ?|zip(?: ?code)?[ :]{1,2}",
    re.I,
)


_NO_TOWN = re.compile(
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
    r"|[A-Z][a-z]*(?:ology|iatry|iatrics|surgery|therapy|sis|itis|emia|ysician|ursing))$"
)


def _judge_location(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    candidate = plain[start:end]
    cue = _CUE_OF_LOCATION.match(candidate)
    if cue:
        rest = candidate[cue.end() :]
        first = re.match(r"[A-Za-z']+", rest)
        # "admitted from PACU", "transferred from Cardiology", "returned from March to May"
        if first and (first[0].isupper() or _NO_TOWN.match(first[0])):
            return
        if re.search(r"\b(?:Department|Unit|Ward|Room|Service|Floor|Team|Clinic|Hospital|Center)$", rest):
            return
        if first and (first[0].lower() in not_names() or first[0].lower() in _GENERIC_PLACE):
            return
        yield PhiSpan(start + cue.end(), start + len(candidate.rstrip(".")), "LOCATION")
        return
    town = re.fullmatch(rf"(.+), ({_STATE_CODES})", candidate)
    if town:
        first = re.match(r"[A-Za-z']+", candidate)
        if town[2] in _AMBIGUOUS_STATES and not _CUE_OF_TOWN.search(plain[max(0, start - 10) : start]):
            return
        if candidate[:3].isupper() or (first and first[0].lower() in not_names()):
            return
    yield PhiSpan(start, end, "LOCATION")


_FACILITY = (
    "Hospitals?|Medical Cent(?:er|re)|Med Ctr|Clinics?|Health System|Health Cent(?:er|re)|Healthcare|Infirmary|"
    "Rehabilitation Cent(?:er|re)|Rehab Cent(?:er|re)|Nursing Home|Nursing Cent(?:er|re)|Nursing Facility|Hospice|"
    "Cancer Cent(?:er|re)|Cancer Institute|Heart Institute|Surgery Cent(?:er|re)|Surgical Cent(?:er|re)|Memorial|Manor|"
    "School of Medicine|Family Practice|Family Medicine|Associates|Group Home|Pharmacy|"
    "University|Medical Group|Care Cent(?:er|re)|Hospital and Clinics"
)
_HOSPITAL = rf"\b(?:{_CAPITAL} (?:of |for |and )?){{1,5}}(?:{_FACILITY})\b"
_GENERIC_PLACE = frozenset(
    [
        "the",
        "at",
        "in",
        "our",
        "this",
        "an",
        "to",
        "from",
        "of",
        "and",
        "for",
        "brief",
        "past",
        "prior",
        "outside",
        "outlying",
        "local",
        "emergency",
        "general",
        "pain",
        "wound",
        "cardiology",
        "oncology",
        "orthopedic",
        "surgery",
        "surgical",
        "dental",
        "eye",
        "sleep",
        "primary",
        "care",
        "outpatient",
        "inpatient",
        "day",
        "course",
        "university",
        "hospital",
        "medical",
        "center",
        "clinic",
        "community",
        "regional",
        "county",
        "city",
        "state",
        "psychiatric",
        "mental",
        "health",
        "rehabilitation",
        "rehab",
        "skilled",
        "nursing",
        "assisted",
        "living",
        "home",
        "long",
        "term",
        "acute",
        "coumadin",
        "anticoagulation",
        "diabetes",
        "women's",
        "children's",
        "veterans",
        "urgent",
        "walk-in",
        "family",
        "medicine",
        "internal",
        "referring",
        "admitting",
        "another",
        "other",
        "his",
        "her",
        "their",
        "your",
        "my",
        "was",
        "is",
        "with",
        "she",
        "he",
        "patient",
        "patient's",
        "if",
        "after",
        "previous",
        "recent",
        "admit",
        "discharge",
        "hospital's",
        "home",
        "bed",
        "follow-up",
        "followup",
        "weight",
        "loss",
        "headache",
        "heart",
        "failure",
        "allergy",
        "neurology",
        "dermatology",
        "urology",
        "gi",
        "ent",
        "fertility",
    ]
)


def _judge_hospital(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    words = list(re.finditer(r"[A-Za-z'.-]+", plain[start:end]))
    facility = re.search(rf"(?:{_FACILITY})$", plain[start:end])
    proper = [word for word in words if facility and word.start() < facility.start()]
    while proper and (
        proper[0][0].lower() in _GENERIC_PLACE - {"general", "community", "regional", "university"}
        or proper[0][0].lower() in not_names()
        or (proper[0][0].endswith(".") and len(proper[0][0]) > 3)
    ):
        proper.pop(0)
    if not all(word[0].lower().strip(".") in _GENERIC_PLACE | not_names() for word in proper):
        yield PhiSpan(start + proper[0].start(), end, "HOSPITAL")


DETECTORS = (Detector(_LOCATION, _judge_location), Detector(_HOSPITAL, _judge_hospital))
