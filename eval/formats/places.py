"""Where a string that a release quotes stands in a text, with any white space for any other."""

import re

from eval.examples import Span

_MAX_DIGITS = 12


def squeeze(text: str) -> str:
    """The text with single spaces, for comparing."""
    return " ".join(text.split())


def whole_number(value: str) -> int | None:
    """The number of characters, lines or words that a field holds; None for anything else, and for absurd ones."""
    value = value.strip()
    return int(value) if value.isascii() and value.isdecimal() and len(value) <= _MAX_DIGITS else None


def nearest(text: str, surface: str, start: int, ignore_case: bool = False) -> Span | None:
    """The occurrence of `surface` that begins nearest to `start`, or None."""
    words = surface.split()
    if not words:
        return None
    pattern = re.compile(r"\s+".join(map(re.escape, words)), re.IGNORECASE if ignore_case else 0)
    spans = [match.span() for match in pattern.finditer(text)]
    return min(spans, key=lambda span: (abs(span[0] - start), span), default=None)
