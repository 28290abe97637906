"""Say a note in other words without another fact: synonyms, abbreviations, the order of listed items and of clauses.

A rule paraphraser, so that it can be read and argued with, runs offline and never invents: every figure, every negation
and every finding of the note is in the paraphrase (tests count them). What it cannot say otherwise stays as it is.
"""

import random
import re
from functools import lru_cache
from pathlib import Path

import yaml

_SENTENCE = re.compile(r"(?<=[.;])[ \t]+(?=[A-Z])")
_ITEM = r"[a-z][a-z-]*(?: [a-z-]+){0,2}"
_LIST = re.compile(rf"(?<![\w,])({_ITEM}(?:, {_ITEM})+),? (and|or) ([a-z-]+)(?=[.;:,\n]|$)")
_LIST_OPENERS = frozenset(
    ("no", "denies", "without", "with", "of", "for", "has", "had", "reports", "including", "positive", "negative")
)
"""Words that a list hangs on as a whole; an adjective before a list belongs to its first item only."""
_STAYS_IN_PLACE = re.compile(
    r"^(?:he|she|it|they|this|that|these|those|his|her|its|their|then|there|also|however|but|therefore|thus|after|"
    r"afterwards|subsequently|later|both|such|which|and|or|so)\b|\b(?:was|were|had|did|underwent|then|now|\w+ed)\b",
    re.IGNORECASE,
)
"""A statement that carries on from the one before it, or tells what happened, in an order that is a fact itself."""
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        "the a an is are was were has had have with without no not of to in on at for from by as that this who which",
    )
)
SUBSTITUTED = 0.5
"""Share of the phrases that can be said otherwise that a paraphrase does say otherwise."""


def paraphrase(text: str, rng: random.Random) -> str:
    """One paraphrase; equal to `text` where no rule applies."""
    lines = [_reorder_sentences(_reorder_lists(line, rng), rng) for line in text.split("\n")]
    return _substitute("\n".join(lines), rng)


def paraphrases(text: str, count: int, seed: int) -> list[str]:
    """Up to `count` different paraphrases, none equal to `text`; fewer, or none, where the rules give no more."""
    rng = random.Random(seed)
    found: dict[str, None] = {}
    for _ in range(4 * count):
        other = paraphrase(text, rng)
        if other != text:
            found.setdefault(other)
        if len(found) == count:
            break
    return list(found)


def _substitute(text: str, rng: random.Random) -> str:
    pattern, sets = _phrases()

    def other(match: re.Match[str]) -> str:
        phrase = match.group()
        if rng.random() > SUBSTITUTED:
            return phrase
        choices = [item for item in sets[phrase.lower()] if item.lower() != phrase.lower()]
        chosen = rng.choice(choices)
        return chosen[0].upper() + chosen[1:] if phrase[0].isupper() and not phrase[1:2].isupper() else chosen

    return pattern.sub(other, text)


def _reorder_lists(line: str, rng: random.Random) -> str:
    """Items of "fever, chills or cough" in another order, where each is one to three plain words."""

    def other(match: re.Match[str]) -> str:
        comma = "," if f", {match.group(2)} " in match.group() else ""
        *opening, first = match.group(1).split(", ")[0].split()
        items = [first, *match.group(1).split(", ")[1:], match.group(3)]
        before = match.string[: match.start()].rstrip()
        opens = opening[-1] in _LIST_OPENERS if opening else not before or before[-1] in ":;."
        # In "left arm and leg" the adjective may go with both.
        is_plain = bool(comma) or len(items[-2].split()) == 1
        if not opens or not is_plain or any(word in _FUNCTION_WORDS for item in items for word in item.split()):
            return match.group()
        rng.shuffle(items)
        return " ".join([*opening, f"{', '.join(items[:-1])}{comma} {match.group(2)} {items[-1]}"])

    return _LIST.sub(other, line)


def _reorder_sentences(line: str, rng: random.Random) -> str:
    """Neighbouring statements of a line change places unless one of them must stay in its place."""
    parts = _SENTENCE.split(line)
    place = 1
    while place < len(parts) - 1:
        one, other = parts[place], parts[place + 1]
        free = not any(_STAYS_IN_PLACE.search(part) for part in parts[place : place + 3])
        if free and one.endswith(".") and other.endswith(".") and rng.random() < 0.5:
            parts[place], parts[place + 1] = other, one
            place += 1
        place += 1
    return " ".join(parts)


@lru_cache(maxsize=1)
def _phrases() -> tuple[re.Pattern[str], dict[str, list[str]]]:
    sets = yaml.safe_load(Path(__file__).with_name("paraphrases.yaml").read_text(encoding="utf-8"))
    by_phrase = {phrase.lower(): group for group in sets for phrase in group}
    longest_first = sorted(by_phrase, key=len, reverse=True)
    # Abbreviations in upper case are only read as such: "ED" is no ending and "it" no IT.
    abbreviations = {phrase for group in sets for phrase in group if phrase.isupper()}
    alternatives = [
        re.escape(next(a for a in abbreviations if a.lower() == phrase))
        if phrase.upper() in abbreviations
        else f"(?i:{re.escape(phrase)})"
        for phrase in longest_first
    ]
    return re.compile(rf"(?<![\w/-])(?:{'|'.join(alternatives)})(?![\w/-])"), by_phrase
