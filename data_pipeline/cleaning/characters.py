"""Make text regular without taking meaning: line ends, spaces, entities, control characters, normal form.

Blank lines, indentation and headings stay, because sentence splitting and section recognition read them.
"""

import html
import re
import unicodedata
from typing import Literal

# Only entities that end in a semicolon: HTML also knows bare ones, and would read "S&notes" as "S¬es".
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_MAX_ESCAPE_DEPTH = 3
_LINE_END = re.compile(r"[\x0b\x0c\x85\u2028\u2029]")
_SPACE = re.compile(r"[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")
# C0 and C1 controls but tab and line feed, soft hyphen, zero-width characters, direction marks, byte-order mark.
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
# For ASCII: a page or line that a printer was told to end is a line; the other controls are nothing.
_ASCII_LINE_ENDS = bytes.maketrans(b"\x0b\x0c", b"\n\n")
_ASCII_CONTROLS = bytes((*range(9), *range(14, 32), 127))
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def clean(text: str, unicode_form: Literal["NFC", "NFKC"] = "NFC") -> str:
    """Cleaned text, without trailing spaces on lines or blank lines at either end. Accepts any string.

    Each step first looks whether there is anything to do: most notes are clean, and looking is much faster than doing.
    """
    for _ in range(_MAX_ESCAPE_DEPTH):
        if "&" not in text or not _ENTITY.search(text):
            break
        text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii():
        text = _LINE_END.sub("\n", text)
        text = _SURROGATE.sub("\ufffd", text)
        text = _SPACE.sub(" ", text)
        text = _INVISIBLE.sub("", text)
        if not unicodedata.is_normalized(unicode_form, text):
            text = unicodedata.normalize(unicode_form, text)
    else:
        text = text.encode("ascii").translate(_ASCII_LINE_ENDS, _ASCII_CONTROLS).decode("ascii")
    if " \n" in text or "\t\n" in text:
        text = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    return text.strip("\n").rstrip()
