"""Held-out notes within a budget of bytes, a batch at a time: memory does not grow with the corpus.

A note is drawn or not by a hash of the seed and its id, so shards and their order do not matter.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow.compute as pc

from data_pipeline.manifest import iter_batches
from launch.console import track
from launch.errors import NotemillError
from tokenizer.sample import draw

HELD_OUT_SPLITS = ("valid", "test")
_NOTES_AT_ONCE = 256


class Note(NamedTuple):
    note_type: str
    patient_key: str
    text: str


@dataclass(frozen=True)
class HeldOut:
    """Which of the held-out notes are read: each with the probability `rate`."""

    corpus_dir: Path
    seed: int
    budget_bytes: int
    notes: int
    bytes: int
    rate: float

    def batches(self) -> Iterator[list[Note]]:
        """The notes that were drawn, a few hundred at a time; the same at each call."""
        columns = ("note_id", "note_type", "patient_key", "text")
        for split in HELD_OUT_SPLITS:
            for batch in iter_batches(self.corpus_dir, split, columns, _NOTES_AT_ONCE):
                rows = zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
                yield [Note(*row[1:]) for row in rows if self.rate >= 1 or draw(self.seed, row[0]) < self.rate]


def choose_held_out(corpus_dir: Path, budget_bytes: int, seed: int) -> HeldOut:
    """Measure the held-out notes and set the rate. Raises NotemillError when there are none."""
    notes = size = 0
    for split in HELD_OUT_SPLITS:
        for batch in track(iter_batches(corpus_dir, split, ("text",), 16_384), f"measuring {split} notes"):
            notes += batch.num_rows
            size += pc.sum(pc.binary_length(batch.column("text"))).as_py() or 0
    if not size:
        raise NotemillError(
            f"the corpus {corpus_dir} has no held-out notes: all are of patients in the train split; "
            "build it from the notes of more patients, or with larger shares in split.valid and split.test."
        )
    return HeldOut(corpus_dir, seed, budget_bytes, notes, size, min(1.0, budget_bytes / size))
