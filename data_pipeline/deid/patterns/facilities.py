"""Hospitals, schools, churches, shops and towns by the word that such places end in or begin with.

"Granite Valley Rehabilitation Institute", "Two Grey Hills High", "Cornerstone Home Health", "Beaver Falls",
"St Luke's". A word with a capital before the kind must be one of landscape, of a saint, a name, or one that no list
knows; "Pain Clinic" and "General Surgery" have none.
"""

import re
from collections.abc import Iterator

from data_pipeline.deid.eponyms import thing_follows
from data_pipeline.deid.lexicon import what_is_known
from data_pipeline.deid.patterns.detector import Detector
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.words import NAME, Known, not_names, place_words, town_phrases, word_set

_WORD = r"(?:St\.|[A-Z][A-Za-z'-]*)"
_JOINT = r"(?:(?:of|the|for|and|at|de|del|la|&) ){0,2}"
_KINDS = (
    r"(?i:hospitals?|hosp|medical (?:cent(?:er|re)|group|practice|associates|clinic|imaging)|med ctr|clinics?"
    r"|cent(?:er|re)"
    r"|surgical|peds|elem|(?-i:ES)"
    r"|health(?: (?:system|cent(?:er|re)|plaza|services|partners|care|team|network|trust|board|department))?|healthcare"
    r"|infirmary|institute|imaging|radiology|diagnostics|laborator(?:y|ies)|labs?|dialysis|pharmacy|surgical associates"
    r"|associates|physicians|specialists|pediatrics|paediatrics|orthop(?:a)?edics|cardiology|oncology|dermatology|surgery"
    r"|rehab(?:ilitation)?(?: (?:institute|cent(?:er|re)|hospital))?|home health|home care|hospice|nursing(?: home"
    r"| facility)?"
    r"|care(?: (?:home|cent(?:er|re)))?|assisted living|senior living|memory care|manor|villa|lodge|terrace|gardens"
    r"|retirement (?:home|community)|group home|residence|house|hall|haven|place|court|towers?|apartments?|apts|estates"
    r"|shelter|mission|adhc|snf|alf|nh|cboc|vamc"
    r"|elementary|middle school|high school|high|primary school|(?:alternative|primary|grammar|public|charter"
    r"|prep) school"
    r"|school|academy|college|university|univ|preschool|daycare|nursery|kindergarten|montessori"
    r"|church(?: of [A-Z][a-z]+)?|chapel|cathedral|basilica|parish|temple|synagogue|mosque|gurdwara|mandir|masjid|abbey"
    r"|nhs(?: foundation)? trust|foundation|agency|department|precinct|station|jail|prison|penitentiary"
    r"|correctional(?: "
    r"(?:institut(?:e|ion)|facility|cent(?:er|re)))?|courthouse"
    r"|farms?|ranch|orchards?|dairy|mills?|mines?|logging|lumber|foods|motors|industries|corporation|corp|inc|llc|ltd|plc"
    r"|company|logistics|trucking|construction|freight|airlines|airport|brewery|winery|vineyards|restaurant|diner|cafe|grill"
    r"|bakery|pizza|hotel|motel|inn|casino|resort|market|grocery|supermarket|store|depot|mall|plaza|gym|ymca|club|library"
    r"|museum|theat(?:er|re)|stadium|arena|bank|credit union|county|township|borough|parish|reservation|base|barracks)"
)
_PLACE = rf"\b(?:{_WORD} {_JOINT}){{1,5}}{_KINDS}\b"
_SPACE = re.compile(" ")
_KIND_AT_END = re.compile(rf"{_KINDS}$")
# Hospitals and congregations that go by a name without the kind of place.
_SAYS_NO_KIND = (
    r"\b(?:Good (?:Samaritan|Shepherd)|Sacred Heart|Holy (?:Cross|Family|Name|Spirit|Redeemer|Trinity)|Bon Secours"
    r"|Mater (?:Misericordiae|Dei)|Beth (?:Israel|David|El)|Mount Sinai|Mercy(?: [A-Z][a-z]+){1,2}|Johns Hopkins"
    r"|Hopkins"
    r"|[A-Z][a-z]+ (?:Covenant|Presbyterian|Methodist|Adventist|Lutheran|Baptist|Deaconess|Episcopal)"
    r"|(?:First|Second|Our (?:Savior|Redeemer|Saviour)'?s?) (?:Baptist|Methodist|Presbyterian|Lutheran|Christian"
    r"|Congregational|Episcopal|Assembly|Church)(?: (?:of )?[A-Z][a-z]+)?)\b"
)
# "Hospital Comarcal de Laredo", "Klinikum Breisgau": elsewhere the kind comes first.
_KIND_FIRST = (
    r"\b(?:Hospital|Clinica|Policlinica|Sanatorio|Hopital|Clinique|Ospedale|Policlinico|Klinikum|Universitatsklinikum"
    r"|Krankenhaus|Spital|Ziekenhuis|Szpital|Sjukhus|Sairaala|Centro de Salud|Centro Medico|Ambulatorio|CHU|CHRU|AIIMS)"
    r"(?: (?:Comarcal|Regional|Universitari[oa]|Universitaire|General|Generale|Clinico|Nacional|Civil|Infantil"
    r"|Provincial"
    r"|San|Santa|Saint|Sankt|de|del|de la|de los|da|do|dos|di|du|des|d'|le|la|el)){0,4} [A-Z][A-Za-z-]+(?:"
    r" [A-Z][a-z]+)?"
)
# "Sunrise of Bethesda", "VNA of Greater Nashua"
_OF_TOWN = (
    r"\b(?:[A-Z][a-z]+ )?(?:Sunrise|Brookdale|VNA|Bank|City|Town|Village|University|Univ|Univ\.|Diocese|Archdiocese"
    r"|Hospice"
    r"|Nurses?|Hospital|Clinic|Center|Residence|College) (?:of|at) (?:Greater |Southern |Northern |Eastern |Western "
    r"|Central )?"
    r"[A-Z][a-z]+(?: [A-Z][a-z]+)?"
)
_FIRM = r"\b(?:[A-Z][A-Za-z'-]+,? (?:and |& )?){1,3}(?:LLC|Inc|PLC|Ltd|Corp|Sons|GmbH)\b"
_SAINT = (
    r"\b(?:St\.?|Saint|Sts\.?|SAINT|Our Lady(?: of)?|Mount|Mt\.?|MT\.?) [A-Z][A-Za-z-]+(?:'s|s')?(?: [A-Z][a-z]+'s)?"
)
_TOWN_ENDS = (
    "Springs|Falls|Harbou?r|Beach|Heights|Creek|Grove|Ridge|Valley|Haven|City|Lakes?|Island|River|Rivers|Bay|Village|Forest"
    "|Mills|Mountain|Junction|Corners|Crossing|Landing|Forks?|Prairie|Plains|Bluffs?|Canyon|Cove|Hollow|Glen|Rapids|Shores?"
    "|Summit|Vista|Bend|Pines|Oaks|Mesa|Ferry|Acres|Bluff|Hills|Mallet|Regis|Parva|Magna"
)
_TOWN_STARTS = (
    "North|South|East|West|New|Fort|Ft\\.?|Port|San|Santa|Saint|Mount|Lake|Los|Las|El|La|Cape|Grand|Big|Little|Upper|Lower"
    "|Old|Glen|Palm|Royal|Bear|Deer|Eagle|Elk|Cedar|Iron|Silver|Rocky|Sandy|Twin|Castle|Saute|Great|Co\\.?"
)
_TOWN = rf"\b(?:{_WORD} ){{1,2}}(?:{_TOWN_ENDS})\b|\b(?:{_TOWN_STARTS}) [A-Z][a-z]{{3,}}\b"
_GENERIC = word_set(
    "the a an our this his her their your my outside local general regional community county city state university"
    " hospital medical center centre clinic health care home nursing rehab rehabilitation skilled emergency urgent"
    " family women's children's veterans primary outpatient inpatient surgical pain wound sleep eye dental cancer"
    " heart stroke trauma burn behavioral mental psychiatric acute long term assisted living intensive critical"
    " surgery medicine internal department office from to at in of and for with by public private national american"
    " united international federal physical occupational speech respiratory radiation infusion day adult senior"
    " student middle high elementary school church memory wellness chiropractic hospice palliative transplant"
    " vascular cardiac pulmonary renal kidney liver bone joint spine sports hand foot head neck brain skin blood"
    " vein lung breast prostate bladder prenatal postpartum perinatal diabetes thyroid fertility admission discharge"
    " certification plan transfer rapid response blue red code social work case management patient support resource"
    " call crisis suicide"
    " poison control disease new old left right upper lower north south east west grand big little great"
)


def _judge_place(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    # Only where a word begins: looking at each letter takes twice as long.
    starts = (start, *(space.end() for space in _SPACE.finditer(plain, start, end)))
    kind = next(filter(None, (_KIND_AT_END.match(plain, place, end) for place in starts)), None)
    if kind is None:
        return
    words = list(re.finditer(r"[A-Za-z'.-]+", plain[start : kind.start()]))
    # What stands before the name: "Discharged to Cedar Bluff", "Followed at".
    while words and not _is_of_places(words[0][0]) and not _is_proper(words[0][0]):
        words.pop(0)
    is_capital = kind[0][0].isupper()
    proper = [word for word in words if _is_proper(word[0]) or _is_of_places(word[0])]
    if not proper or thing_follows(plain, end):
        return
    # "Cedar home", "Wilson house": a kind in lower case needs one that is plain, and a name.
    if not is_capital and kind[0].lower() not in _LOWER_KINDS:
        return
    if kind[0].lower() in _PERSONAL_KINDS and not any(
        _is_of_places(word[0]) or not what_is_known(word[0]) for word in words
    ):
        return
    yield PhiSpan(start + words[0].start(), end, "HOSPITAL" if _IS_CARE.search(kind[0]) else "LOCATION")


_IS_CARE = re.compile(r"hosp|clinic|health|medic|infirm|rehab|nurs|surg|pharm|imag|hospice|dialysis|care|cent", re.I)
_LOWER_KINDS = word_set(
    "hospital clinic elementary high church school nursing hospice rehab pharmacy university college county farm"
    " mall shelter"
)
# Behind a surname these may be a thing of that person, or a test: "Smith house", "Pap lab".
_PERSONAL_KINDS = word_set(
    "house care home labs lab place court center centre surgery cardiology high health store base inc hall"
)


_SPECIALTY = re.compile(
    r"(?:ology|iatry|iatrics?|therapy|surgery|surgical|metry|graphy|pathy|itis|osis|oma|ectomy|plasty|scopy|ics)$"
)


def _is_of_places(word: str) -> bool:
    return word.lower().removesuffix("'s").strip(".") in place_words()


def _is_proper(word: str) -> bool:
    """A name or a word that no list knows, with a capital."""
    lower = word.lower().strip(".'")
    if not word[0].isupper() or len(lower) < 3 or lower in _GENERIC or _SPECIALTY.search(lower):
        return False
    known = what_is_known(word.rstrip("."))
    if known & (Known.ORDINARY | Known.STAYS | Known.EPONYM):
        return False
    return not word.isupper() or len(word) > 4


def _judge_saint(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    words = plain[start:end].split()
    known = what_is_known(words[-1])
    if (
        words[-1].lower() in not_names()
        or thing_follows(plain, end)
        or known & (Known.STAYS | Known.EPONYM)
        or (known & Known.ORDINARY and not known & NAME)
    ):
        return
    if re.match(r" (?:wort|valve|graft|lead|device|pacemaker)", plain[end : end + 12], re.I):
        return
    yield PhiSpan(start, end, "HOSPITAL")


def _judge_town(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    words = list(re.finditer(r"[A-Za-z'.]+", plain[start:end]))
    ends_as_town = re.search(rf"(?:{_TOWN_ENDS})$", plain[start:end])
    rest = words[:-1] if ends_as_town else words[1:]
    # "New Onset", "Old Records", "Lower Extremity", "Fall Ridge": landscape on both sides, or a name on one.
    kept: list[re.Match[str]] = []
    for word in reversed(rest):
        known = what_is_known(word[0])
        if not (_is_of_places(word[0]) or known == 0 or (known & NAME and not known & (Known.ORDINARY | Known.STAYS))):
            break
        kept.insert(0, word)
    if not kept or (not ends_as_town and len(kept) < len(rest)) or thing_follows(plain, end):
        return
    if (
        not ends_as_town
        and not _is_of_places(kept[0][0])
        and what_is_known(kept[0][0]) == 0
        and words[0][0] in ("New", "Old")
    ):
        return
    begin = kept[0].start() if ends_as_town else words[0].start()
    yield PhiSpan(start + begin, end, "LOCATION")


def _judge_kind_first(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    words = list(re.finditer(r"[A-Z][A-Za-z-]+", plain[start:end]))
    last = words[-1]
    # "Hospital Course", "Hospital Day"; of two words the second may begin the next sentence.
    if len(words) > 2 and what_is_known(last[0]) & Known.ORDINARY:
        last = words[-2]
    if (
        len(words) > 1
        and not what_is_known(last[0]) & (Known.ORDINARY | Known.STAYS)
        and last[0].lower() not in _GENERIC
    ):
        yield PhiSpan(start, start + last.end(), "HOSPITAL")


def _judge_phrase(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    if not thing_follows(plain, end):
        yield PhiSpan(start, end, "LOCATION")


def _judge_county(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    words = list(re.finditer(r"[A-Za-z'.-]+", plain[start:end]))[:-1]
    while words and (words[0][0].lower() in _GENERIC or words[0][0].lower() in not_names()):
        words.pop(0)
    if words:
        yield PhiSpan(start + words[0].start(), end, "LOCATION")


def _judge_firm(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    words = re.findall(r"[A-Za-z]+", plain[start:end])
    if any(what_is_known(word) & Known.FREQUENT and len(word) > 2 for word in words[:-1]):
        yield PhiSpan(start, end, "LOCATION")


def detectors() -> tuple[Detector, ...]:
    """Each kind of place as a pass; reads the list of towns."""
    phrases = "|".join(re.escape(name).replace("\\ ", " ") for name in town_phrases())
    return (
        Detector(_PLACE, _judge_place),
        Detector(_SAINT, _judge_saint),
        Detector(_TOWN, _judge_town),
        Detector(r"\b(?:[A-Z][a-z]+ ){1,2}(?:County|Township|Borough|Parish)\b", _judge_county),
        Detector(_FIRM, _judge_firm),
        Detector(_SAYS_NO_KIND, _judge_phrase),
        Detector(_KIND_FIRST, _judge_kind_first),
        Detector(_OF_TOWN, _judge_kind_first),
        Detector(r"\b[A-Z][a-z]+ d'[A-Z][a-z]+\b", _judge_phrase),
        Detector(rf"\b(?:{phrases})\b", _judge_phrase),
    )
