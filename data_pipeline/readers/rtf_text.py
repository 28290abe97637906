"""RTF to plain text, by the package striprtf."""

import re

from launch.errors import NotemillError

# striprtf's pattern for links takes cubic time where many fields stand in one line, so it is shown none.
_FIELD_CODE = re.compile(r"\\\*\\fldinst\b")


def rtf_to_text(rtf: str) -> str | None:
    """The text, one line a paragraph and cells of tables between bars; None for what cannot be read.

    Raises NotemillError without the package.
    """
    try:
        from striprtf.striprtf import rtf_to_text as convert
    except ImportError:
        raise NotemillError("a note in RTF needs the package striprtf; pip install striprtf.") from None
    try:
        return convert(_FIELD_CODE.sub(r"\\*\\nofldinst", rtf), errors="replace")
    except (ValueError, LookupError, OverflowError, TypeError, AttributeError):
        # A package of regular expressions meets what a writer of RTF got wrong.
        return None
