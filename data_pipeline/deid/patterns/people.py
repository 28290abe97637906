"""Names that no list holds, by who stands around them: kin, those who speak, those who are spoken to.

"daughter (Siobhan)", "discussed w/ Okonkwo", "Itzel says", "goes by Lan", "Kouassi's sister". The word must not be one
that stays (`lexicon.what_is_known`), so the contexts may be wider than those of `names`, which trust their cue alone.
"""

import re
from collections.abc import Iterator

from data_pipeline.deid.eponyms import thing_follows
from data_pipeline.deid.lexicon import is_strong, what_is_known
from data_pipeline.deid.patterns.detector import Detector
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.words import NAME, Known, not_names, word_set

_WORD = r"[A-Z][A-Za-z'-]+"
_NAME = rf"(?:[A-Z]\.? ?){{0,2}}{_WORD}(?:,? {_WORD}| [A-Z]\.){{0,3}}"
_LOWER = r"[a-z][a-z'-]{2,}(?: [a-z][a-z'-]{2,})?"
_KIN_WORDS = (
    r"(?:step|grand|great[- ]?(?:grand)?|half[- ]?|foster |god|ex-)?"
    r"(?:daughter|son|wife|husband|mother|father|sister|brother|niece|nephew|aunt|uncle|cousin|child|mom|mum"
    r"|dad)(?:-in-law)?"
    r"|spouse|partner|twins?|fianc[e]e?|girlfriend|boyfriend|friend|caregiver|caretaker|neighbou?r|roommate|landlord"
    r"|guardian"
    r"|surrogate|proxy|hcp|hcpoa|poa|interpreter|boss|coworker|babysitter|nanny|grandma|grandpa|pastor|sponsor"
)
_AFTER_KIN = r"(?:,? (?:is|named|called|whose name is)|,|:)? \(?"
_KIN = rf"\b(?i:{_KIN_WORDS}){_AFTER_KIN}(?:{_NAME})"
_KIN_HEAD = re.compile(rf"(?:{_KIN_WORDS}){_AFTER_KIN}", re.I)

# What is done to people alone, and what is done to things as well.
_DONE_TO_PEOPLE = (
    r"(?:discussed|d/w|dw|spoke|spoken|talked|met|reviewed|conferred|visited|rounded|seen|examined|consulted)(?: "
    r"(?:case|this|plan|results))?"
    r"(?: with| w/| to|-with)|d/w|s/w|w/|seen by|examined by|assisted by|accompanied by|here w/|here with|lives w/"
    r"|lives with|living with|stays with|staying with|came with|arrives w/"
    r"|arrived with|session w/|session with|sessions with|teaching w/|teaching with|meeting with|mtg w/|visit with"
    r"|plays with"
    r"|engaged to|married to|dating|visited by|picked up by|brought by|driven by|raised by|intubated by|lines by"
    r"|given by|drawn by"
    r"|placed by|signed by|accompanied by|brought in by|followed by"
    r"|cared for by|referred by"
    r"|evaluated by|witnessed by|interpreted by|consent(?:ed)? by|requested by|ordered by|reviewed by|dictated by"
    r"|accepted by|operated (?:on )?by|delivered by|called by|performed by|discussed by|paged|notified|informed"
    r"|updated|texted"
    r"|telephoned|phoned|accepting|sending|accepting md|signout (?:to|from)|sign-?out (?:to|from)|hand-?off (?:to"
    r"|from)|report "
    r"(?:given )?(?:to|from)"
    r"|covering for|on behalf of|attn|care of|appt with|appointment with|follow(?:-| )?up with|f/u with|f/u w/"
    r"|goes by|nicknamed"
    r"|known as|aka|a\.k\.a\.|prefers|preferred name|his name is|her name is|my name is|name was|name is|dear|hi|hello"
    r"|regards,|sincerely,"
    r"|thanks,|thank you,|signed:?|surgeon|co-surgeon|assistants?|anesthesiologist|attending|resident|fellow|pcp"
    r"|hospitalist|family of|estate of|copy to|copies to|c/o|s/o|d/o|grossed by|staffed with|staffed by|coordinator"
    r"|facilitators?|told"
)
_ALSO_TO_THINGS = r"per|by|with|from|via|called|contacted|and|cc:?|re:?|-{1,2}|for"
_LINK = r"(?:,|:| is| was)?[ \n]\(?"
_ADDRESSED = rf"(?:\b|-)(?i:{_DONE_TO_PEOPLE}){_LINK}{_NAME}"
_ADDRESSED_HEAD = re.compile(rf"-?(?:{_DONE_TO_PEOPLE}){_LINK}", re.I)
_BESIDE_THINGS = rf"(?:\b|-)(?i:{_ALSO_TO_THINGS}){_LINK}{_NAME}"
_BESIDE_THINGS_HEAD = re.compile(rf"-?(?:{_ALSO_TO_THINGS}){_LINK}", re.I)

# A form's field of which a person is the value.
_FIELDS = (
    r"(?:student|client|resident|employee|veteran|member|subject|insured|subscriber|claimant|applicant|donor|recipient"
    r"|homeroom|teacher|preparer|tech(?:nologist)?|ref(?:erred)?(?: by)?|referring|ordering|requesting|requested by"
    r"|consultant"
    r"|hyg(?:ienist)?|dds|scribe|supervisor|instructor|interp(?:reter)?|vol(?:unteer)?|chaplain|case ?manager"
    r"|supervisor"
    r"|respondent|rph|pharmacist|alt(?:ernate)?|nok|poa|hcp|emergency|decedent|informant|submitting|parent|mother"
    r"|father|carer|seen with|staff|prescriber|reporter|reviewer|driver)"
    r"(?: (?:md|rn|by|name|provider|physician|dr|doctor)){0,2}"
)
_FIELD_LINK = r"[ ]{0,3}\.{0,16}:[ \t]{0,6}"
_FIELD = rf"\b(?i:{_FIELDS}){_FIELD_LINK}{_NAME}"
_FIELD_HEAD = re.compile(rf"(?:{_FIELDS}){_FIELD_LINK}", re.I)
_FAMILY = r"\b[Tt]he [A-Z][a-z]{3,}s\b"
# "Reviewed by: kkowalski"
_LOGIN = r"\b(?i:by|rn|md|np|pa|author|user|scribe|provider|nurse): ?[a-z]{5,16}\b"
_SAID_WHO = r"\b(?i:hi|hello|hey|morning|evening|afternoon)[,!. ]{1,3}(?i:this is|its|it's|i am|i'm|im) [a-z]{4,}\b"

_SPEAKS = (
    r"says|said|saying|states|stated|reports|reported|denies|denied|endorses|endorsed|complains|complained|agrees"
    r"|agreed|asks|asked|wants"
    r"|wanted|thinks|thought|feels|felt|told|tells|called|calls|phoned|visited|visits|arrived|came|comes|lives|lived"
    r"|works|worked|drove"
    r"|(?:was|is|has been) (?:under|in) (?:my|our) care|is (?:a|my) patient|may return|is cleared|was seen|is here"
    r"|was here|here (?:w/|with|today)|will (?:call|bring|return|come|pick|visit|see|be)|has been|is an? \d"
    r"|was born|died"
    r"|updated|notified|understands|verbalized|tolerated|requests|requested|declined|refuses|refused|remains|continues"
    r"|present\b|aware\b|ate|slept|went|took|walked|sat|stood|played|smiled|laughed|cried|woke|drank|gave|helped|brought"
    r"|picked|drives|stayed|met|likes|loves|knows|cooks|smokes|drinks|attends|enjoys|graduated|retired|married|moved"
    r"|bathed|texted|emailed|e-mailed|signed|translated|interpreted|witnessed|assisted|accompanied|accompanies|sleeps|eats"
)
_SPEAKER = rf"{_NAME},? (?:{_SPEAKS})\b"
# "Timofey, 6, fell", "Ann Hill, 34F".
_AGES = r"(?:age |aged )?\d{1,2}(?:,| ?(?:[Yy]\.?/?[Oo]|years?|yrs?|mos?|months?|weeks?|[MF])\b)"
_AGED = rf"{_NAME}, {_AGES}"
_SPEAKER_TAIL = re.compile(rf",? (?:{_SPEAKS}|{_AGES})$")
_SURE_SPEECH = re.compile(r" (?:says|said|states|stated|reports|reported|denies|denied|endorses|complains|verbalized)$")
_OWNER = (
    rf"{_WORD}(?: {_WORD})?'s? (?:wife|husband|son|daughter|mother|father|sister|brother|parents?|family|partner"
    rf"|girlfriend|boyfriend"
    r"|aunt|uncle|niece|nephew|friend|mom|dad|house|home|room|pcp|nurse|request|behalf|office|team|recommendations?)\b"
)
_OWNER_TAIL = re.compile(r"'s? [a-z]+$")
# A first sentence and a caller: "Guillermo Villasenor, was admitted"; "The patient, Ann".
_APPOSED = rf"\b(?i:the patient|this patient|pt|patient|infant|baby|mr|mrs|ms|dr|client),? {_NAME}"
_APPOSED_HEAD = re.compile(r"[A-Za-z ]+?,? (?=[A-Z])")

_LOWER_TITLED = (
    r"\b(?:[Dd]r|DR|mr|mrs|ms|miss|fr|rev|prof|nurse|aunt|uncle)(?:\. ?| )[a-zA-Z][a-z'-]{2,}(?:[ "
    r"-][a-zA-Z][a-z'-]{2,})?"
)
_LOWER_TITLED_HEAD = re.compile(r"[A-Za-z]{2,6}?(?:\. ?| )(?=[a-zA-Z][a-z'-]{2})")
_TITLES = (
    r"\b(?:Fr|Father|Pastor|Rabbi|Imam|Sr|Sister|Brother|Deacon|Chaplain|Judge|Officer|Detective|Atty|Sgt|Capt|Lt|Col"
    r"|Hon"
    r"|Attorney|Mx"
    r"|Coach|Principal|PA|NP|RN|Aunt|Uncle|Grandma|Grandpa)\.? "
    rf"{_WORD}(?: {_WORD})?"
)
_TITLES_HEAD = re.compile(r"[A-Za-z]+\.? ")

_LOWER_KIN = rf"\b(?i:{_KIN_WORDS}){_AFTER_KIN}{_LOWER}"
_LOWER_INITIAL = r"(?:\b|^)[a-z]\. [a-z][a-z'-]{3,},? (?:rn|md|np|pa|do|lpn|cna|rt|pt)\b"
_CAPS_CREDENTIAL = r"\b[A-Z]\.? [A-Z][A-Za-z'-]{2,},? (?:MD|DO|RN|NP|PA|LPN|CRNA|RT)\b"

_SIGNATURE = r"(?:[.)!?] ?|^|\n)[-~]{1,2} ?[A-Z]{2,4}[ \t]*(?:\n|$)|[.)!?] {1,2}(?:[A-Z]{3}|[a-z]{2,3})\s*$"
_TYPIST = r"(?:^|\n)[A-Z]{2,4} ?[/:] ?[a-zA-Z]{2,4}[ \t]*(?:\n|$)"
_INITIALS_IS = r"\b[A-Z]\. ?(?:[A-Z]\. ?)?[A-Z]\.,? (?:is an?|was an?|presents|reports|states|says)\b"
_INITIALS_OF = (
    rf"\b(?i:{_KIN_WORDS}|patient|pt|proband|client|resident|infant|child|student|baby|case of) (?:[A-Z]\. ?){{2,3}}"
)
_INITIALS_APPOSED = r"[A-Za-z], (?:[A-Z]\.){2,3}(?:,|\s)"
_DEGREES = word_set(
    "MD DO RN NP PA PHD DDS DPM OD DC LPN MS MA BS BA FACS US USA AM PM IV PO IM SC CRNA CNA CNM LCSW LICSW MSW "
    "RT PT OT SW DC ARNP APRN FNP PHARMD RPH ESQ II III"
)
_ABBREVIATIONS = word_set(
    "CHF DVT PE HTN DM CAD COPD CKD ESRD UTI MI CVA TIA GERD BPH OSA AKI AFIB NPO PRN BID TID QID WNL NAD NKDA "
    "RRR CTA CTAB PERRL EOMI ROS HPI PMH PSH FH SH NOS OK DNR DNI RA LA RV LV IV IM PO OD OS OU CT MRI CXR EKG "
    "ECG ICU ER OR PT OT ST SW"
)


def detectors() -> tuple[Detector, ...]:
    """Every context as a pass of its own."""
    return (
        Detector(_KIN, _judge_kin),
        Detector(_LOWER_KIN, _judge_lower_kin),
        Detector(_ADDRESSED, _judge_addressed),
        Detector(_BESIDE_THINGS, _judge_beside_things),
        Detector(_SPEAKER, _judge_speaker),
        Detector(_FIELD, _judge_field),
        Detector(_SAID_WHO, _judge_said_who),
        Detector(_LOGIN, _judge_login),
        Detector(_FAMILY, _judge_family),
        Detector(_OWNER, _judge_owner),
        Detector(_APPOSED, _judge_apposed),
        Detector(_LOWER_TITLED, _judge_lower_titled),
        Detector(_TITLES, _judge_title),
        Detector(_LOWER_INITIAL, _judge_lower_initial),
        Detector(_CAPS_CREDENTIAL, _judge_lower_initial),
        Detector(_SIGNATURE, _judge_signature),
        Detector(_TYPIST, _judge_typist),
        Detector(_AGED, _judge_speaker),
        Detector(_INITIALS_OF, _judge_initials),
        Detector(_INITIALS_IS, _judge_initials),
        Detector(_INITIALS_APPOSED, _judge_initials),
    )


_ROLES_OF_A_WARD = word_set(
    "son child parent parents staff page case house will may mark guy man lady boy friend nurse ward day english french"
    " pharmacy family mother father brother sister husband wife mom dad baby christian church court home school police"
    " april june august march sunday monday friday risk best worth means bill grant price cash sample line street"
)
_MIN_UNLISTED_LOWER = 4
_MIN_CAPITALS, _MIN_LISTED_CAPITALS = 5, 6
_TOKEN = re.compile(r"[A-Za-z][A-Za-z'-]*")


def _names(plain: str, start: int, end: int, unlisted: bool) -> Iterator[PhiSpan]:
    """The leading words from `start` on that may be a name; with `unlisted`, one that no list knows is enough."""
    kept: list[re.Match[str]] = []
    for token in _TOKEN.finditer(plain, start, end):
        if len(token[0]) > 1:
            known = what_is_known(token[0])
            if token[0].upper() in _DEGREES:
                break
            if known & (Known.STAYS | Known.EPONYM) or (known & Known.ORDINARY and not (known & NAME and kept)):
                break
            if known & Known.ORDINARY and token[0].isupper():
                break
        if kept and "." in plain[kept[-1].end() : token.start()] and len(kept[-1][0]) > 1:
            break
        kept.append(token)
        if token[0].endswith("'s"):
            break
    while kept and len(kept[-1][0]) == 1 and len(kept) > 1 and plain[kept[-1].end() : kept[-1].end() + 1] != ".":
        kept.pop()
    words = [token for token in kept if len(token[0]) > 1]
    if not words or thing_follows(plain, words[-1].end()):
        return
    # Abbreviations of three and four letters are listed as surnames too: ALT, TIA, RAM.
    first = words[0][0]
    min_capitals = 0 if what_is_known(first) & Known.FREQUENT else _MIN_CAPITALS if unlisted else _MIN_LISTED_CAPITALS
    if len(words) == 1 and first.isupper() and len(first) < min_capitals:
        return
    if not unlisted and not any(what_is_known(word[0]) & NAME for word in words):
        return
    yield PhiSpan(kept[0].start(), kept[-1].end() - (2 if kept[-1][0].endswith("'s") else 0), "NAME")


def _judge_kin(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _KIN_HEAD.match(plain, start, end)
    begin = head.end() if head else start
    # "wife Grace": beside kin an ordinary word that is a given name is one.
    first = _TOKEN.match(plain, begin, end)
    known = what_is_known(first[0]) if first else 0
    if first and first[0].istitle() and known & Known.GIVEN and not known & Known.STAYS:
        yield PhiSpan(first.start(), first.end() - (2 if first[0].endswith("'s") else 0), "NAME")
        rest = _TOKEN.match(plain, min(first.end() + 1, end), end)
        if rest and not first[0].endswith("'s") and plain[first.end()] == " ":
            yield from _names(plain, rest.start(), end, unlisted=True)
        return
    # "HUSBAND ARAM" in a note all in capitals; "Father CABG" is none.
    vowel = first and re.search(r"[AEIOUY]", first[0][1:])
    in_capitals = first and vowel and first[0].isupper() and len(first[0]) > 3 and plain[start:begin].isupper()
    if first and in_capitals and not known & (Known.ORDINARY | Known.STAYS | Known.EPONYM):
        yield PhiSpan(first.start(), first.end(), "NAME")
    yield from _names(plain, begin, end, unlisted=True)


def _judge_lower_kin(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _KIN_HEAD.match(plain, start, end)
    begin = head.end() if head else start
    tokens = list(_TOKEN.finditer(plain, begin, end))
    known = what_is_known(tokens[0][0]) if tokens else Known.ORDINARY
    if known & (Known.ORDINARY | Known.STAYS | Known.EPONYM) or len(tokens[0][0]) < _MIN_UNLISTED_LOWER:
        return
    last = tokens[0]
    if len(tokens) > 1 and not what_is_known(tokens[1][0]) & (Known.ORDINARY | Known.STAYS):
        last = tokens[1]
    yield PhiSpan(tokens[0].start(), last.end(), "NAME")


def _judge_addressed(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _ADDRESSED_HEAD.match(plain, start, end)
    begin = head.end() if head else start
    # "d/w Rose", "paged Lamb": whom one speaks to may be called as a thing is.
    first = _TOKEN.match(plain, begin, end)
    if first and _is_common_name(first[0]) and not thing_follows(plain, first.end()):
        yield PhiSpan(first.start(), first.end(), "NAME")
    yield from _names(plain, begin, end, unlisted=True)


def _is_common_name(word: str) -> bool:
    """A frequent name with a capital, also one that is a word besides, but none of the people and places of a ward."""
    known = what_is_known(word)
    is_frequent = bool(known & Known.FREQUENT) and word.istitle() and len(word) > 2
    return is_frequent and word.lower() not in not_names() and word.lower() not in _ROLES_OF_A_WARD


def _judge_field(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _FIELD_HEAD.match(plain, start, end)
    yield from _names(plain, head.end() if head else start, end, unlisted=True)


def _judge_family(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    """ "the Lindgrens" are the family Lindgren."""
    known = what_is_known(plain[start + 4 : end - 1])
    is_family = is_strong(known) and known & Known.FREQUENT and what_is_known(plain[start + 4 : end]) == 0
    if is_family and not thing_follows(plain, end):
        yield PhiSpan(start + 4, end, "NAME")


def _judge_login(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    word = re.search(r"[a-z]+$", plain[start:end])
    if word and not what_is_known(word[0]) and not re.match(r" [a-z]", plain[end : end + 2]):
        yield PhiSpan(start + word.start(), end, "NAME")


def _judge_said_who(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    word = re.search(r"[a-z]+$", plain[start:end])
    if word and not what_is_known(word[0]) & (Known.ORDINARY | Known.STAYS | Known.EPONYM):
        yield PhiSpan(start + word.start(), end, "NAME")


def _judge_beside_things(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _BESIDE_THINGS_HEAD.match(plain, start, end)
    yield from _names(plain, head.end() if head else start, end, unlisted=False)


def _judge_speaker(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    tail = _SPEAKER_TAIL.search(plain, start, end)
    stop = tail.start() if tail else end
    tokens = list(_TOKEN.finditer(plain, start, stop))
    # The words right before the verb.
    kept = 0
    # "Lamb reports less pain": one word that opens a sentence.
    if len(tokens) == 1 and _is_common_name(tokens[0][0]) and _SURE_SPEECH.search(plain, stop, end):
        yield PhiSpan(tokens[0].start(), tokens[0].end(), "NAME")
        return
    for token in reversed(tokens):
        known = what_is_known(token[0])
        if known & (Known.ORDINARY | Known.STAYS | Known.EPONYM) or (token[0].isupper() and not known & NAME):
            break
        kept += 1
    if kept and any(len(token[0]) > 2 for token in tokens[-kept:]):
        yield PhiSpan(tokens[-kept].start(), tokens[-1].end(), "NAME")


def _judge_owner(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    tail = _OWNER_TAIL.search(plain, start, end)
    tokens = list(_TOKEN.finditer(plain, start, tail.start() if tail else end))
    kept = [token for token in tokens if not what_is_known(token[0]) & (Known.ORDINARY | Known.STAYS | Known.EPONYM)]
    if kept and kept[-1] is tokens[-1] and not kept[-1][0].isupper():
        yield PhiSpan(kept[0].start(), kept[-1].end(), "NAME")


def _judge_apposed(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _APPOSED_HEAD.match(plain, start, end)
    begin = head.end() if head else start
    for span in _names(plain, begin, end, unlisted=True):
        words = _TOKEN.findall(plain[span.start : span.end])
        # "Patient Safety", "PATIENT TOLERATED": one word needs to be a listed name.
        if len(words) > 1 or what_is_known(words[0]) & NAME:
            yield span


def _judge_lower_titled(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _LOWER_TITLED_HEAD.match(plain, start, end)
    if head is None:
        return
    tokens = list(_TOKEN.finditer(plain, head.end(), end))
    first = what_is_known(tokens[0][0]) if tokens else Known.ORDINARY
    has_stop = "." in head[0]
    if first & (Known.ORDINARY | Known.STAYS) and not (has_stop and first & NAME and tokens[0][0].istitle()):
        return
    if tokens[0][0].lower() in not_names():
        return
    last = tokens[0]
    if len(tokens) > 1 and not what_is_known(tokens[1][0]) & (Known.ORDINARY | Known.STAYS):
        last = tokens[1]
    yield PhiSpan(tokens[0].start(), last.end() - (2 if last[0].endswith("'s") else 0), "NAME")


def _judge_title(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _TITLES_HEAD.match(plain, start, end)
    yield from _names(plain, head.end() if head else start, end, unlisted=True)


def _judge_lower_initial(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    tokens = list(_TOKEN.finditer(plain, start, end))
    known = what_is_known(tokens[1][0])
    if not known & (Known.STAYS | Known.ORDINARY):
        yield PhiSpan(tokens[0].start(), tokens[1].end(), "NAME")


def _judge_signature(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    initials = re.search(r"[A-Za-z]{2,4}", plain[start:end])
    if initials and initials[0].upper() not in _ABBREVIATIONS and not what_is_known(initials[0]):
        yield PhiSpan(start + initials.start(), start + initials.end(), "NAME")


def _judge_typist(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    pair = re.search(r"([A-Z]{2,4}) ?[/:] ?([a-zA-Z]{2,4})", plain[start:end])
    if pair and pair[1] not in _ABBREVIATIONS and not what_is_known(pair[2]) & Known.ORDINARY:
        yield PhiSpan(start + pair.start(1), start + pair.end(1), "NAME")
        yield PhiSpan(start + pair.start(2), start + pair.end(2), "NAME")


def _judge_initials(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    initials = re.search(r"(?:[A-Z]\. ?){2,3}", plain[start:end])
    if initials and re.sub(r"[. ]", "", initials[0]) not in _DEGREES:
        yield PhiSpan(start + initials.start(), start + len(plain[start : start + initials.end()].rstrip()), "NAME")
