"""What near-copies are found by: for each note some band hashes to find candidates and its word runs to verify them.

A piece has three files: `.notes` (NOTE_DTYPE, one record a note), `.bands` (B hashes a note) and `.shingles` (32 bits
for each different run of words, then for each different number, note after note). Two notes are candidates when they
share a band, which notes at the threshold do with a probability of CANDIDATE_PROBABILITY at least, and more alike
ones almost surely. What is verified is the true Jaccard of their runs, not an estimate.
"""

import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_pipeline.config import DedupConfig
from data_pipeline.dedup.shingles import Hashes, batches, distinct, hash_words, numbers, shingles
from data_pipeline.files import atomic_write

NUM_PERMUTATIONS = 128
CANDIDATE_PROBABILITY = 0.995
MIN_SHINGLES = 8
"""Shorter notes have only exact copies."""
NOTE_DTYPE = np.dtype(
    [
        ("patient", "<u8"),
        ("order", "<i8"),
        ("split", "u1"),
        ("start", "<u8"),
        ("num_shingles", "<u4"),
        ("num_numbers", "<u4"),
    ]
)
"""`start` is where the note's values begin in .shingles."""

_SEED = 20220103
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_MAX_OPEN_FILES = 128
_CACHE_BYTES = 1 << 26
_MAX_KNOWN = 200_000


@dataclass(frozen=True)
class NoteKeys:
    """What a note is compared by beside its text."""

    patient_key: str
    order: int
    split: int


@dataclass(frozen=True)
class Sketch:
    """One note's sets, each sorted."""

    shingles: npt.NDArray[np.uint32]
    numbers: npt.NDArray[np.uint32]


@lru_cache(maxsize=8)
def bands_for(jaccard: float) -> tuple[int, int]:
    """Bands and rows of each: the most selective with which CANDIDATE_PROBABILITY is reached at `jaccard`."""
    for rows in range(NUM_PERMUTATIONS, 1, -1):
        bands = NUM_PERMUTATIONS // rows
        if 1 - (1 - jaccard**rows) ** bands >= CANDIDATE_PROBABILITY:
            return bands, rows
    return NUM_PERMUTATIONS, 1


def piece_file(stem: Path, ending: str) -> Path:
    """One of the files of a piece; `stem` is their path without ending."""
    return stem.with_name(f"{stem.name}.{ending}")


def write_sketches(stem: Path, texts: Sequence[str], keys: Sequence[NoteKeys], config: DedupConfig) -> None:
    """Write the three files of a piece; `stem` is their path without ending."""
    records = np.zeros(len(texts), NOTE_DTYPE)
    records["patient"] = [int(item.patient_key[:16], 16) for item in keys]
    records["order"] = [item.order for item in keys]
    records["split"] = [item.split for item in keys]
    bands: list[Hashes] = []
    values: list[npt.NDArray[np.uint32]] = []
    first = size = 0
    for batch in batches(texts):
        words = hash_words(batch)
        runs, run_starts = distinct(*shingles(words, config.shingle_words), words.num_texts)
        figures, figure_starts = distinct(*numbers(words), words.num_texts)
        bands.append(_bands(runs, run_starts, config.jaccard))
        own = slice(first, first + len(batch))
        records["num_shingles"][own], records["num_numbers"][own] = np.diff(run_starts), np.diff(figure_starts)
        records["start"][own] = size + run_starts[:-1] + figure_starts[:-1]
        values.append(_note_by_note(runs, run_starts, figures, figure_starts))
        size += len(runs) + len(figures)
        first += len(batch)
    num_bands, _ = bands_for(config.jaccard)
    for ending, array in (
        ("notes", records),
        ("bands", np.concatenate([np.empty((0, num_bands), np.uint64), *bands])),
        ("shingles", np.concatenate([np.empty(0, np.uint32), *values])),
    ):
        with atomic_write(piece_file(stem, ending)) as temporary:
            array.tofile(temporary)


def _note_by_note(
    runs: npt.NDArray[np.uint32], run_starts: Hashes, figures: npt.NDArray[np.uint32], figure_starts: Hashes
) -> npt.NDArray[np.uint32]:
    """The runs of the first note, then its numbers, then the runs of the second."""
    values = np.empty(len(runs) + len(figures), np.uint32)
    before_runs, before_figures = figure_starts[:-1].astype(np.int64), run_starts[1:].astype(np.int64)
    values[np.arange(len(runs)) + np.repeat(before_runs, np.diff(run_starts).astype(np.int64))] = runs
    values[np.arange(len(figures)) + np.repeat(before_figures, np.diff(figure_starts).astype(np.int64))] = figures
    return values


def read_notes(stem: Path) -> np.ndarray:
    """The records of a piece, NOTE_DTYPE [N]."""
    return np.fromfile(piece_file(stem, "notes"), NOTE_DTYPE)


def read_bands(stem: Path, config: DedupConfig) -> Hashes:
    """The band hashes of a piece [N, B]. Equal hashes are of the same band."""
    return np.fromfile(piece_file(stem, "bands"), np.uint64).reshape(-1, bands_for(config.jaccard)[0])


def are_near_copies(one: Sketch, other: Sketch, config: DedupConfig) -> bool:
    """Whether the Jaccard of the word runs and the share of common numbers reach the thresholds."""
    small, large = sorted((len(one.shingles), len(other.shingles)))
    if small < MIN_SHINGLES or small < config.jaccard * large:
        return False
    fewer = min(len(one.numbers), len(other.numbers))
    if fewer and _num_common(one.numbers, other.numbers) < config.numbers * fewer:
        return False
    common = _num_common(one.shingles, other.shingles)
    return common >= config.jaccard * (small + large - common)


class SketchStore:
    """Sketches of all pieces by a note's position in the corpus, read from disk as they are asked for."""

    def __init__(self, stems: Sequence[Path]) -> None:
        self._stems = stems
        sizes = [piece_file(stem, "notes").stat().st_size // NOTE_DTYPE.itemsize for stem in stems]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._files: OrderedDict[tuple[int, str], int] = OrderedDict()
        self._cache: OrderedDict[int, tuple[np.void, Sketch]] = OrderedDict()
        self._cached_bytes = 0
        self._known: dict[tuple[int, int], bool] = {}

    def __getitem__(self, position: int) -> tuple[np.void, Sketch]:
        """The record and the sketch of a note."""
        found = self._cache.get(position)
        if found is not None:
            self._cache.move_to_end(position)
            return found
        found = self._read(position)
        self._cache[position] = found
        self._cached_bytes += _size(found)
        while self._cached_bytes > _CACHE_BYTES:
            self._cached_bytes -= _size(self._cache.popitem(last=False)[1])
        return found

    def are_near_copies(self, one: int, other: int, config: DedupConfig) -> bool:
        """The same as the function of this name; near-copies share many bands, so answers are kept for a while."""
        found = self._known.get((one, other))
        if found is None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            found = self._known[one, other] = are_near_copies(self[one][1], self[other][1], config)
        return found

    def close(self) -> None:
        """Forget what was read and close the files; a store that is asked again opens them again."""
        self._cache.clear()
        self._known.clear()
        self._cached_bytes = 0
        while self._files:
            os.close(self._files.popitem()[1])

    def _read(self, position: int) -> tuple[np.void, Sketch]:
        piece = int(np.searchsorted(self._starts, position, side="right")) - 1
        row = position - int(self._starts[piece])
        data = os.pread(self._file(piece, "notes"), NOTE_DTYPE.itemsize, row * NOTE_DTYPE.itemsize)
        record = np.frombuffer(data, NOTE_DTYPE)[0]
        count = int(record["num_shingles"]) + int(record["num_numbers"])
        values = np.frombuffer(os.pread(self._file(piece, "shingles"), 4 * count, 4 * int(record["start"])), np.uint32)
        return record, Sketch(values[: record["num_shingles"]], values[record["num_shingles"] :])

    def _file(self, piece: int, ending: str) -> int:
        descriptor = self._files.get((piece, ending))
        if descriptor is None:
            descriptor = self._files[piece, ending] = os.open(piece_file(self._stems[piece], ending), os.O_RDONLY)
            if len(self._files) > _MAX_OPEN_FILES:
                os.close(self._files.popitem(last=False)[1])
        self._files.move_to_end((piece, ending))
        return descriptor


def _bands(runs: npt.NDArray[np.uint32], starts: Hashes, jaccard: float) -> Hashes:
    """Band hashes [N, B] of N sets; those of a set too small to compare are unlike any other."""
    from rensa import RMinHash

    num_bands, rows = bands_for(jaccard)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        runs.astype(np.uint64) * _SPREAD, starts, NUM_PERMUTATIONS, _SEED
    )
    signatures = np.array(matrix.to_rows(), np.uint64).reshape(-1, NUM_PERMUTATIONS)
    hashes = np.broadcast_to(np.arange(num_bands, dtype=np.uint64) * _SPREAD, (len(signatures), num_bands)).copy()
    for row in range(rows):
        hashes ^= signatures[:, row : num_bands * rows : rows]
        hashes *= _SPREAD
        hashes ^= hashes >> np.uint64(29)
    hashes[np.diff(starts) < MIN_SHINGLES] = 0
    return hashes


def _num_common(one: npt.NDArray[np.uint32], other: npt.NDArray[np.uint32]) -> int:
    """How many values two sorted sets share."""
    if len(one) > len(other):
        one, other = other, one
    if not len(one):
        return 0
    places = other.searchsorted(one)
    places[places == len(other)] = 0
    return int(np.count_nonzero(other[places] == one))


def _size(item: tuple[np.void, Sketch]) -> int:
    return item[1].shingles.nbytes + item[1].numbers.nbytes + 512
