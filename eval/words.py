"""Words of a text where the data set does not say: letters and digits, other visible characters one by one.

Placeholders of de-identification such as [**NAME**] stay whole. Every visible character is in exactly one word.
"""

import re

from eval.examples import Document, Span

_WORD = re.compile(r"\[\*\*[^\]\n]{1,40}\*\*\]|\w+|[^\w\s]")


def words_of(text: str) -> tuple[Span, ...]:
    """Word boundaries in order, as character offsets."""
    return tuple(match.span() for match in _WORD.finditer(text))


def document_words(document: Document) -> tuple[Span, ...]:
    """The data set's own words where it has them."""
    return document.tokens if document.tokens is not None else words_of(document.text)
