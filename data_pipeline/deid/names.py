"""Names of people, by what stands next to them or by a common given name.

Five ways in: a title ("Dr. Hill"), a cue ("Name:", "dictated by"), a credential ("Hill, M.D."), a relative ("her
daughter Ann"), a given name ("Ann Hill"). A surname alone in running text has none of them; the roster is for those. It
is also why eponyms stay: nothing announces the Foley in "Foley catheter".
"""

import re
from collections.abc import Iterator

from data_pipeline.deid.detector import Detector
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.words import given_names, not_names

_WORD = r"[A-Z][A-Za-z'-]+"
_INITIAL = r"[A-Z]\.?"
_NAME = rf"(?:{_INITIAL} ){{0,2}}{_WORD}(?:,? (?:{_INITIAL} )?{_WORD}){{0,2}}"
# Forms and headers pad their fields with spaces.
_PADDED_NAME = _NAME.replace(" ", " {1,3}")
_LOWER_NAME = r"[a-z][a-z'-]+(?:,? (?:[a-z]\.? )?[a-z][a-z'-]+){0,2}"
_TITLE = r"\b(?:D[Rr]s?\.|Dr|Drs|M[Rr]\.|Mr|M[Rr][Ss]\.|Mrs|M[Ss]\.|Ms|Miss|Prof\.|Professor|Doctor|Nurse|Rev\.)\s{0,2}"
_TITLED = rf"(?:{_TITLE}){{1,2}}{_NAME}"
_LOWER_TITLED = r"\b(?:dr|mr|mrs|ms|prof)\. ?[a-z][a-z'-]+(?: [a-z][a-z'-]+)?"

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
    r"|read"
    r"|prepared|approved|entered|reported|written|finalized)(?: electronically)? by|dear|next of kin|named|name is"
)
_COLON = r"[ \t]{0,2}:[ \t,]{0,3}"
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
    r"|D\.?P\.?M\.?|FNP(?:-C)?|ARNP|APRN|LPN|RPh|CNM|MSW|O\.D\.|D\.C\.|M\.?B\.?B\.?S\.?|Esq)"
)
_CREDENTIALED = rf"\b(?:{_INITIAL} ){{0,2}}(?:{_WORD},? {{1,2}}(?:{_INITIAL} )?){{1,4}}{_CREDENTIAL}(?:\b|[ ,;:\n]|$)"
_CREDENTIAL_TAIL = re.compile(rf"(,?) {{1,2}}{_CREDENTIAL}[ ,;:\n]?$")

_RELATIVES = (
    r"daughter|son|wife|husband|mother|father|sister|brother|spouse|partner|niece|nephew|aunt|uncle|cousin|grandson"
    r"|granddaughter|grandmother|grandfather|fiancee?|girlfriend|boyfriend|friend|caregiver|neighbor|guardian|mom|dad"
)
_AFTER_RELATIVE = r"(?: is|,? whose name is|,| named| \()? "
_RELATED = rf"\b(?i:{_RELATIVES}){_AFTER_RELATIVE}{_WORD}(?: {_WORD})?"
_RELATIVE_HEAD = re.compile(rf"(?:{_RELATIVES}){_AFTER_RELATIVE}", re.I)

_TOKEN = re.compile(r"[A-Za-z][A-Za-z'-]*\.?")
_Tokens = list[re.Match[str]]


def detectors() -> tuple[Detector, ...]:
    """The five ways, each a pass of its own; reads the list of given names."""
    given = "|".join(sorted({form for name in given_names() for form in (name, name.upper())}))
    listed = rf"\b(?:{given})(?: {_INITIAL})? {_WORD}|\b{_WORD}, (?:{given})\b(?: [A-Z]\b)?"
    return (
        Detector(_TITLED, _judge_titled),
        Detector(_LOWER_TITLED, _judge_lower_titled),
        Detector(_CUED, _judge_cued),
        Detector(_CREDENTIALED, _judge_credentialed),
        Detector(_RELATED, _judge_related),
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


def _judge_listed(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    tokens = _leading_names(_tokens(plain, start, end))
    if len(tokens) > 1:
        yield from _span(tokens)


def _tokens(plain: str, start: int, end: int) -> _Tokens:
    return list(_TOKEN.finditer(plain, start, end))


def _leading_names(tokens: _Tokens, lower: bool = False) -> _Tokens:
    """Tokens up to the first that is no part of a name; with `lower`, names wholly in lower case count."""
    kept: _Tokens = []
    for token in tokens:
        if _is_no_name(token) or (token[0][0].islower() and not (lower and _is_lower(kept))):
            break
        kept.append(token)
        # A possessive or a full stop behind a word ends the name; behind an initial it does not.
        if token[0].endswith("'s") or _ends_sentence(token):
            break
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


def _ends_sentence(token: re.Match[str]) -> bool:
    return len(token[0]) > 2 and token[0].endswith(".")


def _span(tokens: _Tokens) -> Iterator[PhiSpan]:
    """The span from the first to the last token, unless there are only initials."""
    if not any(len(token[0].rstrip(".")) > 1 for token in tokens):
        return
    last = tokens[-1]
    text = last[0].removesuffix(".") if _ends_sentence(last) else last[0]
    yield PhiSpan(tokens[0].start(), last.start() + len(text.removesuffix("'s")), "NAME")
