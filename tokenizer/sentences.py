"""Where sentences of a clinical note begin and end.

Notes are half prose, half layout. Two kinds of place can end a sentence; each is decided by what stands around it:

    a newline           ends one, unless the line was wrapped: it is long, does not end in . ? ! : or ;, and what
                        follows is no list item and no heading. A blank line always ends one.
    . ? or ! and space  ends one, unless the word before is an abbreviation that goes on (Dr. vs. pt.), an initial or
                        the number of a list item, or what follows begins in lower case.
    . without space     ends one where an ordinary word stands before it and a capitalised one behind, as where someone
                        forgot the space ("no pain.He left") or an export put a comma for a line end ("no pain.,He").

Sentences here are units for packing and for the sentence-order task; a missed boundary costs little, text that belongs
to no sentence would be lost. So the spans cover every character that is not white space, by construction.
"""

import re

WRAPPED_LINE_CHARS = 50
"""A line this long may have been broken by an editor rather than by its writer."""

_ABBREVIATIONS_BEFORE_A_WORD = """
dr drs mr mrs ms prof rev st mt ft pt pts vs v no nos fig figs approx appt ca cf eg ie e.g i.e viz al incl dept ext
tel ref vol art sec hosp gen jan feb apr jun jul aug sept oct nov dec hx dx rx tx sx fx h/o s/p w/o lt rt bilat resp
temp wt ht hr bp dob mrn
"""
_UNITS_AND_PRESCRIPTION_LATIN = """
mg mcg g gm gms kg ml cc dl l cm mm meq units u iu tab tabs cap caps inj susp sol oz lb lbs hr hrs min mins sec wk wks
mo mos yr yrs q.d b.i.d t.i.d q.i.d q.h.s h.s q.o.d q.a.m q.p.m p.r.n prn p.o po i.v iv i.m im s.c sc s.q p.r a.c p.c
o.d o.s o.u a.m p.m qd bid tid qid qhs inc co corp ave blvd ct etc ms msec ph.d m.d d.o r.n p.a n.p jr sr
"""
_GOES_ON = frozenset(_ABBREVIATIONS_BEFORE_A_WORD.split())
"""Never the end of a sentence when a word or number follows."""
_MAY_END = frozenset(_UNITS_AND_PRESCRIPTION_LATIN.split())
"""The end of a sentence when a capitalised word follows, as in "80 mg. Continue"."""

# Both kinds of place begin with one class of characters, which lets the regular expression engine skip all others.
_CANDIDATE = re.compile(
    r"""[.?!\n](?:
        (?<=\n)\s*
      | (?<!\n)[.?!]*["'”’)\]]*[ \t\f\v\u00a0]+(?=[^\sa-z]|[a-z]\)\s)
      | (?<=[\w)][.?!]),[ \t]*(?=[A-Z]) | (?<=[a-z)]\.)(?=[A-Z][a-z])
    )""",
    re.VERBOSE,
)
_WORD_BEFORE = re.compile(r"[^\s(\[\"“'‘]*\Z")
_LIST_ITEM = re.compile(r"(?:\(?(?:\d{1,3}|[A-Za-z])[.)]\s|\#|[-*•·+>–]+\s|\[\s?[xX]?\]\s)")
_HEADING = re.compile(r"[A-Z][A-Za-z0-9 /&,()'-]{0,60}:")
_LIST_NUMBER = re.compile(r"\(?(?:\d{1,3}|[A-Za-z])\Z")
_INITIAL = re.compile(r"[A-Z]\Z")
_STARTS_LIKE_SENTENCE = re.compile(r"""["'“‘(\[]*(?:[A-Z0-9]|[^\W\d_a-z]|\*\*[A-Z])""")
_CAPITALISED_WORD = re.compile(r"""["'“‘(\[]*(?:[A-Z][a-z]|[A-Z]{2,}|\*\*[A-Z]|[AI]\s+[a-z0-9]|\d{1,3}[.)]\s)""")
_STARTERS = """
The He She His Her It Its They We This That These There Patient Pt In On At As If For From With After Before Then When
While Upon During Due Given Of No Not Will Was Is Has Had Please Also Currently However Unfortunately Additionally
Overall Today
"""
_STARTS_SENTENCE = re.compile(rf"(?:{'|'.join(_STARTERS.split())})\b")
"""What follows an initial or the letter of a type or vitamin only where a sentence begins: "by Dr. X. The patient"."""
_ORDINARY_WORD = re.compile(r"\(?[A-Za-z-]*[a-z]{3}\)*\Z")
_LONE_NUMBER = re.compile(r"\(?\d{1,3}[.)]\Z")
_LOOK_BACK = 40


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Spans [start, end) of the sentences, in order, without overlap, each beginning and ending in no white space."""
    spans = []
    start = len(text) - len(text.lstrip())
    end_of_text = len(text.rstrip())
    for match in _CANDIDATE.finditer(text, start, end_of_text):
        mark, following = match.span()
        if text[mark] == "\n":
            end = mark
            while end > start and text[end - 1].isspace():
                end -= 1
            ends = _newline_ends(text, start, end, following, match.group())
        else:
            end = mark + len(match.group().rstrip())
            is_apart = following > end and text[end - 1] != ","
            ends = (_period_ends if is_apart else _glued_ends)(text, start, mark, following)
        if ends and end > start:
            spans.append((start, end))
            start = following
    if start < end_of_text:
        spans.append((start, end_of_text))
    return spans


def _newline_ends(text: str, start: int, end: int, following: int, space: str) -> bool:
    """`end` is where the line's last word ends, `space` all from the newline to the next word."""
    if space.count("\n") > 1:
        return True
    is_short = text.rfind("\n", max(0, end - WRAPPED_LINE_CHARS), end) >= 0 or end < WRAPPED_LINE_CHARS
    last = text[end - 1]
    line_start = max(start, text.rfind("\n", start, end) + 1)
    if end - line_start <= 6 and _LONE_NUMBER.match(text[line_start:end].lstrip()) and space.strip(" \t") == "\n":
        # The number of an item, alone on its line; the item is on the next.
        return bool(_LIST_ITEM.match(text, following))
    if is_short or last in "?!:;" or _LIST_ITEM.match(text, following) or _HEADING.match(text, following):
        return True
    # A wrapped line may end in an abbreviation.
    return last == "." and _period_ends(text, start, end - 1, following)


def _period_ends(text: str, start: int, mark: int, following: int) -> bool:
    """`mark` is where the punctuation is, `following` where the next word begins."""
    if not _STARTS_LIKE_SENTENCE.match(text, following):
        return bool(_LIST_ITEM.match(text, following))
    if text[mark] != "." or text.startswith("..", mark):
        return True
    before = _WORD_BEFORE.search(text, max(start, mark - _LOOK_BACK), mark)
    assert before is not None, "the pattern matches an empty word too"
    word = before.group()
    word_start = before.start()
    is_first = word_start <= start + 1 or text[max(start, word_start - 2) : word_start].rstrip().endswith(":")
    if is_first and _LIST_NUMBER.match(word):
        return False
    known = word.lower()
    if word == "ms":
        return True  # milliseconds; the title has a capital
    if known == "no":
        return not text[following].isdigit()
    if _INITIAL.match(word):
        # "1 L." is a measure.
        return _STARTS_SENTENCE.match(text, following) is not None or (
            word == "L" and text[max(start, word_start - 2) : word_start].rstrip().isdigit()
        )
    if known in _GOES_ON:
        return False
    if known in _MAY_END:
        return bool(_CAPITALISED_WORD.match(text, following))
    return True


def _glued_ends(text: str, start: int, mark: int, following: int) -> bool:
    """The same where no space follows; only an ordinary word before lets a sentence end, no abbreviation or address."""
    before = _WORD_BEFORE.search(text, max(start, mark - _LOOK_BACK), mark)
    assert before is not None, "the pattern matches an empty word too"
    word = before.group()
    known = word.strip("()").lower()
    if known in _GOES_ON or known in _MAY_END:
        return False
    if text[mark + 1] == ",":
        return len(known) > 1 and "." not in known.strip("0123456789.")
    return _ORDINARY_WORD.match(word) is not None
