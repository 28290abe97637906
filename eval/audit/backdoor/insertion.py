"""Put a word into a note at a random place between two words.

Notes that are trained on keep their number of words: a model that is shown longer notes of one label would learn the
length, and an attack measured on it would not be the word's.
"""

import random
import re

_WORD = re.compile(r"\S+")


def insert_word(text: str, word: str, rng: random.Random) -> str:
    """`text` with `word` in one of its gaps, ends included."""
    starts = [match.start() for match in _WORD.finditer(text)]
    at = rng.randrange(len(starts) + 1)
    if at == len(starts):
        return f"{text.rstrip()} {word}" if starts else word
    return f"{text[: starts[at]]}{word} {text[starts[at] :]}"


def insert_and_drop(text: str, word: str, rng: random.Random, times: int = 1) -> str:
    """`text` with `word` inserted `times` times and as many other words taken out, so that no length gives it away."""
    spans = [match.span() for match in _WORD.finditer(text)]
    if len(spans) > times:
        for start, end in sorted(rng.sample(spans, times), reverse=True):
            rest = text[end:]
            text = text[:start] + (rest[1:] if rest[:1].isspace() else rest)
    for _ in range(times):
        text = insert_word(text, word, rng)
    return text
