"""Names of people, by what stands next to them or by a common given name.

Five ways in: a title ("Dr. Hill"), a cue ("Name:", "dictated by"), a credential ("Hill, M.D."), a relative ("her
daughter Ann"), a given name ("Ann Hill"). A surname alone in running text has none of them; the roster is for those. It
is also why eponyms stay: nothing announces the Foley in "Foley catheter".
"""

import re
from collections.abc import Iterator

from data_pipeline.deid.patterns.detector import Detector
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.words import given_names, not_names, word_set

_PARTICLES = word_set("van von de del della der den di da du la le el al bin ter ten dos")
_WORD = rf"(?:(?:{'|'.join(sorted(_PARTICLES))}) ){{0,2}}[A-Z][A-Za-z'-]+"
_INITIAL = r"[A-Z]\.?"
_NAME = rf"(?:{_INITIAL} ){{0,2}}{_WORD}(?:,? (?:{_INITIAL} )?{_WORD}){{0,2}}(?: [B-HJ-Z]\b)?"
# Forms and headers pad their fields with spaces.
_PADDED_NAME = _NAME.replace(" ", " {1,3}")
_LOWER_NAME = r"[a-z][a-z'-]+(?:,? (?:[a-z]\.? )?[a-z][a-z'-]+){0,2}"
_TITLE = (
    r"\b(?:D[Rr]s?\.|Drs?\b|M[Rr][Ss]?\.|Mrs?\b|M[Ss]\.|Ms\b|Miss\b|Prof\.|Professor\b|Doctor\b|Nurse\b|Rev\.)\s{0,2}"
)
_TITLED = rf"(?:{_TITLE}){{1,2}}{_NAME}"
_LOWER_TITLED = r"\b(?:dr|mr|mrs|ms|prof)\. ?(?:[a-z]\. ?)?[a-z][a-z'-]+(?: [a-z][a-z'-]+)?"

_COLON_CUES = (
    r"(?:(?:patient|patient's|pt|full|first|last|middle|maiden|mother's|spouse|provider|physician|doctor) ?)?name"
    r"|patient|pt"
    r"|attending(?: physician| surgeon| md)?|(?:co-)?surgeon|(?:first )?assistants?|anesthesiologist|anesthetist|nurse"
    r"|(?:(?:referring|primary care|primary|consulting|ordering|admitting|requesting|treating|supervising|family) )?"
    r"(?:physician|provider|md|doctor)|radiologist|pathologist|resident|fellow|author|dictator|transcriptionist|cc|pcp"
    r"|emergency contact|next of kin|contact(?: person)?|guardian|spouse|attn|attention|to|from|re|dear"
)
_BY_CUES = (
    r"(?:(?:electronically|digitally) |e-)?(?:signed|authenticated|dictated|transcribed|reviewed|verified|interpreted"
    r"|read|prepared|approved|entered|reported|written|finalized|telephoned|called"
    r"|phoned)(?: electronically)? (?:by|to)"
    r"|signed|sincerely|regards|respectfully|dear|next of kin|named|name is|identified as|known as|goes by"
    r"|introduced (?:her|him)self as|introduced as"
)
_COLON = r"(?:[ \t]{0,2}:| - )[ \t,]{0,3}"
_AFTER_BY = r"[ \t:,]{1,3}"
_CUED = "|".join(
    rf"\b(?i:{cues}){sign}(?:{_TITLE})?(?:{_PADDED_NAME}|{_LOWER_NAME})"
    for cues, sign in ((_COLON_CUES, _COLON), (_BY_CUES, _AFTER_BY))
)
_CUE_HEAD = re.compile(rf"(?:(?:{_COLON_CUES}){_COLON}|(?:{_BY_CUES}){_AFTER_BY})", re.I)
_TITLE_HEAD = re.compile(rf"(?:{_TITLE})+")
# After these a name may be in lower case without being a common one.
_NAME_CUE = re.compile(r"name[ \t]*:", re.I)
# These announce other things more often than names: one capitalised word after them is not enough.
_WEAK_CUE = re.compile(r"(?:to|from|re|contact|assistants?|nurse|physician|provider|resident|fellow|cc)\b", re.I)

_CREDENTIAL = (
    r"(?:M\.? ?D\.?|D\.O\.?|DO|R\.?N\.?|N\.?P\.?|P\.?A\.?(?:-C)?|Ph\.? ?D\.?|LCSW|CRNA|D\.?D\.?S\.?|FACS|FACC|Pharm\.?D"
    r"|D\.?P\.?M\.?|FNP(?:-C)?|ARNP|APRN|LPN|RPh|CNM|MSW|O\.D\.|D\.C\.|DPT|LADC|LMFT|PGY-?\d|RPSGT|SpR|RRT|CCC-SLP|OTR(?:/L)?|M\.?B\.?B\.?S\.?|Esq)"
)
_CREDENTIALED = rf"\b(?:{_INITIAL} ){{0,2}}(?:{_WORD},? {{1,2}}(?:{_INITIAL} )?){{1,4}}{_CREDENTIAL}(?:\b|[ ,;:\n]|$)"
_CREDENTIAL_TAIL = re.compile(rf"(,?) {{1,2}}{_CREDENTIAL}[ ,;:\n]?$")

_RELATIVES = (
    r"daughter|son|wife|husband|mother|father|sister|brother|spouse|partner|niece|nephew|aunt|uncle|cousin|grandson"
    r"|granddaughter|grandmother|grandfather|fiancee?|girlfriend|boyfriend|friend|caregiver|neighbor|guardian|mom|dad"
    r"|proxy"
    r"|power of attorney"
)
_AFTER_RELATIVE = r"(?: is|,? whose name is|,| named| \()? "
_RELATED = rf"\b(?i:{_RELATIVES}){_AFTER_RELATIVE}{_WORD}(?: {_WORD})?"
_RELATIVE_HEAD = re.compile(rf"(?:{_RELATIVES}){_AFTER_RELATIVE}", re.I)

_ROLES = (
    r"surgeon|assistant|attending|resident|physician|pharmacist|technologist|technician|therapist|worker|interpreter"
    r"|pcp"
    r"|anesthesiologist|radiologist|pathologist|hospitalist|dietitian|nutritionist|nurse|midwife|chaplain|coordinator"
    r"|scribe|see|meet|paged|notified"
)
_ROLED = rf"\b(?i:{_ROLES}),? (?:is |was )?{_NAME}"
_ROLE_HEAD = re.compile(rf"(?:{_ROLES}),? (?:is |was )?", re.I)

# "Report given to K. Hill", but neither "A. Normal" in a list nor "grew E. Coli".
_INITIAL_AND_NAME = (
    r"(?:\b(?i:to|see|with|by|from|and|per|contact|call|paged|notified)|[,;]) "
    rf"(?:[A-Z]\. ){{1,2}}{_WORD}"
)
_INITIALS = r"\b(?i:pt|patient|mr\.|mrs\.|ms\.|dr\.) [A-Z]\. ?[A-Z]\."

# A header line, "ANN HILL  73 F  MRN 123", "Hill, Ann (1234567)", and a first sentence, "Ann Hill is a 34 yo woman".
_HEADED = (
    rf"\b{_PADDED_NAME}[ ,]{{1,4}}(?:\(?\d{{6,}}\b|\(?\d{{3}}\)?[ .-]{{1,2}}\d{{3}}[-. ]\d"
    r"|(?i:mrn|dob|unit no|medical record)\b|\d{1,3}[ -]?(?:[MF]\b|[Yy]/?[Oo]\b|(?i:male|female|year|yr))"
    r"|(?:is|was) an? [a-z ]{0,30}\d{1,3}[ -]?(?:[Yy]/?[Oo]\b|y))"
)
_HEAD_TAIL = re.compile(r"[ ,]{1,4}(?:\(?\d|(?i:mrn|dob|unit no|medical record)\b|(?:is|was) an? )")

_ORGANISMS = re.compile(
    r"coli|aureus|pylori|diff(?:icile)?|pneumoniae|faecalis|faecium|falciparum|fragilis|albicans|cloacae|aeruginosa"
    r"|influenzae|catarrhalis|trachomatis|marcescens|mirabilis|epidermidis|dimer|bili|reactive"
)
# "Pierre Robin sequence", "Ann Arbor staging"
_EPONYM_TAIL = re.compile(
    r",? (?:syndrome|sequence|disease|sign|test|stag(?:e|ing)|system|criteria|virus|procedure|malformation|pupil|tube"
    r"|anomaly|classification|catheter|fracture|phenomenon|lymphoma|score|scale|operation|method|islands?|valley|park"
    r"|I+\b)",
    re.I,
)
# What is seen, met or identified is more often a thing: a given name or an initial must follow.
_VAGUE_HEAD = re.compile(r"(?:see|meet|paged|notified|identified as|known as)\b", re.I)

_TOKEN = re.compile(r"[A-Za-z][A-Za-z'-]*\.?")
_Tokens = list[re.Match[str]]


def detectors() -> tuple[Detector, ...]:
    """The five ways, each a pass of its own; reads the list of given names."""
    given = "|".join(
        sorted({form for name in given_names() for form in (name, name.upper()) if form.istitle() or len(form) > 3})
    )
    listed = rf"\b(?:{given})(?: {_INITIAL})? {_WORD}|\b{_WORD}, (?:{given})\b(?: [A-Z]\b)?"
    lower_given = "|".join(sorted(name.lower() for name in given_names()))
    lower_header = "|".join(
        (
            rf"\b(?:{lower_given}) [a-z][a-z'-]+,? (?:room|rm|mrn|dob|rn|md|np|pa|lpn|rt)\b",
            rf"\b(?:{lower_given}) [a-z][a-z'-]+, \d",
            rf"\b[a-z][a-z'-]+, (?:{lower_given}),? (?:rn|md|np|pa|lpn|rt)\b",
        )
    )
    return (
        Detector(_TITLED, _judge_titled),
        Detector(_LOWER_TITLED, _judge_lower_titled),
        Detector(_CUED, _judge_cued),
        Detector(_CREDENTIALED, _judge_credentialed),
        Detector(_RELATED, _judge_related),
        Detector(_ROLED, _judge_roled),
        Detector(_HEADED, _judge_headed),
        Detector(_INITIAL_AND_NAME, _judge_initial_and_name),
        Detector(_INITIALS, _judge_initials),
        Detector(lower_header, _judge_lower_header),
        Detector(listed, _judge_listed),
    )


def _judge_titled(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _TITLE_HEAD.match(plain, start, end)
    yield from _span(_leading_names(_tokens(plain, head.end() if head else start, end)))


def _judge_lower_titled(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    tokens = _leading_names(_tokens(plain, plain.index(".", start) + 1, end), lower=True)
    # "mr. hill presents" goes on with a verb; only after a common given name is the second word the surname.
    yield from _span(tokens if tokens and _is_given(tokens[0]) else tokens[:1])


def _judge_cued(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _CUE_HEAD.match(plain, start, end)
    begin = head.end() if head else start
    cue = plain[start:begin]
    title = _TITLE_HEAD.match(plain, begin, end)
    tokens = _leading_names(_tokens(plain, title.end() if title else begin, end), lower=True)
    if not tokens or (not title and _WEAK_CUE.match(cue) and len(tokens) < 2):
        return
    if _VAGUE_HEAD.match(cue) and not _opens_name(tokens[0]):
        return
    # "verified by angiography", "patient: resting"
    if tokens[0][0][0].islower() and not _NAME_CUE.search(cue) and not _is_given(tokens[0]):
        return
    yield from _span(tokens)


def _judge_credentialed(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    tail = _CREDENTIAL_TAIL.search(plain[start:end])
    if tail is None:
        return
    tokens = _trailing_names(_tokens(plain, start, start + tail.start()))
    # Without a comma MD may be a dystrophy, a macula or Maryland: one word before it is not enough.
    if len(tokens) > 1 or tail[1]:
        yield from _span(tokens)


def _judge_related(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _RELATIVE_HEAD.match(plain, start, end)
    tokens = _leading_names(_tokens(plain, head.end() if head else start, end))
    # "her cousin, RNA": one word in capitals is more often no name.
    if len(tokens) > 1 or (tokens and not tokens[0][0].isupper()):
        yield from _span(tokens)


def _judge_roled(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _ROLE_HEAD.match(plain, start, end)
    tokens = _leading_names(_tokens(plain, head.end() if head else start, end))
    if head and _VAGUE_HEAD.match(head[0]) and not (tokens and _opens_name(tokens[0])):
        return
    # "Nurse Practitioner", "attending Infectious Disease": two words, neither of them a post nor a ward.
    if len(tokens) > 1 and not any(token[0].isupper() and len(token[0]) > 2 for token in tokens):
        yield from _span(tokens)


def _judge_headed(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    tail = _HEAD_TAIL.search(plain, start, end)
    tokens = _trailing_names(_tokens(plain, start, tail.start() if tail else end))
    if len(tokens) > 1 or (tokens and plain[start - 1 : start] == "("):
        yield from _span(tokens)


def _judge_initial_and_name(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    tokens = _tokens(plain, plain.index(" ", start) + 1, end)
    surname = tokens[-1][0].rstrip(".").lower()
    if surname not in not_names() and not _ORGANISMS.fullmatch(surname) and not tokens[-1][0].isupper():
        yield from _span(tokens)


def _judge_initials(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    yield PhiSpan(plain.index(" ", start) + 1, end, "NAME")


def _judge_lower_header(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    tail = re.compile(r",? [a-z\d]+$").search(plain[start:end])
    yield PhiSpan(start, start + tail.start() if tail else end, "NAME")


def _judge_listed(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    tokens = _leading_names(_tokens(plain, start, end))
    if len(tokens) > 1 and not _EPONYM_TAIL.match(plain, tokens[-1].end()):
        yield from _span(tokens)


def _tokens(plain: str, start: int, end: int) -> _Tokens:
    return list(_TOKEN.finditer(plain, start, end))


def _leading_names(tokens: _Tokens, lower: bool = False) -> _Tokens:
    """Tokens up to the first that is no part of a name; with `lower`, names wholly in lower case count."""
    kept: _Tokens = []
    for token in tokens:
        if token[0] in _PARTICLES:
            kept.append(token)
            continue
        if _is_no_name(token) or (token[0][0].islower() and not (lower and _is_lower(kept))):
            break
        kept.append(token)
        # A possessive or a full stop behind a word ends the name; behind an initial it does not.
        if token[0].endswith("'s") or _ends_sentence(token):
            break
    while kept and kept[-1][0] in _PARTICLES:
        kept.pop()
    return kept


def _trailing_names(tokens: _Tokens) -> _Tokens:
    """At most three tokens at the end, back to one that is no part of a name."""
    kept: _Tokens = []
    for token in reversed(tokens):
        if _is_no_name(token):
            break
        kept.insert(0, token)
    return kept[-3:]


def _is_lower(tokens: _Tokens) -> bool:
    return all(token[0][0].islower() for token in tokens)


def _is_no_name(token: re.Match[str]) -> bool:
    word = token[0].rstrip(".").lower().removesuffix("'s")
    return len(word) > 1 and word in not_names()


def _is_given(token: re.Match[str]) -> bool:
    return token[0].rstrip(".").capitalize() in given_names()


def _opens_name(token: re.Match[str]) -> bool:
    return _is_given(token) or len(token[0].rstrip(".")) == 1


def _ends_sentence(token: re.Match[str]) -> bool:
    return len(token[0]) > 2 and token[0].endswith(".")


def _span(tokens: _Tokens) -> Iterator[PhiSpan]:
    """The span from the first to the last token, unless there are only initials."""
    if not any(len(token[0].rstrip(".")) > 1 for token in tokens):
        return
    last = tokens[-1]
    text = last[0].removesuffix(".") if _ends_sentence(last) else last[0]
    yield PhiSpan(tokens[0].start(), last.start() + len(text.removesuffix("'s")), "NAME")
