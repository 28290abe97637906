"""Which training notes a tokenizer learns from: a seeded sample, stratified by source and note type.

Notes of a hospital are unevenly spread: half may be nursing notes. Each stratum gets a share of the byte budget in
proportion to its size raised to `smoothing` (1 keeps proportions, 0 treats strata alike), and none more than it has.
Whether a note is taken depends on (seed, note_id) and its stratum's rate alone; shards and their order do not matter.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from data_pipeline.manifest import iter_batches
from launch.console import track

Stratum = tuple[str, str]
"""(source, note_type)"""


@dataclass(frozen=True)
class Sample:
    """Rates by stratum, and what they came from."""

    corpus_dir: Path
    seed: int
    rates: dict[Stratum, float]
    bytes_of_stratum: dict[Stratum, int]

    def texts(self) -> Iterator[str]:
        """The texts of the notes that were drawn, the same at each call."""
        for batch in iter_batches(self.corpus_dir, "train", ("note_id", "source", "note_type", "text")):
            columns = (batch.column(name).to_pylist() for name in ("note_id", "source", "note_type", "text"))
            for note_id, source, note_type, text in zip(*columns, strict=True):
                rate = self.rates[source, note_type]
                if rate >= 1.0 or draw(self.seed, note_id) < rate:
                    yield text


def draw_sample(corpus_dir: Path, *, budget_bytes: int, smoothing: float, seed: int) -> Sample:
    """Read the sizes of the train split's notes and set each stratum's rate."""
    sizes: Counter[Stratum] = Counter()
    for batch in track(iter_batches(corpus_dir, "train", ("source", "note_type", "text"), 16_384), "measuring notes"):
        lengths = pc.binary_length(batch.column("text")).to_pylist()
        strata = zip(batch.column("source").to_pylist(), batch.column("note_type").to_pylist(), strict=True)
        for stratum, length in zip(strata, lengths, strict=True):
            sizes[stratum] += length
    shares = share_budget(dict(sizes), budget_bytes, smoothing)
    rates = {stratum: shares[stratum] / size if size else 1.0 for stratum, size in sizes.items()}
    return Sample(corpus_dir, seed, rates, dict(sizes))


def share_budget(sizes: dict[Stratum, int], budget: int, smoothing: float) -> dict[Stratum, float]:
    """Bytes for each stratum: proportional to size**smoothing, at most its size; what one leaves goes to the others."""
    shares: dict[Stratum, float] = {}
    open_strata, left = dict(sorted(sizes.items())), float(budget)
    while open_strata:
        weights = {stratum: size**smoothing for stratum, size in open_strata.items()}
        per_weight = left / max(sum(weights.values()), 1e-9)
        filled = [stratum for stratum, size in open_strata.items() if weights[stratum] * per_weight >= size]
        if not filled:
            return shares | {stratum: weight * per_weight for stratum, weight in weights.items()}
        for stratum in filled:
            shares[stratum] = float(open_strata.pop(stratum))
            left -= shares[stratum]
    return shares


def draw(seed: int, note_id: str) -> float:
    """A number from 0 to 1 that follows from the seed and the note alone."""
    digest = hashlib.blake2b(f"{seed}\0{note_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
