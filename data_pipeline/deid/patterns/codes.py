"""Numbers of records and things by their make: letters and digits in one word, groups between signs, and cues.

`numbers` holds the forms that have a name (telephone, SSN); here stands what every hospital, insurer and shop invents
for itself: "IP/24-25/11873", "lot HUFR0713", "Board no. SLK-330918", "GMC 7718840", "ends in 3302". What counts is how
many digits there are, whether something announces a number, and that neither a unit nor a laboratory value is meant.
"""

import re
from collections.abc import Iterator

from data_pipeline.deid.lexicon import what_is_known
from data_pipeline.deid.patterns.detector import Detector, whole
from data_pipeline.deid.patterns.numbers import HOURS
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.words import Known

_CUES = (
    r"mrn|m\.r\.n\.|mr|med(?:ical)? rec(?:ord)?|chart|acct|account|a/c|csn|fin|har|encounter|ssn|medicare|medicaid"
    r"|policy|member|subscriber|group|grp|claim|case|file|lot|batch|ref|reference|serial|s/n|sn|udi|imei|badge|login|job|rx"
    r"|prescription|accession|acc|specimen|order|requisition|req|study|subject|protocol|ticket|incident|report|permit"
    r"|passport|visa|licen[cs]e|lic|dl|plate|reg|rego|registration|vin|tag|band|bag|unit|donor|card|pass|hold|docket"
    r"|warrant|intake|run|invoice|confirmation|conf|authorization|auth|referral|tracking|asset|device|transmitter|sensor|meter|model|pump|kit"
    r"|pack|monitor|implant|record|hospital|patient|pt|provider|employee|staff|student|service|session|workstation"
    r"|dictation|document|doc|voucher|cert(?:ificate)?|insurance|ins|health card|health|beneficiary|mbi|npi|dea|upin"
    r"|uhid|nhs|ohip|phn|hcn|chi|crn|mpi|epi|emr|ehr|dni|nie|nhc|rut|cpf|curp|nss|bsn|pesel|nric|aadhaar|pan|abha|cnic|ppsn?|hkid|hetu"
    r"|subj|screening|randomi[sz]ation|iwrs|ivrs|id|barcode|locker|slip|strips?|vial|booking|board|form"
)
_MARK = r"(?:\.? (?:numbers?|nos?\b\.?|nrs?\b\.?|num\b\.?|id\b)| ?#)"
_LINK = rf"(?i:{_MARK}{{0,2}}(?: is| was|:| -|=| ?\.{{2,}}:?| of| reset to| changed to){{0,2}})[ :#|]{{0,3}}"
_GROUP = r"[A-Za-z0-9]{1,16}"
_VALUE = rf"(?:[A-Za-z]{{1,6}}[-/.]?){{0,3}}\d[A-Za-z0-9]{{0,16}}(?:[-/.]{_GROUP}){{0,5}}"
_CUED = rf"\b(?i:{_CUES}){_LINK}\b{_VALUE}\b"
_NUMBERED = rf"(?i:\b[a-z]{{2,}}{_MARK}[.:]?)[ :#|.]{{0,3}}{_VALUE}\b"
_VALUE_AT_END = re.compile(rf"{_VALUE}$")
_CUE_AT_START = re.compile(_CUES, re.I)
_MARKED = re.compile(r"#|:|=|\.\.|\|?\bnos?\b|\bnum|\bnumbers?\b|\bid\b|\bcode\b|reset to|changed to", re.I)
# What these announce is more often something else: without a sign, only a value of letters and digits counts.
_WEAK = re.compile(
    r"(?:mr|group|case|file|order|study|subject|report|record|hospital|patient|pt|unit|run|band|bag|tag|card|pass|hold"
    r"|service|health|staff|form|model|device|monitor|pump|kit|pack|fin|har|acc|ref|reg|vial|slip|booking|board|strips?"
    r"|intake|protocol|ins|id|chi|conf|referral|encounter|incident|implant|donor|provider|session|doc|document)",
    re.I,
)
_SURE = re.compile(r"badge|passport|docket|dni|nie|curp|aadhaar|pesel|nric|cnic", re.I)

# "SH/2207/448190", "KTX-2209-118", "B-25-0618"; "9A41C7", "HUFR0713", "42190B"; "20-118834"; "7f3ac9e2-51b0"
_JOINED = r"\b[A-Z]{1,6}(?:[-/.:][A-Z0-9]{1,8}){1,4}\b"
_MIXED = (
    r"\b[A-Z]{2,6}\d{4,}[A-Z]{0,3}\b|\b\d{1,3}[A-Z]{2,4}\d{3,}\b|\b\d{1,3}[A-Z]\d{4,}\b|\b[A-Z]{1,3}\d{3,6} \d{4,}\b"
    r"|\b\d{6,}[A-Z]{1,3}\b"
    r"|\b[A-Z]{1,4}\d{2}[-/]\d{4,}\b|\b\d{2}:[A-Z]{1,3}\d{4,}\b"
)
_HYPHENED = (
    r"\b\d{1,6}(?:-\d{2,6}){2,5}\b|\b\d{2}-\d{5,}\b|\b\d{5,}-\d{1,4}\b|\b\d{2,4}-[A-Z]{1,3}-\d{3,}\b"
    r"|\b\d{3,}-\d{2}-[A-Z]{1,2}\b|\b[A-Z]{1,2}\d{2,4}(?:-\d{3,5}){1,3}\b"
)
_JOINED_CUE = r"\b(?:SN|MRN|ID|ACCT|REF|LOT|MR)\d{3,}(?:-\d+)*\b"
_HEX = r"\b[0-9a-f]{8}-[0-9a-f]{4}(?:-[0-9a-f]{4,12}){0,3}\b"
_MEDICARE = r"\b[1-9][A-Za-z][A-Za-z0-9]\d-?[A-Za-z][A-Za-z0-9]\d-?[A-Za-z]{2}\d\d\b"
# "GMC 7718840", "CPSO 77190": who is registered with whom.
_REGISTER = (
    r"\b[A-Z]{3,6}(?: [A-Z]{1,3})? (?:[A-Z]{2,5}\d{3,}|\d{5,})\b"
    r"|\b[A-Z]{2,5} (?i:reg(?:istration|n)?|licen[cs]e|lic|member)\.?(?i: no\.?)?[: ]{1,3}\d{4,}\b"
)
_BARE = r"\b\d{6}\b"
_HASHED = r"(?:#|\b[Nn]os?\.) ?(?:[A-Za-z]{1,5}-?\d{3,}|\d{2,6}-\d{3,})\b"
# "IMG_20190814_0033.jpg"
_FILE = r"\b[A-Za-z]{2,12}_\d{4,}(?:_\w+)?\b"
_ENDS_IN = (
    r"\b(?i:ends|ending|end) (?i:in|with) \d{3,4}\b|\b(?i:card|account|acct|mrn|ssn|policy)[ -](?i:ending) \d{3,4}\b"
    r"|[xX*]{3}[- ]?[xX*]{2}[- ]?\d{4}\b|\b(?:[xX*]{4}[- ]){1,3}\d{4}\b"
    r"|\b(?i:last (?:4|four))(?i: digits?| of (?:ssn|social|card)| is|:| are| ssn)* {1,2}\d{4}\b"
)
_LOGIN = (
    r"\b(?i:log-?in|logon|user ?name|user ?id|userid|user|handle|screen ?name)(?i: is| was| reset to| changed to|:"
    r"|=){0,2}"
    r" {0,2}\b[A-Za-z][A-Za-z0-9._-]{3,}"
)
_SPACED = (
    r"\b\d{4} \d{3} \d{3}(?: [A-Z]{2})?\b|\b\d{3} \d{3} \d{3,4}\b|\b\d{4} \d{5} \d\b|\b\d{4,6} \d{4,}\b"
    rf"|\b(?i:{_CUES}|{_CUES} (?:no|number|num|id)|[a-z]+ (?:no"
    rf"|number))[.:# ]{{1,3}}(?:[A-Z]{{1,4}}[- ]?)?\d{{2,6}}(?:[ -]\d{{1,6}}){{1,4}}(?: [A-Z]{{2}})?\b"
)
_SPACED_VALUE = re.compile(
    r"(?:(?<=[:#|] )[A-Z]{1,4}[- ]?|\b[A-Z]{1,2}[- ])?\d{2,6}(?:[ -]\d{1,6}){1,4}(?: [A-Z]{2})?$"
)
_UNIT_AFTER = re.compile(
    r"\s?(?:mg|ml|mcg|g\b|cc|kcal|cal|cells|units?|meq|mmol|cm|mm\b|hz|feet|ft|m\b|[np]mol|iu\b|u\b|copies|cfu|k\b"
    r"|/ ?\w*"
    r"l\b|per\b|hours?|hrs?|mins?|am\b|pm\b|%|x\d|lbs?|kg|steps|dollars)|/|,\d{3}|\.\d",
    re.I,
)
_UNIT_RIGHT_AFTER = re.compile(r"\s?(?:mg|ml|mcg|cc|units?|meq|cm|mm|hz|%)\b|\.\d|,\d{3}", re.I)
_LAB_BEFORE = re.compile(
    r"(?:\b(?:plt|plts|platelets?|wbc|rbc|bnp|probnp|hcg|cpk|ck|ldh|ast|alt|viral load|vl|rna|dna|count|counts|copies"
    r"|psa|afp|ferritin|d-?dimer|tsh|cfu|range|to|between|reference|value|level|titer|score|cpt|icd|loinc|snomed|ndc"
    r"|pmid|doi|nct|isbn|rs|\$)(?: of| is| was|:|=| >| <)*|[<>~$-])\s*$",
    re.I,
)
_NO_CODE = re.compile(
    r"(?:(?:BP|HR|RR|T|P|O|C|L|S|A|FI|SP|PA|CO|HCO|PCO|PO|IL|CD|HLA|CYP|HER|FEV|FVC|ICD|CPT|DSM|COVID|SARS|H|N|PH|TNM"
    r"|PT|PTT|INR|EF|GCS|BMI|CK|MB|NT|Q|QD|BID|TID|PRN|UTC|GMT|US|VO|FIO|SPO|SAO)\b.*|.*\b\d{1,3}/\d{1,3})"
)


def _judge_cued(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    value = _VALUE_AT_END.search(plain, start, end)
    if value is None:
        return
    cue = _CUE_AT_START.match(plain, start, end)
    digits = sum(char.isdigit() for char in value[0])
    letters = sum(char.isalpha() for char in value[0])
    if digits < 2 or digits + letters < 4 or letters > 2 * digits + 2 or _is_measure(plain, value.start(), end):
        return
    marked = _MARKED.search(plain[cue.end() if cue else start : value.start()])
    if not marked and (digits < 3 or (digits < 5 and not letters and not (cue and _SURE.fullmatch(cue[0])))):
        return
    inside = re.search(r"\d[A-Za-z]+\d", value[0])
    is_code = inside or re.fullmatch(r"[A-Z]{2,4}-?\d{3,}", value[0])
    if not marked and cue and _WEAK.fullmatch(cue[0]) and not is_code and (digits < 5 or not (letters or digits > 5)):
        return
    # "unit: 1200", "case: 2019" and "order: 25mg" are a strength or a year.
    if marked and not letters and digits < (4 if cue is None or not _WEAK.fullmatch(cue[0]) else 5):
        return
    if re.fullmatch(r"\d+(?i:mg|ml|mcg|cm|mm|kg|h|hr|hrs|x|f|am|pm|yo|st|nd|rd|th)|(?:19|20)\d\d", value[0]):
        return
    # Days are for the patterns of dates; "images #10-14" is a range.
    if re.fullmatch(r"\d{1,2}[-/.]\d{1,2}(?:[-/.]\d{2,4})?|\d{1,3}[-/]\d{1,3}|\d+\.\d+", value[0]):
        return
    yield PhiSpan(value.start(), end, "ID")


def _judge_numbered(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    value = _VALUE_AT_END.search(plain, start, end)
    digits = sum(char.isdigit() for char in value[0]) if value else 0
    if (
        value
        and digits > 3
        and not re.fullmatch(r"(?:19|20)\d\d|\d{1,3}[-/]\d{1,3}", value[0])
        and not _is_measure(plain, start, end)
    ):
        yield PhiSpan(value.start(), end, "ID")


def _judge_code(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    code = plain[start:end]
    digits = sum(char.isdigit() for char in code)
    if digits < 4 or max(map(len, re.findall(r"\d+", code))) < 3 or _NO_CODE.fullmatch(code):
        return
    if plain[start - 1 : start] in (".", "/", "_", "<", ">") or (digits < 9 and _UNIT_RIGHT_AFTER.match(plain, end)):
        return
    if (
        code[0].isdigit()
        and not re.search("[A-Z]", code)
        and (_is_measure(plain, start, end) or ("-" in code and digits < 7))
    ):
        return
    # Days, however they are written, are for the patterns of dates.
    if re.fullmatch(r"\d{1,2}-\d{1,2}-(?:\d\d)?\d\d|\d{4}-\d\d?-\d\d?", code):
        return
    # "PO-2019" and "NHANES 2017-2018" are years.
    if re.fullmatch(r"[A-Z]+[-/. ](?:19|20)\d\d(?:-(?:19|20)?\d\d)?", code):
        return
    yield PhiSpan(start, end, "ID")


def _judge_register(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    number = re.search(r"[A-Z]{0,5}\d+$", plain[start:end])
    if number and not _is_measure(plain, start + number.start(), end) and not number[0].endswith("000"):
        yield PhiSpan(start + number.start(), end, "ID")


def _judge_bare(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    if not plain[start:end].endswith("00") and plain[start - 1 : start] not in (".", ",", "-", "/"):
        yield from _judge_register(plain, start, end)


def _judge_hashed(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    value = re.search(r"[A-Za-z0-9]+-?\d+$", plain[start:end])
    if value:
        yield PhiSpan(start + value.start(), end, "ID")


def _judge_file(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    yield PhiSpan(start + plain[start:end].index("_") + 1, end, "ID")


def _judge_thrice(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    if not HOURS.fullmatch(plain, start, end):
        yield PhiSpan(start, end, "ID")


def _judge_ends_in(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    digits = re.search(r"\d+$", plain[start:end])
    if digits:
        yield PhiSpan(start + digits.start(), end, "ID")


def _judge_login(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    value = re.search(r"[A-Za-z0-9._-]+$", plain[start:end])
    if value is None:
        return
    word = value[0].rstrip(".-_")
    if not re.search(r"[:=]| (?:is|was|to) ", plain[start : start + value.start()]) and not (
        re.search(r"[\d_.]", word)
        or (plain[start : start + 5].lower() in ("usern", "login", "useri") and not what_is_known(word))
    ):
        return
    if any(char.isdigit() or char in "._-" for char in word) or not what_is_known(word) & (
        Known.ORDINARY | Known.STAYS
    ):
        yield PhiSpan(start + value.start(), start + value.start() + len(word), "ID")


def _judge_spaced(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    value = _SPACED_VALUE.search(plain, start, end)
    if (
        value
        and not HOURS.fullmatch(value[0])
        and sum(char.isdigit() for char in value[0]) > 5
        and not _is_measure(plain, value.start(), end)
    ):
        yield PhiSpan(value.start(), end, "ID")


def _is_measure(plain: str, start: int, end: int) -> bool:
    """A unit behind the number or a laboratory's word before it."""
    return bool(_UNIT_AFTER.match(plain, end) or _LAB_BEFORE.search(plain, max(0, start - 24), start))


DETECTORS = (
    Detector(_CUED, _judge_cued),
    Detector(_NUMBERED, _judge_numbered),
    Detector("|".join((_JOINED, _MIXED, _HYPHENED, _JOINED_CUE)), _judge_code),
    Detector(_HEX, whole("ID")),
    Detector(_MEDICARE, whole("ID")),
    Detector(_REGISTER, _judge_register),
    Detector(_BARE, _judge_bare),
    Detector(_HASHED, _judge_hashed),
    Detector(_FILE, _judge_file),
    Detector(r"\b\d{4}[ -]\d{4}[ -]\d{4}\b", _judge_thrice),
    Detector(_ENDS_IN, _judge_ends_in),
    Detector(_LOGIN, _judge_login),
    Detector(_SPACED, _judge_spaced),
)
