"""Near-copies: which notes go because another, that stays or stands before, is the same for the most part.

    .notes + .bands of all pieces ── partitions by patient ──> within each patient, from the latest note back
        what stays ── partitions by band hash ──> across patients, from the first note on

Within a patient a note goes when a later note *that stays* is a near-copy of it, so a chain of daily notes that
drifts keeps a note wherever it has drifted far enough. Across patients a note goes when an earlier note, in the order
of the inputs, is a near-copy of it and has not gone itself so far. In the end no two notes that share a band are
near-copies, so a cluster never stands in two splits. With `across_patients=other_splits` a note goes only where the
earlier one is in another split.

Grouping is out of core: partitions of a fixed size are loaded one at a time, and for the whole corpus one byte a note
stays in memory. Patients are independent of each other and may be shared out among processes. Bands are gone through in
the order of their hashes: near-copies share many, and after the first of them one of the two is gone and is not read
again, which saves more than processes could.
"""

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_pipeline.config import DedupConfig
from data_pipeline.dedup.partitions import PARTITION_BYTES, Partitions
from data_pipeline.dedup.sketches import NOTE_DTYPE, SketchStore, bands_for, read_bands, read_notes

MAX_COMPARED = 256
"""A note is held against this many notes at most for each band it shares; beyond, against the nearest."""

_LOADED_NOTES = 1024
"""Notes of a band that are in memory at a time."""
_BUCKET_BITS = 8
_BUCKETS = 1 << _BUCKET_BITS
_MAX_COUNTED = (1 << 16) - 1
_BAND_DTYPE = np.dtype([("hash", "<u8"), ("position", "<u8")])
_PATIENTS_FOLDER, _BANDS_FOLDER = "patients", "bands"

Mask = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]

_opened: tuple[SketchStore, DedupConfig]
"""What a process that works on patients has opened."""


@dataclass(frozen=True)
class NearCopies:
    """Masks over the notes of all pieces, True for a note that goes; no note is in both."""

    within_patient: Mask
    across_patients: Mask


def find_near_copies(
    stems: Sequence[Path],
    is_candidate: Mask,
    config: DedupConfig,
    scratch: Path,
    num_workers: int = 1,
    partition_bytes: int = PARTITION_BYTES,
) -> NearCopies:
    """Near-copies among the notes of `is_candidate` [N]; `stems` are the pieces in the order of the inputs.

    `scratch` is a folder of its own, removed at the end. Neither `num_workers` nor `partition_bytes` changes the
    result.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    within, across = np.zeros_like(is_candidate), np.zeros_like(is_candidate)
    if config.within_patient:
        patients = _partition_by_patient(stems, is_candidate, config, scratch / _PATIENTS_FOLDER, partition_bytes)
        for positions in _run_within_patients(patients.paths, stems, config, num_workers):
            within[positions] = True
        patients.remove()
    bands = _partition_by_band(stems, is_candidate & ~within, config, scratch / _BANDS_FOLDER, partition_bytes)
    store = SketchStore(stems)
    for path in bands.paths:
        _drop_across_patients(path, store, across, config)
    store.close()
    shutil.rmtree(scratch)
    return NearCopies(within, across)


# ---- within a patient ------------------------------------------------------------------------------------------------


def _patient_dtype(config: DedupConfig) -> np.dtype:
    bands, _ = bands_for(config.jaccard)
    return np.dtype([("patient", "<u8"), ("order", "<i8"), ("position", "<u8"), ("bands", "<u8", (bands,))])


def _partition_by_patient(
    stems: Sequence[Path], is_candidate: Mask, config: DedupConfig, folder: Path, partition_bytes: int
) -> Partitions:
    dtype = _patient_dtype(config)
    partitions = Partitions(folder, dtype, int(is_candidate.sum()), partition_bytes)
    for stem, first, rows in _candidate_rows(stems, is_candidate):
        notes = read_notes(stem)[rows]
        records = np.empty(len(rows), dtype)
        records["patient"], records["order"] = notes["patient"], notes["order"]
        records["position"] = rows + first
        records["bands"] = read_bands(stem, config)[rows]
        partitions.add(records["patient"], records)
    partitions.flush()
    return partitions


def _run_within_patients(
    paths: Sequence[Path], stems: Sequence[Path], config: DedupConfig, num_workers: int
) -> Iterator[Positions]:
    if num_workers == 1 or len(paths) == 1:
        _open_store(stems, config)
        yield from map(_within_patients, paths)
        return
    # The list of pieces may be long: each process is told it once, and then only names of partitions.
    context = get_context("spawn")
    workers = min(num_workers, len(paths))
    with ProcessPoolExecutor(workers, context, initializer=_open_store, initargs=(stems, config)) as pool:
        yield from pool.map(_within_patients, paths)


def _open_store(stems: Sequence[Path], config: DedupConfig) -> None:
    global _opened
    _opened = (SketchStore(stems), config)


def _within_patients(path: Path) -> Positions:
    """Positions of the notes that go, in one partition of patients."""
    store, config = _opened
    records = np.fromfile(path, _patient_dtype(config))
    records = records[_shares_a_band(records)]
    # Latest first; of notes with the same date, or none, the one that the inputs hold last.
    records = records[np.lexsort((records["position"], records["order"]))[::-1]]
    records = records[np.argsort(records["patient"], kind="stable")]
    bounds = np.flatnonzero(np.diff(records["patient"], prepend=~records["patient"][:1])).tolist()
    gone = [
        position
        for low, high in pairwise([*bounds, len(records)])
        for position in _earlier_copies(records[low:high], store, config)
    ]
    store.close()
    return np.array(gone, np.int64)


def _shares_a_band(records: np.ndarray) -> Mask:
    """True for a note with a band that another note of its patient has too."""
    if not len(records):
        return np.empty(0, np.bool_)
    spread = records["patient"] * np.uint64(0x9E3779B97F4A7C15)
    keys = (records["bands"] ^ spread[:, None]).ravel()
    ordered = np.sort(keys)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    is_shared = _is_in(keys, repeated).reshape(records["bands"].shape) & (records["bands"] != 0)
    return is_shared.any(axis=1)


def _is_in(values: npt.NDArray[np.uint64], ordered: npt.NDArray[np.uint64]) -> Mask:
    if not len(ordered):
        return np.zeros(len(values), np.bool_)
    places = np.searchsorted(ordered, values)
    places[places == len(ordered)] = 0
    return ordered[places] == values


def _earlier_copies(records: np.ndarray, store: SketchStore, config: DedupConfig) -> Iterator[int]:
    """Of one patient's notes, latest first: those of which a later one that stays is a near-copy."""
    staying: dict[int, list[int]] = {}
    for position, bands in zip(records["position"].tolist(), records["bands"].tolist(), strict=True):
        rivals = {rival: None for band in bands if band for rival in staying.get(band, ())[-MAX_COMPARED:]}
        if any(store.are_near_copies(position, rival, config) for rival in rivals):
            yield position
            continue
        for band in bands:
            if band:
                staying.setdefault(band, []).append(position)


# ---- across patients -------------------------------------------------------------------------------------------------


def _partition_by_band(
    stems: Sequence[Path], is_candidate: Mask, config: DedupConfig, folder: Path, partition_bytes: int
) -> Partitions:
    bands, _ = bands_for(config.jaccard)
    partitions = Partitions(folder, _BAND_DTYPE, int(is_candidate.sum()) * bands, partition_bytes)
    for stem, first, rows in _candidate_rows(stems, is_candidate):
        records = np.empty((len(rows), bands), _BAND_DTYPE)
        records["hash"] = read_bands(stem, config)[rows]
        records["position"] = (rows + first)[:, None]
        flat = records.ravel()
        flat = flat[flat["hash"] != 0]
        partitions.add(flat["hash"], flat)
    partitions.flush()
    return partitions


def _drop_across_patients(path: Path, store: SketchStore, gone: Mask, config: DedupConfig) -> None:
    """Mark what goes, in one partition of bands, in `gone` [N]."""
    records = np.fromfile(path, _BAND_DTYPE)
    # Records were added in the order of the inputs, which a stable sort keeps.
    order = np.argsort(records["hash"], kind="stable")
    hashes, positions = records["hash"][order], records["position"][order].astype(np.int64)
    del records, order
    bounds = np.append(np.flatnonzero(np.diff(hashes, prepend=~hashes[:1]) != 0), len(hashes))
    groups = np.flatnonzero(np.diff(bounds) > 1)
    for low, high in zip(bounds[groups].tolist(), bounds[groups + 1].tolist(), strict=True):
        _drop_later_copies(positions[low:high], store, gone, config)


def _drop_later_copies(positions: Positions, store: SketchStore, gone: Mask, config: DedupConfig) -> None:
    """The same for notes that share a band, first ones first."""
    positions = positions[~gone[positions]]
    if len(positions) < 2:
        return
    last = None
    for first in range(0, len(positions), _LOADED_NOTES):
        group = _load(positions[first : first + _LOADED_NOTES], store)
        num_before = 0
        if last is not None:
            num_before = len(last.positions)
            group = _Group(*(np.concatenate(parts) for parts in zip(last.fields(), group.fields(), strict=True)))
        staying = _drop_in_group(group, num_before, store, gone, config)
        last = _Group(*(values[staying[-MAX_COMPARED:]] for values in group.fields()))


@dataclass(frozen=True)
class _Group:
    """Some notes that share a band, side by side."""

    positions: Positions
    records: np.ndarray
    buckets: npt.NDArray[np.uint16]
    """[N, _BUCKETS] How many of the note's word runs fall into each bucket: of two notes the smaller numbers, summed,
    are the most that they can have in common."""

    def fields(self) -> tuple[np.ndarray, ...]:
        return self.positions, self.records, self.buckets


def _load(positions: Positions, store: SketchStore) -> _Group:
    items = [store[position] for position in positions.tolist()]
    records = np.array([record for record, _ in items], NOTE_DTYPE)
    sizes = records["num_shingles"].astype(np.int64)
    places = np.concatenate([sketch.shingles >> np.uint32(32 - _BUCKET_BITS) for _, sketch in items]).astype(np.int64)
    places += np.repeat(np.arange(len(items)) << _BUCKET_BITS, sizes)
    buckets = np.bincount(places, minlength=len(items) << _BUCKET_BITS).reshape(len(items), _BUCKETS)
    # The other's word runs are the bound for a note with more than can be counted.
    buckets[sizes > _MAX_COUNTED] = _MAX_COUNTED
    return _Group(positions, records, buckets.astype(np.uint16))


def _drop_in_group(group: _Group, num_before: int, store: SketchStore, gone: Mask, config: DedupConfig) -> list[int]:
    """Mark what goes, of the notes from place `num_before` on; the places of those that stay."""
    patients, splits = group.records["patient"], group.records["split"]
    sizes = group.records["num_shingles"].astype(np.int64)
    only_other_splits = config.across_patients == "other_splits"
    staying = list(range(num_before))
    for place in range(num_before, len(sizes)):
        rivals = np.array(staying[-MAX_COMPARED:], np.int64)
        small, large = np.minimum(sizes[rivals], sizes[place]), np.maximum(sizes[rivals], sizes[place])
        may_be = (patients[rivals] != patients[place]) & (small >= config.jaccard * large)
        if only_other_splits:
            may_be &= splits[rivals] != splits[place]
        rivals, small, total = rivals[may_be], small[may_be], (small + large)[may_be]
        if len(rivals):
            # Sums of 16 bits are many times faster, and large enough unless both notes have more.
            counted = np.minimum(group.buckets[rivals], group.buckets[place]).sum(axis=1, dtype=np.uint16)
            most_common = np.where(small > _MAX_COUNTED, small, counted.astype(np.int64))
            rivals = rivals[most_common >= config.jaccard * (total - most_common)]
        position = int(group.positions[place])
        if any(store.are_near_copies(position, rival, config) for rival in group.positions[rivals].tolist()):
            gone[position] = True
        else:
            staying.append(place)
    return staying


def _candidate_rows(stems: Sequence[Path], is_candidate: Mask) -> Iterator[tuple[Path, int, Positions]]:
    """For each piece the position of its first note, and the rows of its candidates."""
    first = 0
    for stem in stems:
        size = len(read_notes(stem))
        rows = np.flatnonzero(is_candidate[first : first + size])
        if len(rows):
            yield stem, first, rows
        first += size
    assert first == len(is_candidate), (first, len(is_candidate))
