"""Which of several patterns match anywhere in a text, told in one pass over it instead of one a pattern.

RE2 can search for a set of patterns with one automaton. Most notes hold none of what most patterns look for, so that
only a few are then searched for one by one. The automaton must never be wrong by silence: RE2 answers "no match" too
when the automaton does not fit into its memory. Therefore each set has a pattern that is in every text, and an answer
without it counts as no answer: then all patterns are searched for.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import re2

from data_pipeline.byte_patterns import latin_1

_IN_EVERY_TEXT = b""

Search: TypeAlias = Callable[[bytes, int], tuple[int, int] | None]
"""From a text and a place to start at to where the next match begins and ends."""


class PatternSet:
    """Patterns in Latin-1, of which `matching` tells those that match."""

    def __init__(self, patterns: Sequence[str], automaton_bytes: int) -> None:
        """Raises re2.error where not even the beginning of the automaton fits into `automaton_bytes`."""
        self._all = list(range(len(patterns)))
        together = re2.Set.SearchSet(latin_1(automaton_bytes))
        for pattern in (*(pattern.encode("latin-1") for pattern in patterns), _IN_EVERY_TEXT):
            together.Add(pattern)
        together.Compile()
        self._set = compiled_object(together, "_set")
        self._in_every_text = len(patterns)

    def matching(self, data: bytes) -> list[int]:
        """Places of the patterns that match in `data`, in any order, or of all where RE2 could not tell."""
        found: list[int] = self._set.Match(data) or []
        if self._in_every_text not in found:
            return self._all
        found.remove(self._in_every_text)
        return found


def searcher(pattern: str, automaton_bytes: int) -> Search:
    """Search for one pattern in Latin-1."""
    wrapper = re2.compile(pattern.encode("latin-1"), latin_1(automaton_bytes))
    regexp = compiled_object(wrapper, "_regexp")
    if regexp is wrapper:

        def search(text: bytes, start: int) -> tuple[int, int] | None:
            found = wrapper.search(text, start)
            return found.span() if found else None

        return search
    match, unanchored = regexp.Match, re2._Anchor.UNANCHORED

    def search_directly(text: bytes, start: int) -> tuple[int, int] | None:
        span: tuple[int, int] = match(unanchored, text, start, len(text))[0]
        return span if span[0] >= 0 else None

    return search_directly


def compiled_object(wrapper: Any, name: str) -> Any:
    """What the package wraps in Python, which costs as much as a search in a note; the wrapper where it has no such."""
    return getattr(wrapper, name, wrapper)
