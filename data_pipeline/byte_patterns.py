"""Patterns over text of one byte a character, in RE2's linear time: there a byte's offset is a character's.

RE2 is imported when the first pattern is compiled: stages that only read a corpus never need it.
"""

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import re2


@functools.cache
def compiled(pattern: bytes, automaton_bytes: int | None = None) -> Any:
    """The pattern in Latin-1, compiled once a process; see `latin_1`."""
    import re2

    return re2.compile(pattern, latin_1(automaton_bytes))


def latin_1(automaton_bytes: int | None = None) -> "re2.Options":
    """Options for such patterns. The automaton starts over when it outgrows `automaton_bytes`; None is RE2's 8 MB."""
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    if automaton_bytes is not None:
        options.max_mem = automaton_bytes
    return options
