"""Make text regular without taking meaning: line ends, spaces, entities, control characters, NFC.

Blank lines, indentation and headings stay, because sentence splitting and section recognition read them.
"""

import html
import re
import unicodedata

# Only entities that end in a semicolon: HTML also knows bare ones, and would read "S&notes" as "S¬es".
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_MAX_ESCAPE_DEPTH = 3
_LINE_END = re.compile(r"\r\n?|[\x85\u2028\u2029]")
_SPACE = re.compile(r"[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")
# C0 and C1 controls but tab and line feed, soft hyphen, zero-width characters, direction marks, byte-order mark.
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_TRAILING_SPACE = re.compile(r"[ \t]+(?=\n)")


def clean(text: str) -> str:
    """Cleaned text, without trailing spaces on lines or blank lines at either end. Accepts any string."""
    for _ in range(_MAX_ESCAPE_DEPTH):
        if "&" not in text:
            break
        text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    text = _LINE_END.sub("\n", text)
    if not text.isascii():
        text = _SURROGATE.sub("\ufffd", text)
        text = _SPACE.sub(" ", text)
    text = _INVISIBLE.sub("", text)
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    return _TRAILING_SPACE.sub("", text).strip("\n").rstrip()
