"""How people are called beside their names: nicknames in quotes, titles and kin of other languages, initials, forms.

`("Teo")`, "abuelita Chayo", "Smt. Lakshmamma", "d/w M.B.", "MAGSAYSAY,ROWENA C", "TROOPER LITTLE WOLF", "sent
by: lk", "thx so much, aditi".
"""

import re
from collections.abc import Iterator

from data_pipeline.deid.eponyms import thing_follows
from data_pipeline.deid.lexicon import CREDENTIALS, what_is_known
from data_pipeline.deid.patterns.detector import Detector
from data_pipeline.deid.repeats import ABBREVIATIONS
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.words import NAME, NOT_A_NAME, Known, not_names

_WORD = r"[A-Z][A-Za-z'-]+"
_TOKEN = re.compile(r"[A-Za-z][A-Za-z'-]*")

_QUOTED = (
    r"(?:\(\"|\('|\")[A-Z][a-z]*(?:-[A-Z])?[a-z]+(?: [A-Z][a-z]+)?[,.]?(?:\"|'\))|\b(?i:called|nickname|nicknamed"
    r"|goes by|known as"
    r"|prefers|aka|a\.k\.a\.|name)[a-z ]{0,15} [\"'][A-Za-z-]+[,.]?[\"']"
)
_QUOTED_NAME = re.compile(r"[A-Za-z][A-Za-z -]*(?=[,.]?[\"']\)?$)")
# What is quoted and capitalised is often what a patient says, or the name of a form.
_NICKNAME_CUE = re.compile(
    r"(?:called|nicknam\w*|goes by|known as|prefers|aka|a\.k\.a\.|name)[a-z ]{0,15}[\"']|\(", re.I
)

_KIN = (
    r"abuel(?:a|o|ita|ito)|ti[ao]|mam[ai]|pap[ai]|hij[oa]|espos[oa]|herman[oa]|prim[oa]|sobrin[oa]|niet[oa]|novi[oa]|comadre|compadre"
    r"|madrina|padrino|lol[ao]|nan[ai]|nonn[ao]|nonna|dadi|dada|bhai|didi|chacha|chachi|ammi|amma|appa|abba|baba|bibi|oma|opa"
    r"|yaya|yiayia|bubbe|zayde|zaide|ate|kuya|tit[ao]|ninong|ninang|babushka|ba|bac|chi|anh|gung gung|popo|halmoni"
    r"|auntie|aunty"
    r"|nan|nana|gran|granny|grampa|gramps|papa|pop-pop|meemaw|mawmaw|pawpaw|dtr|dtr-in-law|hubby|missus|mum|mummy|mommy|daddy"
    r"|bf|gf|fiance|bro|sis|stepdad|stepmom|co-?parent|godmother|godfather|carer|childminder|nanny|babysitter|doula|midwife"
    r"|lactation|roommate|housemate|flatmate|lodger|landlady|classmate|teammate|schoolmate|colleague|supervisor|manager"
    r"|case ?manager|cm|sw|pt|ot|slp|rt|rd|cna|hha|pca|aide|tech|secretary|receptionist|scheduler|dispatcher|crew"
    r"|medic|emt"
    r"|driver|trooper|attender|attendant|rep|adjuster|solicitor|lawyer|counselor|teacher|principal|coach|pastor|imam|shaman"
    r"|caller|foreman|boss|charge nurse|nurse|classmate|dog|cat|adviser|advisor|sponsor|physio|translator|bystander"
    r"|witness|informant|historian|collateral|custodian|poa|hcp"
    r"|mpoa|dpoa|hcpoa|nok|emergency contact|contact"
)
_AFTER_KIN = r"(?:,| is| was| named|:| -)? \(?\"?"
_KINSHIP = rf"\b(?i:{_KIN}){_AFTER_KIN}{_WORD}(?: {_WORD})?"
_KINSHIP_HEAD = re.compile(rf"(?:{_KIN}){_AFTER_KIN}", re.I)
_SURE_KIN = re.compile(
    r"abuel|ti[ao]|hij|espos|herman|prim|sobrin|niet|novi|comadre|compadre|madr|padr|lol|nonn|bhai|didi|ammi|baba|oma|opa|yia"
    r"|ate|kuya|tit|auntie|aunty|nan|gran|dtr|hubby|mum|momm|dadd|mee|maw|paw|dog|cat|secretary|receptionist|aide|doula|lactation|caller|foreman"
    r"|trooper|rep\b|carer|solicitor|emergency|roommate|physio|teacher|coach|counselor",
    re.I,
)

_TITLE = (
    r"(?:Smt|Shri|Shrimati|Sri|Sh|Kum|Kumari|Srta|Sra|Sr|Se[n]ora?|Se[n]orita|Don|Do[n]a|Herr|Frau|Mme|Mlle|Madame|Monsieur|Hajji?|Hajja"
    r"|Sheikh|Shaykh|Ustad|Swami|Pandit|Trooper|Deputy|Constable|Cst|Inspector|Insp|Sergeant|Corporal|Cpl|Private|Pvt|Pte|Major|Captain|Lieutenant"
    r"|Colonel|Commander|Cdr|Admiral|Lady|Lord|Dame|Sir|Canon|Elder|Bishop|Monsignor|Msgr|Reverend|Solicitor|Barrister|Counsel(?:l?or)?"
    r"|Adjuster|Magistrate|Justice|Senator|Mayor|Ranger|Chief|Warden|Principal|Headmaster|Ma'am|Mister|Missus|Missis|Mistress"
    r"|Mstr|Madam|Maulana|Mufti|Guru|Bhante|Sensei|Dott|Ing|Lic|Prof|Nurse|Detective|Officer|Medic|EMT|Paramedic|SMT|SHRI"
    r"|TROOPER|DEPUTY|DETECTIVE|OFFICER|SGT|JUDGE|NURSE|PASTOR|REV|DR|DRS|MR|MRS|MS|MISS|PROF|FR|RN|NP|PA|MD|LPN|CNA|MA|CRNA|NRP|CAPT)"
)
_TITLED = rf"\b{_TITLE}\.? {{1,2}}(?:[A-Z]\.? )?{_WORD}(?: {_WORD})?"
_TITLED_HEAD = re.compile(rf"{_TITLE}\.? {{1,2}}")
_LETTERS = (
    r"\b(?i:d/w|dw|w/|with|per|paged|by|cc|from|to|spoke w/|s/w|signed|initials?|rn|md|np|pa|cosign|witness(?:ed by)?"
    r"|verified by|reviewed by"
    r"|checked by|done by|given by|drawn by|called to|typed by|prepared by|sent by|entered by"
    r"|review):? (?:[A-Z]\. ?){2,3}"
    r"|\b(?i:typed|transcribed|sent|entered|prepared|dictated|checked|drawn|given|verified|reviewed|scribed|keyed|witnessed|initialed|initialled|charted|done|grossed|called|read)"
    r"(?i: by):? {0,2}[A-Za-z]{2,3}\b|\b(?i:initials?|init|trans|typist|scribe|dict|tech|operator"
    r"|[td]):[ ]{0,3}[a-z]{2,3}\b|\b(?i:initials?|init|typist|trans|scribe):?[ ]{1,3}[A-Z]{2,3}\b"
    r"|\b(?i:d/w|paged|signed out to|s/o to|handoff to|cosigned|review:|reviewed by) [A-Z][A-Za-z]?[A-Z]\b"
)
# "Bed 14: Lee 55F", "Ramirez 72M CHF"
_AGED = r"\b[A-Z][A-Za-z'-]+,? {1,2}\d{1,2} ?(?:[MF]\b|[yY]\.?/?[oO]\b)"
_LETTERS_TAIL = re.compile(r"(?:(?:[A-Z]\. ?){2,3}|[A-Za-z]{2,3})$")
_LETTERS_ONLY = re.compile(r"[A-Za-z]+")
_SLASHED = (
    r"(?:^|[\s.;])(?:[A-Z]{2,4}[/:][a-z]{2,3}|[a-z]{3}/[a-z]{2,3}"
    r"|[A-Z][a-z]{2,}/[a-z]{2,3}|/[a-z]{2,3}|[A-Z]{3}/[A-Z]{2,3})[ \t]*(?:\n|$)"
)
_FORM = r"\b[A-Z][A-Z'-]+,[A-Z][A-Z'-]+(?: [A-Z][A-Z'-]*){0,2}\b|\b[A-Z][a-z'-]+,[A-Z][a-z'-]+(?: [A-Z]\b)?"
_LABELLED = (
    r"(?i:labell?ed|received as|marked|identified as|family name|surname|given name|preferred name|maiden name"
    r"|first name|last name|nee)(?: as| with| is|:)? ?\"?[A-Z][A-Za-z'-]+(?:,? [A-Z][A-Za-z'-]*){0,2}"
)
_LABELLED_HEAD = re.compile(r"[a-z ]+?(?: as| with| is|:)? ?\"?(?=[A-Z])")
_GREETED = (
    r"(?:^|\n)(?i:hi|hello|hey|dear|good (?:morning|afternoon|evening|day)|greetings|hola"
    r"|buenos dias)[ ,]{1,2}[A-Za-z][a-z'-]+(?: [A-Z][a-z'-]+)?(?:,|!|\n| -|\.)"
    r"|\b(?i:thanks|thank you|thx|ty|cheers|regards|sincerely|best|love|warmly|respectfully|yours"
    r"|gracias)[a-z ]{0,16}[,!.-]{1,2}[ \n]{1,3}[A-Za-z][a-z'-]+(?: [A-Z][a-z'-]*\.?)?"
    r"|(?:^|\n)(?:From|To|Cc|CC|Bcc|FROM|TO|Sender|Recipient|Author|AUTHOR|User|Caller|CALLER|SIGN|CREW"
    r"|Crew): ?[A-Z][A-Za-z',-]+(?: [A-Z][A-Za-z'-]*\.?){0,2}"
)
_GREETED_HEAD = re.compile(
    r"\n?(?:(?:hi|hello|hey|dear|good (?:morning|afternoon|evening|day)|greetings|hola|buenos dias)[ ,]{1,2}"
    r"|(?:thanks|thank you|thx|ty|cheers|regards|sincerely|best|love|warmly|respectfully|yours"
    r"|gracias)[a-z ]*[,!.-]{1,2}\s{1,3}|[a-z]+: ?)",
    re.I,
)
_MAILED = rf"\b{_WORD}(?: \(?[A-Z][A-Za-z'.-]*\)?){{0,3}} ?<[^>\s@]+@"
_SIGNED_LINE = r"(?:\n|^)[ \t]*[-~]{0,2} ?[A-Z][a-z]{2,}(?: [A-Z]\.?)?[ \t]*(?:\n[ \t]*\n|\n[ \t]*-{3}|\s*$)"


def _is_calling(word: str, cued: bool) -> bool:
    """Whether a capitalised word may be what somebody is called; with `cued`, also one that is a word besides."""
    known = what_is_known(word)
    if word.upper() in CREDENTIALS or word.lower() in not_names() or known & (Known.STAYS | Known.EPONYM):
        return False
    if known & Known.ORDINARY:
        return cued and bool(known & Known.GIVEN)
    return not word.isupper() or len(word) > 4 or (len(word) > 3 and bool(known & NAME))


def _name(plain: str, start: int, end: int, cued: bool) -> Iterator[PhiSpan]:
    tokens = list(_TOKEN.finditer(plain, start, end))
    kept: list[re.Match[str]] = []
    for token in tokens:
        if len(token[0]) > 1 and not _is_calling(token[0], cued):
            break
        kept.append(token)
    while kept and len(kept[-1][0]) == 1 and len(kept) > 1:
        kept.pop()
    if not kept or max(len(token[0]) for token in kept) < 2 or thing_follows(plain, kept[-1].end()):
        return
    yield PhiSpan(kept[0].start(), kept[-1].end() - (2 if kept[-1][0].endswith("'s") else 0), "NAME")


def _judge_quoted(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    name = _QUOTED_NAME.search(plain, start, end)
    if name is None:
        return
    cued = bool(_NICKNAME_CUE.match(plain, start))
    words = name[0].split()
    if cued and plain[start] != "(":
        # "prefers to be called 'Skip'": whatever it says.
        if not any(word.lower() in not_names() for word in words) and (
            words[0][0].isupper() or plain[start] not in "Cc"
        ):
            yield PhiSpan(name.start(), name.end(), "NAME")
        return
    if all(_is_calling(word, cued) for word in words):
        yield PhiSpan(name.start(), name.end(), "NAME")


def _judge_kinship(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _KINSHIP_HEAD.match(plain, start, end)
    begin = head.end() if head else start
    sure = bool(_SURE_KIN.match(plain, start))
    for span in _name(plain, begin, end, cued=sure):
        first = what_is_known(_TOKEN.findall(plain[span.start : span.end])[0])
        if sure or first & NAME:
            yield span


def _judge_titled(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _TITLED_HEAD.match(plain, start, end)
    begin = head.end() if head else start
    for span in _name(plain, begin, end, cued=False):
        name = plain[span.start : span.end]
        # "PA CATHETER", "Sr Creatinine", "RN NOTE": one word in capitals behind a short title must be a name.
        if not name.isupper() or all(not what_is_known(word) & NOT_A_NAME for word in name.split()):
            yield span


def _judge_letters(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    tail = _LETTERS_TAIL.search(plain, start, end)
    if tail is None:
        return
    letters = re.sub(r"[. ]", "", tail[0])
    if (
        letters.upper() in ABBREVIATIONS
        or letters.upper() in CREDENTIALS
        or what_is_known(letters) & (Known.ORDINARY | Known.STAYS)
    ):
        return
    yield PhiSpan(tail.start(), tail.start() + len(tail[0].rstrip()), "NAME")


def _judge_aged(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    name = _TOKEN.match(plain, start, end)
    known = what_is_known(name[0]) if name else 0
    capitals = name is not None and name[0].isupper() and len(name[0]) < 5
    # "Lee 55F" at a line's start or behind a colon is somebody, though Lee is a word too.
    opens = bool(re.search(r"(?:^|[:;\n]) {0,2}$", plain[max(0, start - 3) : start])) and bool(known & Known.FREQUENT)
    stays = Known.STAYS | Known.EPONYM | (0 if opens else Known.ORDINARY)
    if name and known & NAME and not capitals and not known & stays:
        yield PhiSpan(name.start(), name.end(), "NAME")


def _judge_slashed(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    letters = _LETTERS_ONLY.findall(plain, start, end)
    if letters[0].isupper() and len(letters) > 1 and letters[0] in ABBREVIATIONS:
        return
    sure = len(letters) > 1 and len(letters[0]) > 2
    if not sure and any(what_is_known(word) & (Known.ORDINARY | Known.STAYS) for word in letters if word.islower()):
        return
    for word in _LETTERS_ONLY.finditer(plain, start, end):
        yield PhiSpan(word.start(), word.end(), "NAME")


def _judge_form(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    words = [word for word in _TOKEN.findall(plain[start:end]) if len(word) > 1]
    known = [what_is_known(word) for word in words[:2]]
    if len(words) < 2 or any(flags & (Known.STAYS | Known.EPONYM) for flags in known) or words[1] in CREDENTIALS:
        return
    # "OYELARAN,FOLASADE": no list knows either, and lists of drugs and tests have shorter words or a space.
    if not any(known) and all(word.isupper() and len(word) > 4 for word in words[:2]) and "," in plain[start:end]:
        yield PhiSpan(start, end, "NAME")
        return
    if any(flags & NAME and not flags & NOT_A_NAME for flags in known) and not all(
        flags & Known.ORDINARY for flags in known
    ):
        yield PhiSpan(start, end, "NAME")


def _judge_labelled(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _LABELLED_HEAD.match(plain, start, end) or re.match(r"[A-Za-z ]+?:? ?\"?", plain[start:end])
    capital = re.compile(r"(?<![A-Za-z])[A-Z][A-Za-z'-]+(?:,? [A-Z][A-Za-z'-]*){0,2}$").search(plain, start, end)
    if head is None or capital is None:
        return
    words = _TOKEN.findall(capital[0])
    if _is_calling(words[0], cued=True) and not thing_follows(plain, end):
        yield PhiSpan(capital.start(), end, "NAME")


def _judge_greeted(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _GREETED_HEAD.match(plain, start, end)
    begin = head.end() if head else start
    first = _TOKEN.match(plain, begin, end)
    if first is None:
        return
    known = what_is_known(first[0])
    if first[0].islower():
        # "thx so much, aditi": in lower case a name, or a word at the line's end that no list knows.
        ends_line = re.match(r"[ \t]*(?:\n|$|\(|,|!)", plain[first.end() : first.end() + 3])
        if (known & NAME and not known & NOT_A_NAME) or (not known and ends_line and len(first[0]) > 3):
            yield PhiSpan(first.start(), first.end(), "NAME")
        return
    if not first[0].endswith("ly") or known & NAME:
        yield from _name(plain, begin, end, cued=True)


def _judge_mailed(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    name = plain[start : plain.index("<", start)].rstrip()
    yield PhiSpan(start, start + len(name), "NAME")


def _judge_signed_line(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    word = re.compile(r"[A-Z][a-z]+(?: [A-Z]\b)?").search(plain, start, end)
    if word is None:
        return
    known = what_is_known(word[0].split()[0])
    if known & NAME and not known & (NOT_A_NAME | Known.COMMON_EPONYM):
        yield PhiSpan(word.start(), word.end(), "NAME")


DETECTORS = (
    Detector(_QUOTED, _judge_quoted),
    Detector(_KINSHIP, _judge_kinship),
    Detector(_TITLED, _judge_titled),
    Detector(_LETTERS, _judge_letters),
    Detector(_AGED, _judge_aged),
    Detector(_SLASHED, _judge_slashed),
    Detector(_FORM, _judge_form),
    Detector(_LABELLED, _judge_labelled),
    Detector(_GREETED, _judge_greeted),
    Detector(_MAILED, _judge_mailed),
    Detector(_SIGNED_LINE, _judge_signed_line),
)
