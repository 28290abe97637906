"""Streets, crossings, postcodes and address lines, of more countries than one.

"2260 Fawnview Loop", "County Road 6675", "main & 3rd", "Alder St", "RR 2 Box 15", "Bath BA2 9XR", "Flat 6, 114 Lumb
Lane". Behind "Address:" the whole line goes.
"""

import re
from collections.abc import Iterator

from data_pipeline.deid.lexicon import what_is_known
from data_pipeline.deid.patterns.detector import Detector, whole
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.words import Known, word_set

_WORD = r"[A-Z][A-Za-z'.-]*"
_SURE_KINDS = (
    r"(?i:street|avenue|ave|boulevard|blvd|road|rd|lane|ln|parkway|pkwy|highway|hwy|turnpike|tpke|freeway|expressway|sideroad"
    r"|crescent|cres|terrace)"
)
# With a house number before them these are streets; alone they are anything.
_KINDS = (
    rf"(?:{_SURE_KINDS}|(?i:st|drive|dr|court|ct|way|place|pl|circle|cir|ter|square|sq|trail|trl|pike|alley|loop|row|run|path"
    r"|walk|bend|cove|crossing|xing|hollow|ridge|plaza|commons?|green|mews|close|gardens?|gdns|hill|heights|hts|point|view"
    r"|park|bypass|causeway|esplanade|trace|landing|glen|meadows?|grove|parade|wharf|quay|gate|rise|vale|villas?|chase|drove"
    r"|layout|cross|main|nagar|colony|marg|salai|strasse|rue|calle|avenida|creek|spur|fork|branch|overlook|knoll|manor|estates?"
    r"|bluff|canyon|crest|orchard|bridge|mill|springs?|valley))"
)
_POSTAL_KINDS = (
    r"(?i:anex|arcade|bayou|beach|bluffs|bottom|branch|brooks?|burgs?|camp|cape|centers?|cliffs?|club|corners?|course|courts"
    r"|coves|creek|crossroads?|curve|dale|dam|divide|drives|estate|expressway|extensions?|falls|ferry|fields?|flats?|fords?"
    r"|forest|forges?|forks?|fort|gateway|glens|greens|groves|harbors?|haven|hills|hollow|inlet|islands?|isle|junctions?|keys?"
    r"|knolls?|lakes?|land|lights?|loaf|locks?|lodge|mall|mills?|mission|motorway|mount|mountains?|neck|orchard|oval|parks"
    r"|parkways|pass(?:age)?|pines?|plains?|points|ports?|prairie|radial|ramp|ranch|rapids?|rest|ridges|river|roads|shoals?"
    r"|shores?|skyway|springs|spurs|squares|station|stravenue|stream|streets|summit|throughway|traces?|tracks?|trafficway"
    r"|trails?|tunnel|turnpike|underpass|unions?|valleys|viaduct|views|villages?|ville|vista|walks|walls?|wells?)"
)
_FLAT = (
    r"(?i:flat|apt|apartment|suite|ste|unit|bldg|building|room|rm|floor|fl|lot|trailer|space|spc|no|plot|door no"
    r"|h\.? ?no|house no)"
)
_INSIDE = rf"(?:,? {_FLAT}\.? ?#?\w{{1,6}})"
_HOUSE = (
    r"\b\d{1,6}[A-Za-z]?(?:[-/]\d{1,4}[A-Z]?)?,? (?:(?:[NSEW]{1,2}\.?|North|South|East|West|NORTH|SOUTH"
    r"|EAST|WEST) )?"
)
_STREET = (
    rf"(?:{_FLAT}\.? ?#?\w{{1,6}},? )?{_HOUSE}(?:(?:{_WORD}|\d{{1,3}}(?i:st|nd|rd|th)) ){{1,4}}(?:{_KINDS}"
    rf"|{_POSTAL_KINDS})\b\.?{_INSIDE}?"
)
_NAMED = (
    rf"\b(?:{_WORD} ){{1,2}}(?:{_SURE_KINDS})\b|\b(?:ON|AT|OFF|NEAR) [A-Z]{{4,}} (?:ST|AVE|RD|BLVD|DR|LN|CT|PL|HWY)\b"
    rf"|\b{_WORD} (?:St|Dr|Ct|Pl|Sq|Cir|Trl|Layout|Nagar|Colony|Marg|Salai)\b\.?"
)
_NUMBERED = (
    r", [A-Z]{2} \d{5}(?:-\d{4})?\b|"
    rf"\b(?:Rua|Rue|Via|Viale|Calle|Avda\.?|Avenida|Av\.|Piazza|Plaza|ul\.|Ulica|Strada|Camino|Carrera|Cra\.?|Jalan|Jl\.?)"
    rf" (?:(?:de|la|las|los|del|da|do|dos|di|du|des) ){{0,2}}{_WORD}(?: {_WORD})?(?:,? (?:#|No\.? ?)?\d{{1,5}}\b)?|"
    r"\b\d{1,5} (?:Sideroad|Line|Concession|Conc\.?|County Road|Highway|Hwy|Route|Rte|CR|State Road|Township Road"
    r"|Range Road) \d{1,5}\b"
    r"|\b(?i:plot|door|house|h\.|villa|shop|flat|survey)(?i: no\.?|no\.?)? ?#?\d{1,5}[A-Za-z]?(?:/[A-Z0-9]{1,4})?,|"
    r"\b\d{1,3}(?i:st|nd|rd|th) (?i:street|st|avenue|ave|road|rd|lane|place|pl|court|ct|blvd|drive|dr|terrace|cross"
    r"|main)\b"
    r"|\b(?:[A-Z][a-z]+ )?(?:County|State|Farm|Ranch|Forest|Rural|Township|Service) (?:Road|Rd|Route|Rte|Hwy"
    r"|Highway)\.? [A-Z]{0,2}-?\d{1,5}[A-Z]?\b"
    r"|\b(?:CR|FM|SR|RR|R\.R\.|HC|RFD|RD|US|I)[- ]?(?:#|No\.? ?)?\d{1,4}(?:,? Box \d+[A-Z]?)\b|\b(?:CR|FM) \d{3,5}\b"
    r"|\bR\.R\. ?#?\d{1,2}\b|\bRR ?#?\d, [A-Za-z]"
    r"|\b(?:US-\d{1,3}|I-\d{1,2})\b|\b(?i:mile ?(?:marker|post)) \d{1,4}(?:\.\d)?\b|\b[Bb]ox \d{1,5}\b"
    r"|\b(?:[MA]\d{1,3}) (?:motorway|northbound|southbound)\b"
)
# "Lindenstrasse 14, 79110 Freiburg", "C/ Pelayo 41, 3o izda, 39770 Laredo", "4417 N Kedzie #2R", "Palakkad Dt. 679101".
_ABROAD = (
    r"\b[A-Z][a-z]+(?:stras?se|str\.|weg|platz|gasse|allee|ufer|straat|laan|plein|gracht|gatan|vagen|vej|gade|utca)"
    r" \d{1,4} ?[a-z]?\b(?:,? (?:[A-Z]{1,2}-)?\d{4,5} [A-Z][a-z-]+)?"
    rf"|\bC/ ?{_WORD}(?: {_WORD})?,? \d{{1,4}}\b(?:, \d{{1,2}}[^\s,]{{0,2}} [a-z]{{2,5}}\.?)?(?:,? \d{{5}} {_WORD})?"
    rf"|\b{_WORD},? (?:\(PO\)|P\.O\.(?:$|[,; \n])|\(?(?:Dt|Dist|Taluk|Tehsil|Mandal)\b\.?\)?)(?:,? \d{{3}} ?\d{{3}}\b)?"
)
_PLAIN_HOUSE = (
    rf"\b\d{{1,5}} {_WORD}(?: {_WORD})?, (?i:unit|apt|apartment|suite|flat|#) ?\w{{1,4}}\b"
    rf"|\b\d{{2,5}} [NSEW]\.? {_WORD}\b(?:,? (?:#|apt|unit) ?\w{{1,5}})?"
)
_CROSSING = (
    r"\b(?i:at|on|near|off|by|corner of|intersection of) (?:[A-Za-z'.]+ ){1,2}(?:&|and|@|/) (?:\d{1,3}(?i:st|nd|rd"
    r"|th)|[A-Z][a-z]+ (?:St|Ave|Rd|Blvd))\b"
    r"|\b(?i:at|on|near|off|by|corner of|intersection of) \d{1,3}(?i:st|nd|rd|th)(?: (?:St|Ave|street|avenue))? (?:&"
    r"|and|@|/) [A-Za-z']+\b"
    rf"|\b(?i:corner|intersection) of {_WORD}(?: {_WORD})? (?:&|and) {_WORD}(?: {_WORD})?"
)
_CROSSING_HEAD = re.compile(r"(?:at|on|near|off|by|(?:corner|intersection) of) ", re.I)
_CROSSED_DAYS = re.compile(r"(?:\d+(?:st|nd|rd|th)?|the|between|day|days|[a-z]*[ds]ay) ", re.I)
_POSTCODE = (
    rf"(?:\b{_WORD}(?: {_WORD})?[ ,\n]{{1,2}})?"
    r"(?:\b(?:[A-Z]{1,2}\d[A-Z\d]?) \d[ABD-HJLNP-UW-Z]{2}\b"  # United Kingdom
    r"|\b[ABCEGHJ-NPRSTVXY]\d[A-Z][ -]?\d[A-Z]\d\b"  # Canada
    r"|\b[AC-FHKNPRTV-Y]\d[\dW] [A-Z0-9]{4}\b)"  # Ireland
    r"|\b(?:NSW|VIC|QLD|WA|SA|TAS|ACT|NT) \d{4}\b"  # Australia
    r"|[A-Z][a-z]+,? ?- ?\d{3} ?\d{3}\b"  # India
    r"|\b(?:[Pp]ost ?code|PIN|[Pp]in ?code|PLZ|CP|Eircode)[ :.]{1,3}[A-Z0-9]{2,5}(?: ?[A-Z0-9]{3,4})?\b"
)
_ADDRESS_LINE = (
    r"\b(?i:(?:home |mailing |incident |street |postal |current |permanent |billing |scene |p/u "
    r"|pick-?up )?(?:address|addr))\b[ ]?(?:[:|]|\.{2,}:?|-)[ ]{0,4}[^\n|]{3,90}"
)
_ADDRESS_HEAD = re.compile(r"[A-Za-z/ -]+?[ ]?(?:[:|]|\.{2,}:?|-)[ ]{0,4}")
_ADDRESS_END = re.compile(
    r" {3,}|\t|;|\b(?:ph|phone|tel|telephone|cell|fax|email|dob|mrn|city|state|zip|age|sex|contact|crew|mobile"
    r"|attender)\b[ :.]",
    re.I,
)
_HL7 = r"(?:^|\n)(?:PID|NK1|GT1|IN1|MSH)\|[^\n]*"
_HL7_FIELD = re.compile(r"[^|^~&\\]+")
_HL7_NAME = r"\b[A-Z][A-Za-z' -]+\^[A-Z][A-Za-z' -]+"


def _judge_street(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    words = re.findall(r"[A-Za-z]{2,}", plain[start:end])
    kind = words[-1].lower() if words else ""
    # "2 View chest", "5 Point scale": before a short kind must stand a word that is none of medicine's.
    known = [what_is_known(word) for word in words[:-1] if len(word) > 2]
    if kind in _SURE_WORDS or any(flags == 0 or (flags & Known.SURNAME and not flags & Known.STAYS) for flags in known):
        yield PhiSpan(start, _with_town(plain, end), "LOCATION")


_SURE_WORDS = word_set(
    "street avenue ave boulevard blvd road rd lane ln parkway pkwy highway hwy st drive court loop circle"
)
_NO_STREET = re.compile(r"(?:ON|AT|OFF|NEAR|The|A|An|On|In|At|Of|And|This|That|Off|Via|From|To)$")


def _judge_named(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    words = list(re.finditer(r"[A-Za-z'-]+", plain[start:end]))[:-1]
    while words and (_NO_STREET.match(words[0][0]) or (what_is_known(words[0][0]) & Known.STAYS)):
        words.pop(0)
    if not words:
        return
    kind = plain[start + words[-1].end() : end].strip(" .")
    known = what_is_known(words[-1][0])
    # "Left Lane" and "Wilson Dr" need more than a clinical word: a name, or nothing that is known.
    is_placed = re.search(r"\b(?:on|off|near)\s$", plain[max(0, start - 5) : start]) and words[-1][0].istitle()
    is_placed = is_placed or plain[start:end].startswith(("ON ", "OFF ", "NEAR "))
    if known & Known.ORDINARY and not is_placed and (len(kind) < 3 or kind.isupper() or words[-1][0].isupper()):
        return
    if kind in ("Dr", "Ct", "Pl", "Cir") and not re.match(r"\.?(?:,| and|$|\n| in | apt)", plain[end : end + 6]):
        return
    if kind.isupper() and not is_placed and (len(kind) < 4 or known & Known.ORDINARY):
        return
    yield PhiSpan(start + words[0].start(), _with_town(plain, end), "LOCATION")


_TOWN_AFTER = re.compile(r", ([A-Z][a-z'-]+(?: [A-Z][a-z'-]+)?)\b")


def _with_town(plain: str, end: int) -> int:
    """Where a street ends, with the town that stands behind its comma."""
    town = _TOWN_AFTER.match(plain, end)
    return town.end() if town and not what_is_known(town[1].split()[0]) & (Known.ORDINARY | Known.STAYS) else end


def _judge_plain_house(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    word = re.search(r"[A-Z][A-Za-z'.-]{2,}", plain[start:end])
    if word and not what_is_known(word[0]) & (Known.ORDINARY | Known.STAYS):
        yield PhiSpan(start, end, "LOCATION")


def _judge_crossing(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _CROSSING_HEAD.match(plain, start, end)
    begin = head.end() if head else start
    # "on the 3rd and the 5th", "at 4th and 5th": teeth, ribs and days have numbers on both sides.
    first = re.match(r"[A-Za-z0-9'.]+", plain[begin:end])
    last = re.search(r"[A-Za-z0-9']+$", plain[begin:end])
    if first is None or last is None or (_CROSSED_DAYS.match(plain[begin:end]) and last[0][0].isdigit()):
        return
    names = [word for word in (first[0], last[0]) if not word[0].isdigit()]
    if (
        "and" in plain[begin:end]
        and any(what_is_known(word) & Known.ORDINARY for word in names)
        and "corner" not in plain[start:begin]
    ):
        return
    yield PhiSpan(begin, end, "LOCATION")


def _judge_postcode(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    code = plain[start:end]
    # Stages of tumours look Canadian: T1N0M0.
    if re.search(r"\bT\d[A-Z][ -]?\d", code) or (" " not in code and re.fullmatch(r"[A-Z]\d[A-Z]\d[A-Z]\d", code)):
        return
    yield PhiSpan(start, end, "LOCATION")


def _judge_address_line(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _ADDRESS_HEAD.match(plain, start, end)
    begin = head.end() if head else start
    stop = _ADDRESS_END.search(plain, begin, end)
    line = plain[begin : stop.start() if stop else end].rstrip()
    if re.search(r"\d|[A-Z][a-z]|[A-Z]{3}", line):
        yield PhiSpan(begin, begin + len(line), "LOCATION")


def _judge_hl7(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    fields = list(_HL7_FIELD.finditer(plain, start, end))
    is_header = "MSH" in fields[0][0]
    for field in fields[1:]:
        value = field[0].strip()
        if len(value) > 2 and not (is_header and re.match(r"(?:[A-Z]{3}|[A-Z]\d\d|[\d.]+)$", value)):
            yield PhiSpan(field.start(), field.end(), "ID" if re.search(r"\d", value) else "NAME")


DETECTORS = (
    Detector(_STREET, _judge_street),
    Detector(_NAMED, _judge_named),
    Detector(_NUMBERED, whole("LOCATION")),
    Detector(_ABROAD, whole("LOCATION")),
    Detector(_PLAIN_HOUSE, _judge_plain_house),
    Detector(_CROSSING, _judge_crossing),
    Detector(_POSTCODE, _judge_postcode),
    Detector(_ADDRESS_LINE, _judge_address_line),
    Detector(_HL7, _judge_hl7),
    Detector(_HL7_NAME, whole("NAME")),
)
