"""The word lists of this folder, each read once."""

import functools
from pathlib import Path


@functools.cache
def not_names() -> frozenset[str]:
    """Lower-case words that follow a title or a cue without being a name."""
    return frozenset(_read("not_names.txt"))


@functools.cache
def given_names() -> tuple[str, ...]:
    """Common given names, as written."""
    return tuple(_read("first_names.txt"))


@functools.cache
def ordinary_words() -> frozenset[str]:
    """Lower-case words that are also someone's name, such as walker or white."""
    return frozenset(_read("ordinary_words.txt")) | not_names()


def _read(file: str) -> list[str]:
    return (Path(__file__).parent / file).read_text(encoding="utf-8").split()
