"""Text out of bytes that may not be UTF-8, and out of text that somebody decoded wrongly before it came here.

Bytes: UTF-8 where it is UTF-8; each byte that is not is read as CP-1252, which is what hospital exports hold when they
are not UTF-8. A line of CP-1252 and a line of UTF-8 with one stray byte both come out right. Files in UTF-16 or UTF-32
are known by their byte-order mark or by their zero bytes; any other encoding is named by the user.

Mojibake ("cafÃ©", "itâ€™s") is undone by ftfy, line by line. ftfy judges some 4 MB/s, so that only lines that hold a
typical pair of characters are shown to it; plain ASCII costs nothing.
"""

import codecs
import re

_ZERO_SHARE = 0.3
"""Share of zero bytes in every second place of a file's head from which on it is UTF-16 without a mark."""
_MIN_HEAD = 8
# A lead byte of UTF-8 and a continuation byte, both read as CP-1252 or Latin-1; then the usual ones in Mac Roman.
_SUSPICIOUS = re.compile("[\xc2-\xf4][\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|Ã |‚Ä|√[©®±≠ÆØ∂∑∏π∫ªºΩæø°¢£§•¶ß†]")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def _as_cp1252(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252", errors="replace"), error.end


codecs.register_error("notemill.cp1252", _as_cp1252)


def decode(data: bytes) -> tuple[str, bool]:
    """Text, and whether bytes had to be repaired."""
    try:
        return data.decode(), False
    except UnicodeDecodeError:
        return data.decode("utf-8", errors="notemill.cp1252"), True


def detect(head: bytes) -> tuple[str, int]:
    """The encoding of a file that begins with `head`, and the bytes of its mark; utf-8 where nothing speaks against."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, len(mark)
    even, odd = head[: len(head) & ~1 : 2], head[1::2]
    if len(head) >= _MIN_HEAD and max(even.count(0), odd.count(0)) > _ZERO_SHARE * len(odd):
        # Zeros on one side only; on both it is binary padding, and NULs are dropped later.
        if even.count(0) * 10 < odd.count(0):
            return "utf-16-le", 0
        if odd.count(0) * 10 < even.count(0):
            return "utf-16-be", 0
    return "utf-8", 0


def undo_mojibake(text: str) -> str:
    """The text as it was before it was decoded with the wrong encoding; the same string where it never was."""
    if text.isascii() or _SUSPICIOUS.search(text) is None:
        return text
    from ftfy import fix_encoding

    return "\n".join(fix_encoding(line) if _SUSPICIOUS.search(line) else line for line in text.split("\n"))
