"""What the task generators share: three splits without a common text, drawn from patients with held-out terms."""

import random
from collections.abc import Callable
from typing import TypeVar

from data_pipeline.invented.lexicon import Lexicon
from data_pipeline.invented.patients import Facts
from data_pipeline.invented.span_text import SpanText
from data_pipeline.invented.statements import choose_slots, state
from data_pipeline.invented.templates import SPLITS, Split

RowT = TypeVar("RowT")
_MAX_TRIES = 400

_OPENINGS = (
    "[**NAME**] was seen on [**DATE**].",
    "[**DATE**]: seen by Dr. [**NAME**].",
    "[**AGE**] year-old transferred from [**LOCATION**].",
    "MRN [**MRN**].",
    "Patient of Dr. [**NAME**].",
    "Seen at [**HOSPITAL**] on [**DATE**].",
)


def make_splits(
    seed: str,
    sizes: tuple[int, int, int],
    make: Callable[[random.Random, Split], RowT | None],
    text_of: Callable[[RowT], str],
) -> dict[Split, list[RowT]]:
    """`sizes` rows for train, dev and test; no two rows of any split share a text. None from `make` is tried again."""
    seen: set[str] = set()
    splits: dict[Split, list[RowT]] = {}
    for split, size in zip(SPLITS, sizes, strict=True):
        rng = random.Random(f"{seed}/{split}")
        rows: list[RowT] = []
        for _ in range(size * _MAX_TRIES):
            if len(rows) == size:
                break
            row = make(rng, split)
            if row is not None and text_of(row) not in seen:
                seen.add(text_of(row))
                rows.append(row)
        assert len(rows) == size, f"{seed}/{split}: only {len(rows)} different rows"
        splits[split] = rows
    return splits


def write_statements(
    rng: random.Random, lexicon: Lexicon, facts: Facts, kinds: list[str], split: Split, out: SpanText
) -> list[tuple[str, dict[str, str]]]:
    """One statement a kind into `out`, spaces between; gives back what was told. Kinds without a fact are left out."""
    told = []
    for kind in kinds:
        slots = choose_slots(rng, kind, facts, lexicon)
        if slots is None:
            continue
        if len(out):
            out.write(" " if rng.random() < 0.8 else "\n")
        state(out, kind, slots, rng, lexicon, split)
        told.append((kind, slots))
    return told


def write_opening(rng: random.Random, out: SpanText, share: float = 0.6) -> None:
    """Now and then a first sentence with placeholders."""
    if rng.random() < share:
        out.write(rng.choice(_OPENINGS))
