"""Words of a note's type that are cut short and look like a surname: the "Phy." of "Consult - History and Phy."

In running text "and" before a capital may announce somebody. In the type of a note it joins two words of titles, and
some sources cut the type off after so many characters.
"""

import re

from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.words import word_set

_TITLE_WORDS = word_set(
    "admission assessment consult consultation diagnosis discharge evaluation examination follow-up history medication"
    " nutrition operation operative physical physician plan procedure progress recommendation rehabilitation summary"
    " surgery surgical therapy treatment"
)
_MIN_CHARS = 3
_JOINED_TO = re.compile(r"([A-Za-z-]+) (?:and|&) $")


def is_cut_short(plain: str, span: PhiSpan) -> bool:
    """Whether `span` is the beginning of a title word, with a full stop, that "and" joins to a whole one."""
    word, before = plain[span.start : span.end], _JOINED_TO.search(plain, 0, span.start)
    return (
        before is not None
        and before[1].lower() in _TITLE_WORDS
        and plain[span.end : span.end + 1] == "."
        and len(word) >= _MIN_CHARS
        and word.istitle()
        and any(title.startswith(word.lower()) for title in _TITLE_WORDS)
    )
