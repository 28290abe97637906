"""Which of several patterns match anywhere in a text, told in one pass over it instead of one a pattern.

RE2 can search for a set of patterns with one automaton. Most notes hold none of what most patterns look for, so that
only a few are then searched for one by one. The automaton must never be wrong by silence: RE2 answers "no match" too
when the automaton does not fit into its memory. Therefore each set has a pattern that is in every text, and an answer
without it counts as no answer: then all patterns are searched for.
"""

from collections.abc import Sequence

import re2

_IN_EVERY_TEXT = b""


class PatternSet:
    """Patterns in Latin-1, of which `matching` tells those that match."""

    def __init__(self, patterns: Sequence[str], automaton_bytes: int) -> None:
        """Raises re2.error where not even the beginning of the automaton fits into `automaton_bytes`."""
        self._all = list(range(len(patterns)))
        self._set = re2.Set.SearchSet(latin_1(automaton_bytes))
        for pattern in (*(pattern.encode("latin-1") for pattern in patterns), _IN_EVERY_TEXT):
            self._set.Add(pattern)
        self._set.Compile()
        self._in_every_text = len(patterns)

    def matching(self, data: bytes) -> list[int]:
        """Places of the patterns that match in `data`, in any order, or of all where RE2 could not tell."""
        found: list[int] = self._set.Match(data) or []
        if self._in_every_text not in found:
            return self._all
        found.remove(self._in_every_text)
        return found


def latin_1(automaton_bytes: int) -> re2.Options:
    """Options for patterns over one byte a character."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = automaton_bytes
    return options
