"""Sentence templates: free choices `(a|b)`, slots `{role1}`, and the hurry of the writer.

`sentences.yaml` holds one fact's sentences by kind. Rendering writes into a SpanText, which records every slot.
"""

import functools
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from data_pipeline.invented.lexicon import load_lexicon, load_yaml
from data_pipeline.invented.span_text import SpanText, mistype

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")

HELD_OUT_TEMPLATE = 4
"""Every fourth template of a kind is for test splits."""

_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Slot:
    surface: str
    concept: str = ""
    is_recorded: bool = True
    """False for text that nobody asks for, such as a route."""


@dataclass(frozen=True)
class Hand:
    """How a writer writes. Probabilities are per piece of literal text."""

    shorthand: float = 0.0
    typos: float = 0.0
    lower: bool = False
    """Everything in lower case, names too."""


NEAT = Hand()


def sentence_templates(kind: str) -> tuple[str, ...]:
    return _sentences()[kind]


def choose_template(rng: random.Random, kind: str, split: Split | None = None) -> str:
    """A template of `kind`. Train and dev never see held-out ones; test sees them half of the time; None sees all."""
    known, held_out = _by_split(kind)
    if split is None:
        return rng.choice(sentence_templates(kind))
    return rng.choice(held_out if split == "test" and held_out and rng.random() < 0.5 else known)


def resolve_choices(rng: random.Random, template: str) -> str:
    """Make every free choice of a template."""
    return _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), template)


def render(out: SpanText, template: str, fill: Callable[[str], Slot], rng: random.Random, hand: Hand = NEAT) -> None:
    """Write `template` into `out`; `fill` gives the slot's surface. One call is one statement."""
    out.statement += 1
    pieces = _SLOT.split(resolve_choices(rng, template))
    for i, piece in enumerate(pieces):
        if i % 2 == 0:
            out.write(_write_by_hand(piece, rng, hand))
            continue
        slot = fill(piece)
        surface = slot.surface.lower() if hand.lower else slot.surface
        if surface and not hand.lower and out.at_sentence_start:
            surface = surface[0].upper() + surface[1:]
        if slot.is_recorded:
            out.mention(surface, piece, slot.concept)
        else:
            out.write(surface)


def _write_by_hand(text: str, rng: random.Random, hand: Hand) -> str:
    if hand.shorthand and rng.random() < hand.shorthand:
        pattern, short = _shorthand()
        text = pattern.sub(lambda match: short[match[0].lower()], text)
    if hand.typos and rng.random() < hand.typos:
        text = mistype(rng, text)
    return text.lower() if hand.lower else text


@functools.lru_cache(maxsize=1)
def _sentences() -> dict[str, tuple[str, ...]]:
    return {kind: tuple(lines) for kind, lines in load_yaml("sentences.yaml").items()}


@functools.cache
def _by_split(kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    lines = sentence_templates(kind)
    held_out = lines[HELD_OUT_TEMPLATE - 1 :: HELD_OUT_TEMPLATE]
    return tuple(line for line in lines if line not in held_out), held_out


@functools.lru_cache(maxsize=1)
def _shorthand() -> tuple[re.Pattern[str], dict[str, str]]:
    short: dict[str, str] = load_lexicon().words["shorthand"]
    longest_first = sorted(short, key=len, reverse=True)
    return re.compile(r"\b(" + "|".join(map(re.escape, longest_first)) + r")\b", re.IGNORECASE), short
