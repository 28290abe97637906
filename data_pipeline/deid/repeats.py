"""A name that was found once goes wherever the note repeats it: "Dr. Kapoor" above, "call Kapoor" or "RK" below.

What gave the name away stands beside it only once; the second time it stands alone, in capitals, as initials or inside
a login. So the words of the names that were found are looked for in the rest of the note. Words that medicine or the
dictionary also has count only with a capital in the middle of a sentence.
"""

import functools
import re
from collections.abc import Iterable, Iterator

from data_pipeline.deid.lexicon import CREDENTIALS, is_strong, names_a_thing, what_is_known
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.words import NAME, Known, not_names, word_set

_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
_MIN_CHARS, _MIN_LOGIN_CHARS, _MIN_LOWER_CHARS = 3, 5, 5
_MAX_ABBREVIATION = 4
_MAX_LETTERS = 3
_MIDDLE_OF_SENTENCE = re.compile(r"[a-z0-9,;)\]][ \n]$")
# "Dr. C", and a letter with four digits, by which veterans are called.
_TITLE_BEFORE = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|Miss|DR|MR|MRS|MS)\.? $")
# Published notes call people so.
_ANYBODY = "ABXYZ"
_LINE_BEFORE = re.compile(r"(?:^|[.,!\n>)/~-])[ \n]{0,2}$")
_LINE_END = re.compile(r"[ \t.]*(?:\n|$)")
_LOGIN = re.compile(r"[A-Za-z0-9._-]*")
ABBREVIATIONS = word_set(
    "AA AB AC AD AF AG AI AJ AK AM AN AP AR AS AT AV BB BE BG BH BI BK BM BP BR BS BT BV BW BX CA CB CC CD CF CG CH CI "
    "CK CL CM CN CO CP CR CS CT CV CX CY DB DC DI DJ DM DO DP DR DS DT DU DW DX EA ED EF EG EM EN EP ER ES ET EX FB FE "
    "FH FM FN FS FT FU FX GA GB GE GF GI GM GN GP GS GT GU HA HB HC HD HF HI HO HP HR HS HT HX IA IC ID IF II IL IM IN "
    "IO IP IQ IR IS IT IV JP JT JV KG KT KV LA LB LD LE LF LH LL LM LN LP LR LS LT LV MA MC MD ME MG MI ML MM MO MR MS "
    "MV MY NA NC ND NG NH NI NK NL NM NO NP NR NS NT NV NY OA OB OD OF OH OK OM ON OP OR OS OT OU OX PA PC PD PE PF PG "
    "PH PI PM PN PO PP PR PS PT PV PX QD QT RA RD RE RF RH RI RL RN RO RP RR RS RT RV RX SA SB SC SD SE SF SH SI SL SM "
    "SO SP SR SS ST SV SW SX TA TB TD TH TI TL TM TO TP TR TS TV TX UA UC UE UO UP US UT VA VF VS VT WB WC WM WT XR YO "
    "AAA ABC ABG ACE ACL ACS ADA ADD ADL AED AKA ALL ALS ALT AMA AMS ANA AND ARF ART ASA ASD AST AVM BID BKA BMI BMP "
    "BNP BPH BUN CAD CAT CBC CBT CEA CHF CKD CLL CML CMP CMV CNS COR CPK CPR CRP CSF CTA CVA CVP CXR DCM DIC DIP DJD "
    "DKA DNI DNR DOA DOB DOE DTR DVT EBL ECG EDC EEG EGD EKG EMG EMS ENT EOM ERA ESR ETT FEV FFP FHR FHT FSH GCS GFR "
    "GSW GTT GYN HBV HCG HCT HCV HDL HGB HIV HPI HPV HSV HTN IBD IBS ICD ICP ICU IDA IGA IGG INR IOP IUD IVC IVF IVP "
    "JVD JVP KUB LAD LDH LDL LFT LLE LLL LLQ LMP LUE LUL LUQ LVH MAP MCA MCH MCL MCV MDD MDI MRA MRI MVA MVP NAD NGT "
    "NKA NPO NSR NYH OCD OCP ORL OSA OTC PCA PCL PCN PCP PCR PDA PET PFT PICC PID PMH PMI PND PRN PSA PSH PTA PTH PTT "
    "PVC PVD QID QHS RBC RCA RLE RLL RLQ ROM ROS RPR RSV RUE RUL RUQ SAH SBO SBP SDH SIG SLE SLR SOB SPO STD SVT TAB "
    "TAH TBI THA TIA TIBC TID TKA TLC TMJ TNM TPN TSH TTE UPS URI USA UTI VAC VSD WBC WNL "
)


def repeated_names(plain: str, found: Iterable[PhiSpan]) -> list[PhiSpan]:
    """Further places of the view at which the words of the names in `found` stand; they may overlap it."""
    words: set[str] = set()
    initials: set[str] = set()
    letters: set[str] = set()
    for span in found:
        if span.cls == "NAME":
            parts = [part for part in _WORD.findall(plain[span.start : span.end]) if part.upper() not in CREDENTIALS]
            words.update(part.removesuffix("'s") for part in parts)
            initials.update(_initials(plain[span.start : span.end], parts))
            letters.update(part[0] for part in parts[-1:] if part[0].isupper() and part[0] not in _ANYBODY)
    spans = [span for word in sorted(words) if len(word) >= _MIN_CHARS for span in _places(plain, word)]
    for short in sorted(initials):
        usual = short in ABBREVIATIONS or what_is_known(short) & (Known.ORDINARY | Known.STAYS)
        # "NK" is an abbreviation too; alone at the end of a line it is who signed.
        spans += [PhiSpan(*place, "NAME") for place in _whole_words(plain, short) if not usual or _signs(plain, *place)]
        spans += [
            PhiSpan(*place, "NAME") for place in _whole_words(plain, short.lower()) if _LINE_END.match(plain, place[1])
        ]
    if not letters:
        return spans
    places = [
        PhiSpan(*match.span(), "NAME")
        for letter in sorted(letters)
        for match in _letter_pattern(letter).finditer(plain)
        if match.end() - match.start() > 1 or _TITLE_BEFORE.search(plain, max(0, match.start() - 7), match.start())
    ]
    # A note that calls somebody by a letter throughout was written so that nobody should know.
    return spans + (places if len(places) <= _MAX_LETTERS else [])


@functools.cache
def _letter_pattern(letter: str) -> re.Pattern[str]:
    """The letter alone, before no name, or with four digits. It comes first, since a letter is quick to look for."""
    return re.compile(rf"{letter}(?<!\w{letter})(?:\d{{4}}\b|\b(?!\.? [A-Z][a-z]|[-'.][A-Za-z]))")


def _initials(name: str, parts: list[str]) -> Iterator[str]:
    """ "FW" of "Forrest Whitlow" and of "Whitlow, Forrest"; none of a name in lower case."""
    letters = "".join(part[0] for part in parts if part[0].isupper())
    if len(letters) != len(parts) or not 2 <= len(letters) <= 3 or max(map(len, parts)) < _MIN_CHARS:
        return
    if "," in name:
        letters = letters[1:] + letters[0]
    yield from {letters, letters[0] + letters[-1]} - CREDENTIALS


def _signs(plain: str, start: int, end: int) -> bool:
    return bool(_LINE_BEFORE.search(plain, max(0, start - 3), start) and _LINE_END.match(plain, end))


def _places(plain: str, word: str) -> Iterator[PhiSpan]:
    known = what_is_known(word)
    if word.lower() in not_names() or known & Known.STAYS:
        return
    weak = bool(known & (Known.ORDINARY | Known.EPONYM | Known.COMMON_EPONYM))
    if weak and not known & NAME:
        return
    # Four capitals are more often an abbreviation, whatever else they spell.
    forms = {word, word.capitalize()} | ({word.upper()} if len(word) > _MAX_ABBREVIATION else set())
    if word.isupper() and len(word) <= _MAX_ABBREVIATION and not is_strong(known):
        return
    if not weak and len(word) >= _MIN_LOWER_CHARS:
        forms.add(word.lower())
    for form in sorted(forms):
        for start, end in _whole_words(plain, form):
            if names_a_thing(plain, start, end):
                continue
            if not weak or (form.istitle() and _MIDDLE_OF_SENTENCE.search(plain, max(0, start - 2), start)):
                yield PhiSpan(start, end, "NAME")
    if not weak and len(word) >= _MIN_LOGIN_CHARS:
        yield from _logins(plain, word.lower())


def _whole_words(plain: str, word: str) -> Iterator[tuple[int, int]]:
    start = plain.find(word)
    while start >= 0:
        end = start + len(word)
        if not plain[start - 1 : start].isalnum() and not plain[end : end + 1].isalnum():
            yield start, end
        start = plain.find(word, end)


def _logins(plain: str, word: str) -> Iterator[PhiSpan]:
    """ "sdelacroix67" where somebody is called Delacroix."""
    start = plain.find(word)
    while start >= 0:
        begin = start
        while begin and start - begin < 3 and plain[begin - 1].isalpha() and plain[begin - 1].islower():
            begin -= 1
        tail = _LOGIN.match(plain, start + len(word))
        end = tail.end() if tail else start + len(word)
        whole = not plain[begin - 1 : begin].isalnum()
        rest = plain[start + len(word) : end]
        if whole and (rest.isdigit() or (begin < start and not rest)):
            yield PhiSpan(begin, end, "ID")
        start = plain.find(word, start + len(word))
