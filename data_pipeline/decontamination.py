"""Notes that hold passages of evaluation sets: told by runs of words that both have.

    evaluation texts ── every run of n words, hashed ──> one sorted index in the work folder
    a note's runs ── a bit table that rules out nearly all, then the index ──> which sets, which of their texts

The index holds hashes and numbers, no text. Notes are looked at as they are cleaned, before identifiers are replaced.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from data_pipeline.config import DecontaminationConfig
from data_pipeline.dedup.shingles import Hashes, batches, hash_words, shingles
from data_pipeline.files import atomic_write, sha256_json, write_json

_ENTRY_DTYPE = np.dtype([("hash", "<u8"), ("set", "<u4"), ("text", "<u4")])
_TABLE_BITS_AN_ENTRY = 16


@dataclass(frozen=True)
class EvaluationSet:
    """The texts of one set, all of its splits."""

    name: str
    texts: Sequence[str]


class Contamination(TypedDict):
    """What some notes share with one set."""

    notes: int
    texts: list[int]
    """Numbers of the set's texts that have a passage in one of the notes, sorted."""


class ContaminationRow(TypedDict):
    """One set in the manifest."""

    name: str
    texts: int
    texts_too_short: int
    """Texts with fewer words than a passage has, which cannot be found."""
    texts_found: int
    """Texts with a passage in some note."""
    notes: int
    """Notes that hold min_shared passages of the set, before duplicates went."""


class DecontaminationTable(TypedDict):
    """The manifest's `decontamination`."""

    action: str
    ngram_words: int
    min_shared: int
    sets: list[ContaminationRow]


@dataclass
class Found:
    """Which notes are contaminated, and by what."""

    notes: list[bool]
    by_set: dict[str, Contamination] = field(default_factory=dict)


def sets_sha256(sets: Sequence[EvaluationSet]) -> str:
    """Changes with every text; says nothing of it."""
    return sha256_json([list(item.texts) for item in sets])


def write_index(path: Path, sets: Sequence[EvaluationSet], num_words: int) -> None:
    """Write the index of all sets, and beside it a .json with their names and sizes."""
    entries = [np.empty(0, _ENTRY_DTYPE)]
    rows = []
    for number, item in enumerate(sets):
        first, found = 0, [np.empty(0, _ENTRY_DTYPE)]
        for batch in batches(item.texts):
            words = hash_words(batch)
            hashes, text_of = shingles(words, num_words)
            part = np.empty(len(hashes), _ENTRY_DTYPE)
            part["hash"], part["set"], part["text"] = hashes, number, text_of + first
            found.append(part)
            first += len(batch)
        entries.append(np.unique(np.concatenate(found)))
        rows.append([item.name, len(item.texts), len(item.texts) - len(np.unique(entries[-1]["text"]))])
    with atomic_write(path) as temporary:
        np.sort(np.concatenate(entries)).tofile(temporary)
    write_json(path.with_suffix(".json"), rows)


class EvaluationIndex:
    """The index in memory; a worker loads it once."""

    def __init__(self, path: Path) -> None:
        from data_pipeline.files import read_json

        self.entries = np.fromfile(path, _ENTRY_DTYPE)
        self.sets: list[tuple[str, int, int]] = [tuple(row) for row in read_json(path.with_suffix(".json"), "index")]
        self._hashes: Hashes = np.ascontiguousarray(self.entries["hash"])
        size = max(1 << 16, 1 << int(len(self.entries) * _TABLE_BITS_AN_ENTRY).bit_length())
        self._mask = np.uint64(size - 1)
        self._table = np.zeros(size, np.bool_)
        self._table[self._hashes & self._mask] = True

    def find(self, texts: Sequence[str], config: DecontaminationConfig) -> Found:
        """Notes among `texts` that share `min_shared` different passages with a set."""
        is_found = np.zeros(len(texts), np.bool_)
        notes_of: list[set[int]] = [set() for _ in self.sets]
        texts_of: list[set[int]] = [set() for _ in self.sets]
        first = 0
        for batch in batches(texts):
            note, entry = self._matches(batch, config.ngram_words)
            for number in np.unique(self.entries["set"][entry]):
                ours = self.entries["set"][entry] == number
                passages = np.unique(np.stack([note[ours], self._hashes[entry[ours]].view(np.int64)]), axis=1)
                notes, counts = np.unique(passages[0], return_counts=True)
                notes = notes[counts >= config.min_shared]
                is_found[notes + first] = True
                notes_of[number].update((notes + first).tolist())
                texts_of[number].update(self.entries["text"][entry[ours][np.isin(note[ours], notes)]].tolist())
            first += len(batch)
        by_set = {
            name: Contamination(notes=len(notes), texts=sorted(found))
            for (name, *_), notes, found in zip(self.sets, notes_of, texts_of, strict=True)
            if notes
        }
        return Found(is_found.tolist(), by_set)

    def _matches(self, batch: Sequence[str], num_words: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Pairs of a note of the batch and an entry of the index that share a passage."""
        hashes, note_of = shingles(hash_words(batch), num_words)
        maybe = self._table[hashes & self._mask]
        hashes, note_of = hashes[maybe], note_of[maybe]
        low = np.searchsorted(self._hashes, hashes, side="left")
        counts = np.searchsorted(self._hashes, hashes, side="right") - low
        # Entry numbers low, low+1, … of each match, without a loop over matches.
        ends = np.cumsum(counts)
        within = np.arange(int(counts.sum())) - np.repeat(ends - counts, counts)
        return np.repeat(note_of, counts), np.repeat(low, counts) + within


@lru_cache(maxsize=1)
def load_index(path: Path) -> EvaluationIndex:
    """The index of this build, loaded once a process."""
    return EvaluationIndex(path)


def contamination_table(
    path: Path, pieces: Sequence[dict[str, Contamination]], config: DecontaminationConfig
) -> DecontaminationTable:
    """The table over all pieces."""
    rows = []
    for name, num_texts, too_short in load_index(path).sets:
        found = [piece[name] for piece in pieces if name in piece]
        texts = {number for item in found for number in item["texts"]}
        rows.append(
            ContaminationRow(
                name=name,
                texts=num_texts,
                texts_too_short=too_short,
                texts_found=len(texts),
                notes=sum(item["notes"] for item in found),
            )
        )
    return DecontaminationTable(
        action=config.action, ngram_words=config.ngram_words, min_shared=config.min_shared, sets=rows
    )
