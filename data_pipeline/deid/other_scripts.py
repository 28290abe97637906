"""Words in other scripts than Latin, which in a note of a Latin language are somebody's name or address.

Where they are more than a tenth of the note, it is written in that language, and nothing is said about it here.
"""

import re

from data_pipeline.deid.spans import PhiSpan

_LETTERS = (
    r"\u0400-\u052f\u0531-\u058f\u0591-\u06ff\u0750-\u077f\u0900-\u0dff\u0e01-\u0eff\u10a0-\u11ff\u1200-\u137f"
    r"\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
)
_RUN = re.compile(rf"[{_LETTERS}]{{2,}}(?:[ \u00b7.,-]{{1,2}}[{_LETTERS}]+)*")
_MAX_SHARE = 0.1


def find_other_scripts(text: str) -> list[PhiSpan]:
    """Runs of such words, in order."""
    if text.isascii():
        return []
    spans = [PhiSpan(*match.span(), "NAME") for match in _RUN.finditer(text)]
    return spans if sum(end - start for start, end, _ in spans) <= _MAX_SHARE * len(text) else []
