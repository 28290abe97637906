"""The form in which the gate compares: words of letters and digits with one space between, accents dropped.

"O'Brien,  ZOË" and "O Brien\\nZoe" become "O Brien ZOE" and "O Brien Zoe"; case is kept, because a capital tells a name
from an ordinary word. Letters of other scripts stay as they are.
"""

import re
import unicodedata

from data_pipeline.placeholders import PLACEHOLDER_PATTERN, PLACEHOLDER_START

BARRIER = "\x01"
"""Stands for a placeholder: what is on its two sides does not belong together."""

_WORDS_LATIN = bytes(
    code if code < 128 and chr(code).isalnum() else ord(BARRIER) if chr(code) == BARRIER else ord(" ")
    for code in range(256)
)
_NO_LETTERS = re.compile(rf"[^\w{BARRIER}]+|_+")
_FAR_SIGNS = re.compile(r"[^\w\x00-\xff]")
_COMBINING = re.compile(r"[\u0300-\u036f]+")
_COMBINING_OR_INVISIBLE = re.compile(r"[\u00ad\u0300-\u036f\u200b-\u200f\u2060-\u2064\ufeff]+")
# One letter for one, here and in the roster, so that both agree.
_LETTERS = str.maketrans("ßøØæÆœŒłŁđĐıþÞðÐ", "soOaAoOlLdDitTdD")


def _without_accent(code: int) -> int:
    letter = unicodedata.normalize("NFD", chr(code).translate(_LETTERS))[0]
    return ord(letter) if code >= 0xC0 and letter.isascii() and letter.isalpha() else code


_PLAIN_LATIN = bytes(_without_accent(code) for code in range(256))
_SOFT_HYPHEN = b"\xad"


def without_placeholders(text: str) -> str:
    """The text with a barrier for each placeholder, whose letters are no leak."""
    return PLACEHOLDER_PATTERN.sub(f" {BARRIER} ", text) if PLACEHOLDER_START in text else text


def plain_letters(text: str) -> str:
    """Letters without accents; signs outside Latin-1 become spaces, invisible ones go."""
    if text.isascii():
        return text
    try:
        return _plain_latin(text)
    except UnicodeEncodeError:
        text = _FAR_SIGNS.sub(" ", _COMBINING_OR_INVISIBLE.sub("", text))
    try:
        return _plain_latin(text)
    except UnicodeEncodeError:
        return _COMBINING.sub("", unicodedata.normalize("NFKD", text.translate(_LETTERS)))


def _plain_latin(text: str) -> str:
    return text.encode("latin-1").translate(_PLAIN_LATIN, _SOFT_HYPHEN).decode("latin-1")


def normal_form(plain: str) -> str:
    """Words of a `plain_letters` text, with a space before, between and after them."""
    try:
        words = plain.encode("latin-1").translate(_WORDS_LATIN).split()
    except UnicodeEncodeError:
        return f" {' '.join(_NO_LETTERS.sub(' ', plain).split())} "
    return f" {b' '.join(words).decode('latin-1')} "


def key_form(value: str) -> str:
    """A roster's value as it is looked for: normal form in lower case, without the outer spaces."""
    return lower_by_letter(normal_form(plain_letters(value)).strip())


def lower_by_letter(text: str) -> str:
    """Lower case of the same length, so that positions mean the same in both."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(char if len(char.lower()) != 1 else char.lower() for char in text)
