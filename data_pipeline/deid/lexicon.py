"""Names of people that nothing announces, by the census lists.

The text is read in runs of capitalised words. What is known of each word (`words.Known`) decides which neighbours form
a name: a given name or a surname that is no ordinary word, drug or eponym carries the run, initials and unknown words
beside it belong to it. Single names count too, unless a thing follows ("Wilson disease"). In lower case only frequent
names that are no ordinary words count ("andrew kim"), with unknown words beside them.

Words in capitals are read more strictly, because abbreviations look like them.
"""

import functools
import re
import string
from collections.abc import Iterator
from typing import Any

from data_pipeline.byte_patterns import compiled
from data_pipeline.deid.eponyms import thing_follows
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.view import byte_view
from data_pipeline.deid.words import NAME, NOT_A_NAME, Known, known_words, word_set

_TOKEN = r"[A-Z][A-Za-z'-]*"
_RUN = re.compile(rf"{_TOKEN}(?:(?:[.,]? {{1,2}}|\.){_TOKEN})*")
_WORD = re.compile(r"[A-Z][A-Za-z'-]*")
_LOWER_LETTERS = re.compile(r"[a-z]{4,}")
_NOT_BEFORE = r"(?<![A-Za-z0-9@._/'-])"
_NOT_BEHIND = r"(?:-[a-z]{2,})?(?![A-Za-z0-9@_]|\.[a-z])"
_LOWER_BESIDE = re.compile(r"(,? )([a-z][a-z'-]+)(?![A-Za-z0-9@_]|\.[a-z])")
# A full stop joins behind an initial alone.
_LOWER_BEFORE = re.compile(r"(?<![A-Za-z0-9@._/'-])([a-z](?=\.)|[a-z][a-z'-]*(?![a-z.'-]))(,? |\. ?)$")
_MIN_CAPITALS = 4
_MIN_CHARS_A_CAPITAL = 60
"""A paragraph with fewer capitals than one in so many characters is written in lower case."""
_MIN_SHOUTED = 40
"""Capitals in a paragraph that is mostly capitals and no heading."""
_CAPITALS = string.ascii_uppercase.encode()
_BLANK_LINE = re.compile(r"\n\s*\n")
_AUXILIARIES = word_set("will mark may drew wade chase price case page love hope more major wells long young days")
_ARTICLE = re.compile(r"(?:^|[\s(])(?:[Tt]he|[Aa]n?|using|#?\d+)[ \n]$")
_SCORE = re.compile(
    r"(?: score| scale)?:? {1,2}(?:\d{1,2}(?:/\d{1,2})?\+?|neg(?:ative)?|pos(?:itive)?)\b(?! ?(?:[MFmf]\b|y|-))"
)
_FAMILY = re.compile(r"s?'? (?:family|twins|household|home|house|residence|girls?|boys?|brothers|sisters)\b")
CREDENTIALS = word_set(
    "MD DO RN NP PA PHD DDS DPM OD DC LPN CRNA CNA CNM LCSW LICSW MSW FNP ARNP APRN RPH PHARMD FACS FACC LVN BSN"
    " MSN DNP CCM BCPS NRP EMT CWOCN FRCPC FRCSI FRCS MRCP MRCS MBBS MBCHB PG FY MA CDE CDCES OTR SLP RDN RD LMFT"
    " LPC BCBA ANP AGNP"
)
_ROLES = word_set(
    "HUSBAND WIFE MOTHER FATHER MUM MOM DAD SON DAUGHTER SISTER BROTHER DETECTIVE OFFICER JUDGE TROOPER DEPUTY MISS"
    " SOLICITOR ADJUSTER PASTOR NURSE PCP NP PA RN MD MOA CDE HCPOA POA SMT SHRI ATTORNEY COACH AUNT UNCLE"
)
"""What stands before a name without being a part of it."""
MAX_NAME_WORDS = 4
"""Longer runs of capitalised words are headings and lists of people, and are read in parts."""
_AUTOMATON_BYTES = 64 << 20
_EPONYMS = Known.EPONYM | Known.COMMON_EPONYM


def find_names(plain: str) -> list[PhiSpan]:
    """Names in a view of `deid.view.plain_view`."""
    spans: list[PhiSpan] = []
    # Most notes have no run with a name: looking at the runs alone is faster than at each with its place.
    if any(map(_may_hold_name, _RUN.findall(plain))):
        for run in _RUN.finditer(plain):
            if _may_hold_name(run[0]):
                spans += _names_in_run(plain, run.start(), run.end())
    view = byte_view(plain)
    if _lower_name_pattern().search(view):
        spans += _lower_names(plain)
    spans += _names_in_one_case(plain, view)
    return spans


@functools.lru_cache(maxsize=1 << 17)
def what_is_known(word: str) -> int:
    """Of a word that may have hyphens, an apostrophe or a possessive: what its parts have in common.

    One ordinary part makes the whole ordinary ("Lower-Abdomen"), one eponym makes it an eponym ("Jackson-Pratt").
    """
    words = known_words()
    lower = word.lower().removesuffix("'s").strip("'-")
    whole = words.get(lower)
    if whole is None:
        whole = words.get(lower.replace("'", ""))
    if whole is not None or "-" not in lower:
        return whole or 0
    parts = [what_is_known(part) for part in lower.split("-") if part]
    flags = 0
    for part in parts:
        flags |= part
    if (flags & _EPONYMS and not flags & Known.GIVEN) or all(part & _EPONYMS for part in parts):
        flags |= Known.EPONYM
    # "Adeyemi-Cole": of a double name one half may be a word.
    could_be_name = all(len(part) > 2 for part in lower.split("-")) and all(part & NAME or not part for part in parts)
    if could_be_name and not all(part & Known.ORDINARY for part in parts):
        flags &= ~Known.ORDINARY
    return flags


def is_strong(known: int) -> bool:
    """A listed name that is nothing else."""
    return bool(known & NAME) and not known & NOT_A_NAME


@functools.lru_cache(maxsize=1 << 16)
def _may_hold_name(run: str) -> bool:
    """A quick look: one listed name, or two words that no list knows."""
    unknown = 0
    for word in _WORD.findall(run):
        known = what_is_known(word)
        if is_strong(known):
            return True
        if not known and len(word) > 2:
            unknown += 2 if word.endswith("'s") else 1
    return unknown > 1


def _names_in_run(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    group: list[tuple[int, int, int]] = []
    for match in _WORD.finditer(plain, start, end):
        known = what_is_known(match[0])
        possessive = match[0].endswith("'s")
        if _joins(match[0], known, bool(group)):
            if group and not _is_joint(plain[group[-1][1] : match.start()], group[-1]):
                yield from _judge(plain, group)
                group = []
            group.append((match.start(), match.end() - (2 if possessive else 0), known))
        if possessive or not _joins(match[0], known, bool(group)):
            yield from _judge(plain, group)
            group = []
    yield from _judge(plain, group)


def _joins(word: str, known: int, inside: bool) -> bool:
    """Whether a word may be a part of a name."""
    if len(word) == 1:
        return word not in "I"
    if known & (Known.ORDINARY | Known.STAYS):
        # "Ann Hill", "Grace Kelly": an ordinary word is a name beside one.
        return bool(known & NAME) and not known & Known.STAYS and (inside or word[1:].islower())
    return True


def _is_joint(between: str, before: tuple[int, int, int]) -> bool:
    """Whether two words belong to one name: a full stop joins only behind an initial."""
    return "." not in between or before[1] - before[0] == 1


def _judge(plain: str, group: list[tuple[int, int, int]]) -> Iterator[PhiSpan]:
    if len(group) > MAX_NAME_WORDS:
        for part in _parts(plain, group):
            yield from _judge(plain, part)
        return
    group = _without_credentials(plain, group)
    if not group:
        return
    start, end = group[0][0], group[-1][1]
    strong = [known for _, _, known in group if is_strong(known)]
    # A full name is a thing's only where one of its words is an eponym: "Ann Hill exam", but "Pierre Robin sequence".
    may_be_thing = not any(known & Known.GIVEN for known in strong) or any(known & _EPONYMS for _, _, known in group)
    # "the St. Jude valve" and "St. Joseph Hospital" are nobody.
    if (may_be_thing and thing_follows(plain, end)) or plain[max(0, start - 4) : start] == "St. ":
        return
    # "Berg 38", "Katz 4/6": what is named after somebody and counted.
    if len(group) == 1 and group[0][2] & _EPONYMS and _SCORE.match(plain, end):
        return
    if not strong:
        if _is_unlisted_name(plain, group) or _is_unlisted_owner(plain, group):
            yield PhiSpan(start, end, "NAME")
        return
    words = [plain[a:b] for a, b, _ in group]
    given = [known & Known.GIVEN and is_strong(known) for _, _, known in group]
    if any(len(word) > 1 and word.rstrip("s").isupper() for word in words):
        if not _counts_in_capitals(words, group, any(given)):
            return
    elif len(words) == 1 and not _counts_alone(plain, start, end, group[0][2]):
        return
    while len(plain[group[0][0] : group[0][1]]) == 1 and len(group) > 1 and plain[group[0][1] : group[0][1] + 1] != ".":
        # "Hepatitis C Smith": an initial without its full stop opens no name.
        group = group[1:]
        start = group[0][0]
    is_town = all(known & Known.TOWN for known in strong)
    yield PhiSpan(start, end, "LOCATION" if is_town else "NAME")


def _without_credentials(plain: str, group: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The group without titles before it, and up to a comma or degree behind which only degrees stand."""
    while group and plain[group[0][0] : group[0][1]].upper() in _ROLES:
        group = group[1:]
    while group and group[-1][1] - group[-1][0] > 1 and plain[group[-1][0] : group[-1][1]] in CREDENTIALS:
        group = group[:-1]
    for index in range(len(group) - 1, 0, -1):
        start, end, _ = group[index]
        if end - start > 1 and plain[start:end].upper() not in CREDENTIALS:
            return group
        if "," in plain[group[index - 1][1] : start]:
            return group[:index]
    return group


def _parts(plain: str, group: list[tuple[int, int, int]]) -> Iterator[list[tuple[int, int, int]]]:
    """A long run in pieces of a name's length, cut where commas stand: it may be a list of people."""
    part: list[tuple[int, int, int]] = []
    for item in group:
        if part and (len(part) == MAX_NAME_WORDS or "," in plain[part[-1][1] : item[0]]):
            yield part
            part = []
        part.append(item)
    yield part


def _is_unlisted_name(plain: str, group: list[tuple[int, int, int]]) -> bool:
    """Two or three words in mixed case of which no list knows one: somebody or somewhere that the census never met."""
    words = [plain[a:b] for a, b, _ in group]
    unknown = [word for word, (_, _, known) in zip(words, group, strict=True) if not known and len(word) > 2]
    initials = sum(len(word) == 1 for word in words)
    return (
        len(unknown) >= 2
        and len(unknown) + initials == len(words) <= MAX_NAME_WORDS
        and all(re.fullmatch(r"[A-Z][a-z'-]+(?:-?[A-Z][a-z]+)?", word) for word in unknown)
    )


def _is_unlisted_owner(plain: str, group: list[tuple[int, int, int]]) -> bool:
    """One unknown word that owns what is no thing of medicine: "Ebenezer's creatinine"."""
    start, end, known = group[-1]
    is_word = re.fullmatch(r"[A-Z][a-z]{3,}", plain[start:end])
    return (
        len(group) == 1
        and not known
        and bool(is_word)
        and plain[end : end + 2] == "'s"
        and not _ARTICLE.search(plain, max(0, start - 10), start)
    )


def names_a_thing(plain: str, start: int, end: int) -> bool:
    """Whether the name at `start` is that of a thing by what stands around it."""
    return thing_follows(plain, end) or _has_article(plain, start, end)


def _has_article(plain: str, start: int, end: int) -> bool:
    """People take no article: "the Glenn", "a Rubin osteotome", but "the Johnson family"."""
    return _ARTICLE.search(plain, max(0, start - 10), start) is not None and not _FAMILY.match(plain, end)


def _counts_alone(plain: str, start: int, end: int, known: int) -> bool:
    """A single name in mixed case."""
    if end - start < (3 if known & Known.GIVEN else 4):
        return False
    if _has_article(plain, start, end):
        return False
    if known & Known.GIVEN:
        return True
    # Behind a hyphen or slash ("pre-Smith", "Bard/Smith") stands a part of something else.
    return plain[start - 1 : start] not in ("-", "/") or start == 0


def _counts_in_capitals(words: list[str], group: list[tuple[int, int, int]], has_given: bool) -> bool:
    letters = sum(map(len, words))
    if len(words) == 1:
        return letters > _MIN_CAPITALS and bool(group[0][2] & Known.FREQUENT)
    frequent = sum(bool(known & Known.FREQUENT) and is_strong(known) for _, _, known in group)
    return letters >= 2 * _MIN_CAPITALS and (has_given or frequent > 0)


@functools.cache
def _names_in_lower_case(flag: int) -> frozenset[str]:
    return frozenset(word for word, known in known_words().items() if known & flag)


@functools.cache
def _lower_name_pattern() -> Any:
    """Finds whether a view holds any of them, which few do."""
    names = "|".join(sorted(map(re.escape, _names_in_lower_case(Known.LOWER_NAME))))
    return compiled(f"(?:^|[^a-z])(?:{names})(?:[^a-z]|$)".encode("latin-1"), _AUTOMATON_BYTES)


def _lower_names(plain: str) -> Iterator[PhiSpan]:
    candidates = _names_in_lower_case(Known.LOWER_NAME).intersection(_LOWER_LETTERS.findall(plain))
    if candidates:
        yield from _lower_places(plain, 0, len(plain), candidates)


def _names_in_one_case(plain: str, view: bytes) -> Iterator[PhiSpan]:
    rare = _names_in_lower_case(Known.NO_WORD)
    for start, end, in_capitals in _paragraphs_of_one_case(plain, view):
        lower = plain.lower() if in_capitals else plain
        present = rare.intersection(_LOWER_LETTERS.findall(lower, start, end))
        if present:
            yield from _lower_places(lower, start, end, present)


def _paragraphs_of_one_case(plain: str, view: bytes) -> Iterator[tuple[int, int, bool]]:
    """Where somebody writes without the shift key or with its lock; rare names count, since no capital can tell."""
    start = 0
    for gap in (*_BLANK_LINE.finditer(plain), None):
        end = gap.start() if gap else len(plain)
        capitals = end - start - len(view[start:end].translate(None, _CAPITALS))
        if capitals * _MIN_CHARS_A_CAPITAL < end - start:
            yield start, end, False
        elif capitals * 2 > end - start and capitals > _MIN_SHOUTED:
            yield start, end, True
        start = gap.end() if gap else end


def _lower_places(plain: str, first: int, last: int, candidates: frozenset[str] | set[str]) -> Iterator[PhiSpan]:
    pattern = re.compile(rf"{_NOT_BEFORE}(?:{'|'.join(sorted(candidates))}){_NOT_BEHIND}")
    for match in pattern.finditer(plain, first, last):
        known = what_is_known(match[0])
        if "-" in match[0] and not is_strong(known):
            continue
        if thing_follows(plain, match.end(), near=True):
            continue
        start, end = match.span()
        after = _LOWER_BESIDE.match(plain, end)
        if after and _is_name_beside(after[2]):
            end = after.end() - (2 if after[2].endswith("'s") else 0)
        for _ in range(2):
            before = _LOWER_BEFORE.search(plain, max(0, start - 24), start)
            if before is None or not (_is_name_beside(before[1]) or _is_given_beside(before[1])):
                break
            start = before.start()
        is_town = not known & (Known.GIVEN | Known.SURNAME)
        yield PhiSpan(start, end, "LOCATION" if is_town else "NAME")


def _is_name_beside(word: str) -> bool:
    known = what_is_known(word)
    return len(word) > 2 and bool(known & NAME) and not known & (NOT_A_NAME | Known.COMMON_EPONYM)


def _is_given_beside(word: str) -> bool:
    """An initial, or a given name that is also a word: "r oglesby", "opal mae", but not "will" or "an"."""
    known = what_is_known(word)
    is_given = len(word) > 3 and known & Known.GIVEN and not known & (Known.STAYS | Known.EPONYM)
    return (len(word) == 1 and word not in "aix") or (bool(is_given) and word not in _AUXILIARIES)
