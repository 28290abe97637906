"""What the notes of a finished corpus are like: types and lengths, as counts for the manifest and the report."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from data_pipeline.manifest import ShardEntry, iter_shard

LENGTH_BOUNDS = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
"""Characters; a bin reaches from one bound up to, but not including, the next."""
MAX_TYPES = 30
MIN_NOTES_OF_A_TYPE = 10
"""A rarer note type is counted with the others: in some sources it is free text."""
OTHER = "(other)"


class SplitProfile(TypedDict):
    """Size of one split; characters of text."""

    notes: int
    characters: int


class Profile(TypedDict):
    """`lengths` has a count for the notes below each of `length_bounds` and one for those beyond the last."""

    splits: dict[str, SplitProfile]
    note_types: dict[str, int]
    length_bounds: list[int]
    lengths: list[int]


def profile_shards(corpus_dir: Path, shards: Sequence[ShardEntry]) -> Profile:
    """Read the shards once, in flat memory."""
    import numpy as np
    import pyarrow.compute as pc

    splits: dict[str, SplitProfile] = {}
    types: Counter[str] = Counter()
    lengths = np.zeros(len(LENGTH_BOUNDS) + 1, dtype=np.int64)
    for entry in shards:
        split = splits.setdefault(entry["split"], SplitProfile(notes=0, characters=0))
        for batch in iter_shard(corpus_dir, entry["path"], ("note_type", "text")):
            characters = pc.utf8_length(batch.column("text")).to_numpy(zero_copy_only=False)
            split["notes"] += batch.num_rows
            split["characters"] += int(characters.sum())
            bins = np.searchsorted(LENGTH_BOUNDS, characters, side="right")
            lengths += np.bincount(bins, minlength=len(lengths))
            types.update(batch.column("note_type").to_pylist())
    return Profile(
        splits=splits,
        note_types=_frequent(types),
        length_bounds=list(LENGTH_BOUNDS),
        lengths=[int(number) for number in lengths],
    )


def _frequent(types: Counter[str]) -> dict[str, int]:
    ranked = sorted(types.items(), key=lambda item: (-item[1], item[0]))
    shown = {name: number for name, number in ranked[:MAX_TYPES] if number >= MIN_NOTES_OF_A_TYPE}
    rest = sum(types.values()) - sum(shown.values())
    return shown | ({OTHER: rest} if rest else {})
