"""Towns, hospitals and American addresses. States and countries alone stay: Safe Harbor lets them.

`streets` has the streets of other countries and forms, `facilities` the places that their own last word gives away.
"""

import re
from collections.abc import Iterator

from data_pipeline.deid.eponyms import thing_follows
from data_pipeline.deid.lexicon import what_is_known
from data_pipeline.deid.patterns.detector import Detector, whole
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.words import NAME, Known, not_names, word_set

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
        rf"\b(?i:zip(?: ?code)?)(?: is)?[ :]{{1,2}}(?:{_ZIP}|\d{{3,4}}\b)",
        rf"\b(?i:{_LIVING})(?: here| there| alone| now| back)? "
        rf"(?i:in|at|from|to|near|of) (?:the )?{_TOWN}(?: {_TOWN})?(?:, {_TOWN}(?: {_TOWN})?)?",
        rf"\b(?i:{_COMING}) from (?:the )?{_TOWN}(?: {_TOWN})?(?:, {_TOWN})?",
        rf"\b(?i:{_WORKING}) (?:the )?{_TOWN}(?: {_TOWN}){{0,2}}",
        rf"\b(?i:city|town|address|home address|residence|county)[ ]?: ?(?:{_TOWN}|\d+)(?:,? (?:{_TOWN}|\d+)){{0,6}}",
    )
)
_CUE_OF_LOCATION = re.compile(
    rf"(?:(?:{_LIVING})[a-z ]*? (?:in|at|from|to|near|of)|(?:{_COMING}) from|{_WORKING}) (?:the )?"
    r"|(?:city|town|address|home address|residence|county) ?: ?|zip(?: ?code)?(?: is)?[ :]{1,2}",
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
        if first and (
            _NO_TOWN.match(first[0])
            or (first[0].isupper() and (len(first[0]) < 6 or what_is_known(first[0]) & _NOT_TOWN_WORDS))
        ):
            return
        if re.search(r"\b(?:Department|Unit|Ward|Room|Service|Floor|Team|Clinic|Hospital|Center)$", rest):
            return
        if first and (first[0].lower() in not_names() or first[0].lower() in _GENERIC_PLACE):
            return
        if re.fullmatch(rf"(?:{_STATE_NAMES}|United States|America|Mexico|Canada)", rest):
            return
        # "FROM CHEBOYGAN BY AMBULANCE": among capitals nothing says where the town ends.
        stop = first.end() if first and first[0].isupper() else len(rest.rstrip("."))
        yield PhiSpan(start + cue.end(), start + cue.end() + stop, "LOCATION")
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
_GENERIC_PLACE = word_set(
    "the at in our this an to from of and for brief past prior outside outlying local emergency general pain"
    " wound cardiology oncology orthopedic surgery surgical dental eye sleep primary care outpatient inpatient day"
    " course university hospital medical center clinic community regional county city state psychiatric mental"
    " health rehabilitation rehab skilled nursing assisted living home long term acute coumadin anticoagulation"
    " diabetes women's children's veterans urgent walk-in family medicine internal referring admitting another"
    " other his her their your my was is with she he patient patient's if after previous recent admit discharge"
    " hospital's bed follow-up followup weight loss headache heart failure allergy neurology dermatology urology"
    " gi ent fertility wellness chiropractic"
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


# Towns and firms that no list holds: a word with a capital that is no word of medicine, behind "in" or before what such
# places are called.
_COMPASS = (
    r"(?:(?:North|South|East|West|New|San|Santa|Los|Las|El|La|St\.?|Saint|Fort|Mount|Mt\.?|Port|Lake|Bar|Cape|Upper"
    r"|Lower) )?"
)
_IN_PLACE = rf"\b(?i:in|from|near|outside|outside of) (?:the )?{_COMPASS}{_TOWN}(?: {_TOWN})?"
_TO_PLACE = (
    rf"\b(?i:from|moved|moving|relocated|flew|flying|drove|travell?(?:ed|ing)|travel|trip|flight|transferred|returned|went)"
    rf"(?: [A-Za-z'-]+){{0,3}} to "
    rf"{_COMPASS}{_TOWN}(?: {_TOWN})?"
)
_TO_PLACE_HEAD = re.compile(r".* to ", re.I)
_IN_PLACE_HEAD = re.compile(r"(?:in|from|near|outside(?: of)?) (?:the )?", re.I)
_AT_PLACE = rf"(?:\b(?i:at)|@) (?:the )?{_COMPASS}{_TOWN}(?: {_TOWN}){{0,3}}"
_AT_PLACE_HEAD = re.compile(r"(?:at|@) (?:the )?", re.I)
_KINDS_OF_PLACE = (
    r"(?i:county|township|borough|parish|elementary|middle school|high school|primary school|preschool|daycare|academy"
    r"|college|church"
    r"|synagogue|mosque|cathedral|temple|ems|ambulance|police department|fire department|shelter|apartments?|apts"
    r"|estates|terrace|towers"
    r"|village|correctional|jail|prison|marina|farms?|mills?|textiles|industries|corporation|corp|inc|llc|company"
    r"|motors|foods|diner"
    r"|restaurant|hotel|motel|inn|casino|brewery|logistics|construction|trucking|nursing home|rehab|hospice|assisted "
    r"living|manor|gardens"
    r"|street|avenue|road|boulevard|lane|highway|blvd|ave|rd|parkway|regional medical center|medical center|hospital)"
)
_NAMED_PLACE = rf"\b(?:{_COMPASS}{_TOWN} ){{1,3}}{_KINDS_OF_PLACE}\b"
_LOWER_STREET = (
    r"\b[1-9]\d{0,4} (?:[nsew]\.? )?(?i:[a-z]+ ){1,3}(?i:street|st|avenue|ave|road|rd|blvd|lane|ln|drive|court|ct"
    r"|terrace|circle)\b"
)
_LOWER_TOWN = (
    r"\b(?i:lives in|lives near|living in|from|moved to|born in|raised in|grew up in|resides in|lives at(?: the)?|back "
    r"to)"
    r" (?:(?:north|south|east|west|new|san|santa|los|las|fort|mount|port|lake|st\.?|saint) )?[a-z]{4,}(?: [a-z]{4,})?\b"
)
_LOWER_TOWN_HEAD = re.compile(
    r"(?:lives (?:in|near)|living in|from|moved to|born in|raised in|grew up in|resides in|lives at(?: the)?|back to) ",
    re.I,
)
_UNIT_OF_HOUSE = (
    r"\b(?i:apt|apartment|suite|ste)\.? ?#?\d{1,5}[A-Za-z]?\b|\bPSC \d+,? Box \d+\b|\b[ADF]PO,? A[AEP]\b(?: \d{5})?"
    r"|\b(?:Unit|UNIT) \d{4,5},? Box \d+\b|\b(?:Route|Rte\.?|Interstate|Highway|Hwy\.?) \d{1,3}[AB]?\b"
)
_NOT_TOWN_WORDS = Known.ORDINARY | Known.STAYS | Known.EPONYM


def _judge_in_place(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _TO_PLACE_HEAD.match(plain, start, end) or _IN_PLACE_HEAD.match(plain, start, end)
    begin = head.end() if head else start
    words = list(re.finditer(r"[A-Za-z'-]+", plain[begin:end]))
    # "in Bar Harbor": the compass word is ordinary, the one behind it decides.
    compass = re.match(_COMPASS, plain[begin:end])
    first = next((i for i, word in enumerate(words) if compass is None or word.start() >= compass.end()), 0)
    if not words or _is_no_town(words[first][0]) or thing_follows(plain, begin + words[first].end()):
        return
    last = words[first]
    if len(words) > first + 1 and not _is_no_town(words[first + 1][0]):
        last = words[first + 1]
    if not thing_follows(plain, begin + last.end()):
        yield PhiSpan(begin, begin + last.end(), "LOCATION")


def _judge_at_place(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _AT_PLACE_HEAD.match(plain, start, end)
    begin = head.end() if head else start
    first = re.match(r"[A-Za-z'-]+", plain[begin:end])
    # "at Pinewood Lumber": the first word is one that neither medicine nor the dictionary has.
    if first and not _is_no_town(first[0]) and len(first[0]) > 4 and not thing_follows(plain, begin + first.end()):
        yield PhiSpan(begin, end, "LOCATION")


def _is_no_town(word: str) -> bool:
    return word.isupper() or len(word) < 4 or bool(what_is_known(word) & _NOT_TOWN_WORDS) or bool(_NO_TOWN.match(word))


_LINKS_IN_CAPITALS = frozenset(["BY", "TO", "WITH", "FROM", "AT", "IN", "AND", "FOR", "VIA", "ON"])


def _judge_named_place(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    kind = re.search(rf"{_KINDS_OF_PLACE}$", plain[start:end])
    words = list(re.finditer(r"[A-Za-z'-]+", plain[start : start + kind.start()])) if kind else []
    while words and what_is_known(words[0][0]) & _NOT_TOWN_WORDS:
        words.pop(0)
    # "FROM CHEBOYGAN BY AMBULANCE", all in capitals.
    if any(word[0] in _LINKS_IN_CAPITALS for word in words):
        return
    if words and any(len(word[0]) > 3 for word in words):
        yield PhiSpan(start + words[0].start(), end, "LOCATION")


def _judge_lower_street(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    words = re.findall(r"[A-Za-z]+", plain[start:end])[:-1]
    if any(len(word) > 2 and not what_is_known(word) & (Known.ORDINARY | Known.STAYS) for word in words):
        yield PhiSpan(start, end, "LOCATION")


def _judge_lower_town(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _LOWER_TOWN_HEAD.match(plain, start, end)
    begin = head.end() if head else start
    words = list(re.finditer(r"[a-z]+", plain[begin:end]))
    known = [what_is_known(word[0]) for word in words]
    # "lives in oakhurst": nothing else is lived in.
    if words and head and head[0].lower() != "from " and not known[0] and len(words[0][0]) > 5:
        kind = len(words) > 1 and re.fullmatch(_KINDS_OF_PLACE, words[1][0])
        yield PhiSpan(begin, begin + words[1 if kind else 0].end(), "LOCATION")
        return
    # "from north adams": a name among ordinary words; a word that no list knows may be misspelt medicine.
    if any(flags & NAME and not flags & _NOT_TOWN_WORDS for flags in known):
        last = max(i for i, flags in enumerate(known) if flags & NAME and not flags & _NOT_TOWN_WORDS)
        yield PhiSpan(begin, begin + words[last].end(), "LOCATION")


DETECTORS = (
    Detector(_LOCATION, _judge_location),
    Detector(_HOSPITAL, _judge_hospital),
    Detector(_IN_PLACE, _judge_in_place),
    Detector(_TO_PLACE, _judge_in_place),
    Detector(_AT_PLACE, _judge_at_place),
    Detector(_NAMED_PLACE, _judge_named_place),
    Detector(_LOWER_STREET, _judge_lower_street),
    Detector(_LOWER_TOWN, _judge_lower_town),
    Detector(_UNIT_OF_HOUSE, whole("LOCATION")),
)
