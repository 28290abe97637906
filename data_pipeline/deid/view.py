"""A view of text that detectors work on: same length, plain letters, so that offsets mean the same in both.

Each character becomes one: accents are dropped, typographic quotes, dashes and spaces become their keyboard forms, and
what has no plain form becomes '?'. The view is bytes in Latin-1, so that a byte offset of RE2 is a character offset.
"""

import functools
import re
import unicodedata

_LETTER_RANGES = (range(0xC0, 0x250), range(0x1E00, 0x1F00))
_SAME = {
    "'": "\u2018\u2019\u201b\u02bc\u00b4`",
    '"': "\u201c\u201d\u201e",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2212",
    " ": "\xa0\u2002\u2003\u2009\u202f",
    "o": "\u00f8",
    "O": "\u00d8",
    "l": "\u0142",
    "L": "\u0141",
    "d": "\u0111",
    "D": "\u0110",
    "s": "\u00df",
}


def plain_view(text: str) -> str:
    """The view as a string of the same length."""
    if text.isascii():
        return text
    # A table of bytes is many times faster than one of characters; the few that are not Latin-1 are folded first.
    try:
        return _FAR.sub(_fold_far, text).encode("latin-1").translate(_latin_table()).decode("latin-1")
    except UnicodeEncodeError:
        return text.translate(_folding_table())


def byte_view(plain: str) -> bytes:
    """The view as one byte a character."""
    return plain.encode("latin-1", errors="replace")


def unwrapped(plain: str) -> str:
    """The view with a space for each line break inside a wrapped paragraph, so that a name is whole again there.

    A break counts as wrapping when the line before it is long and the next one starts at the margin; a shorter line is
    enough when it ends in the middle of a sentence and no heading follows.
    """
    return _WRAP.sub(" ", plain)


def unscanned(plain: str) -> str:
    """The view of a scanned page with the letters and digits that the scanner took for each other put right.

    "REGI0NAL", "715-555-O188": only where a note shows at least two such places, and never more or fewer characters.
    """
    if sum(len(sign.findall(plain)) for sign in _SCAN_SIGNS) < _MIN_SCAN_SIGNS:
        return plain
    for wrong, right in _SCAN_FAULTS:
        plain = wrong.sub(right, plain)
    return plain


# Each begins with one letter, which is quick to look for.
_SCAN_SIGNS = (
    re.compile(r"0(?:(?<=[A-Z]0)[A-Z]|(?<=[a-z]{2}0)[a-z]|(?<=\W0)[A-Z]{2})"),
    re.compile(r"O(?<=[\d/-]O)\d"),
    re.compile(r"l(?<=[\d/-]l)\d"),
)
_MIN_SCAN_SIGNS = 2
_SCAN_FAULTS = tuple(
    (re.compile(wrong), right)
    for wrong, right in (
        (r"(?<=[A-Z])0(?=[A-Z.])|\b0(?=[A-Z])|(?<=[A-Z])0\b", "O"),
        (r"(?<=[a-z])0(?=[a-z])|(?<=[A-Z])0(?=[a-z])", "o"),
        (r"(?<=[\d/-])[Oo](?=[\d/lI-]|\b)|(?<=\b)O(?=[lI]?\d)", "0"),
        (r"(?<=[\d/-])[lI](?=[\d/-]|\b)|\b[lI](?=\d)", "1"),
        (r"(?<=[A-Z]{2})1(?=[A-Z])", "I"),
    )
)

# The line break comes first so that the search goes from break to break.
_WRAP = re.compile(
    r"\n(?=[^\s])(?![A-Z][A-Za-z/ #]{0,20}(?::|\.{3}|\|))(?:(?<=[^\n]{45}\n)|(?<=\d/\n)(?=\d)"
    r"|(?<=[^\n]{23}[a-z,/]\n)(?![A-Z][A-Za-z /]{0,30}:|[A-Z]{2,4}/|[-*#\d]+[.) ] ))"
)


# All but the wide grave accent, whose plain form has a plain form again.
_FAR = re.compile(r"[^\x00-\xff\uff40]")


def _fold_far(match: re.Match[str]) -> str:
    return _folding_table().get(ord(match[0]), match[0])


@functools.cache
def _latin_table() -> bytes:
    return bytes(ord(_folding_table().get(code, chr(code))) for code in range(256))


@functools.cache
def _folding_table() -> dict[int, str]:
    table = {}
    for code in (code for codes in _LETTER_RANGES for code in codes):
        base = unicodedata.normalize("NFD", chr(code))[0]
        if base.isascii():
            table[code] = base
    table.update({ord(odd): plain for plain, odds in _SAME.items() for odd in odds})
    # Full-width forms of the ASCII signs, as East Asian keyboards write them.
    table.update({code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)})
    return table
