"""Paragraphs that a patient's later note copies from an earlier one.

    .paragraphs of all pieces ── partitions by patient ──> (note, paragraph) that an earlier note has
        ── partitions in the order of the corpus ──> taken out as the shards are written

A paragraph is what stands between blank lines; in a note without any, a line. Equal means equal but for case and
spacing. A note of which every paragraph stands in earlier notes is nothing new and goes as a whole.
"""

import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_pipeline.config import DedupConfig
from data_pipeline.dedup.exact import DIGEST_BYTES
from data_pipeline.dedup.partitions import PARTITION_BYTES, Partitions, partition_of
from data_pipeline.dedup.sketches import NoteKeys, piece_file
from data_pipeline.files import atomic_write

_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_LINE = re.compile(r"\n")
_RECORD_DTYPE = np.dtype(
    [
        ("patient", "<u8"),
        ("hash", "<u8"),
        ("order", "<i8"),
        ("position", "<u8"),
        ("paragraph", "<u4"),
        ("words", "<u4"),
        ("in_note", "<u4"),
    ]
)
"""`in_note` is the number of paragraphs in the note. In a piece `position` counts its notes, in a partition all."""
_REMOVED_DTYPE = np.dtype([("position", "<u8"), ("paragraph", "<u4")])


def paragraph_spans(text: str) -> list[tuple[int, int]]:
    """[start, end) of each paragraph, with the line ends behind it; together they are the text."""
    separator = _BLANK_LINES if _BLANK_LINES.search(text) else _LINE
    starts = [0, *(match.end() for match in separator.finditer(text))]
    return [(start, end) for start, end in zip(starts, [*starts[1:], len(text)], strict=True) if start < end]


def without_paragraphs(text: str, removed: Sequence[int]) -> str:
    """`text` without the paragraphs of these numbers."""
    gone = set(removed)
    return "".join(text[start:end] for i, (start, end) in enumerate(paragraph_spans(text)) if i not in gone).rstrip()


def write_paragraphs(stem: Path, texts: Sequence[str], keys: Sequence[NoteKeys]) -> None:
    """Write the .paragraphs of a piece."""
    rows = []
    for position, (text, key) in enumerate(zip(texts, keys, strict=True)):
        patient = int(key.patient_key[:16], 16)
        spans = paragraph_spans(text)
        for index, (start, end) in enumerate(spans):
            words = text[start:end].casefold().split()
            digest = hashlib.blake2b(" ".join(words).encode("utf-8", errors="surrogatepass"), digest_size=8).digest()
            rows.append((patient, int.from_bytes(digest), key.order, position, index, len(words), len(spans)))
    with atomic_write(_file(stem)) as temporary:
        np.array(rows, _RECORD_DTYPE).tofile(temporary)


@dataclass
class CopiedParagraphs:
    """What is to be taken out of notes, and which notes go as a whole."""

    is_copied: npt.NDArray[np.bool_]
    """[N] True for a note that earlier notes of its patient hold in whole."""
    removed: Partitions

    def of_notes(self, first: int, count: int) -> dict[int, list[int]]:
        """Numbers of the paragraphs to remove, by row, for `count` notes from position `first` on."""
        if count == 0:
            return {}
        low, high = self._partition_of(first), self._partition_of(first + count - 1)
        records = np.concatenate([np.fromfile(path, _REMOVED_DTYPE) for path in self.removed.paths[low : high + 1]])
        records = records[(records["position"] >= first) & (records["position"] < first + count)]
        found: dict[int, list[int]] = {}
        for position, paragraph in records.tolist():
            found.setdefault(position - first, []).append(paragraph)
        return found

    def _partition_of(self, position: int) -> int:
        key = _position_keys(np.array([position], np.uint64), len(self.is_copied))
        return int(partition_of(key, len(self.removed.paths))[0])


def find_copied_paragraphs(
    stems: Sequence[Path],
    is_candidate: npt.NDArray[np.bool_],
    config: DedupConfig,
    scratch: Path,
    partition_bytes: int = PARTITION_BYTES,
) -> CopiedParagraphs:
    """Paragraphs of the notes of `is_candidate` [N] that an earlier such note of the same patient holds.

    The result refers to files in `scratch`, which is the caller's to remove.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    expected = sum(_file(stem).stat().st_size // _RECORD_DTYPE.itemsize for stem in stems)
    patients = Partitions(scratch / "patients", _RECORD_DTYPE, expected, partition_bytes)
    first = 0
    for stem, size in zip(stems, _sizes(stems), strict=True):
        records = np.fromfile(_file(stem), _RECORD_DTYPE)
        records["position"] += np.uint64(first)
        records = records[is_candidate[records["position"]]]
        patients.add(records["patient"].copy(), records)
        first += size
    patients.flush()
    found = CopiedParagraphs(
        np.zeros_like(is_candidate), Partitions(scratch / "removed", _REMOVED_DTYPE, expected, partition_bytes)
    )
    for path in patients.paths:
        _find_in_partition(np.fromfile(path, _RECORD_DTYPE), found, config)
    found.removed.flush()
    patients.remove()
    return found


def _find_in_partition(records: np.ndarray, found: CopiedParagraphs, config: DedupConfig) -> None:
    order = ("paragraph", "position", "order", "hash", "patient")
    records = records[np.lexsort([records[name] for name in order])]
    if not len(records):
        return
    is_new = (np.diff(records["patient"], prepend=~records["patient"][:1]) != 0) | (
        np.diff(records["hash"], prepend=~records["hash"][:1]) != 0
    )
    first_position = records["position"][np.maximum.accumulate(np.where(is_new, np.arange(len(records)), 0))]
    copies = records[records["position"] != first_position]
    positions, counts = np.unique(copies["position"], return_counts=True)
    in_note = copies["in_note"][np.unique(copies["position"], return_index=True)[1]]
    found.is_copied[positions[counts == in_note]] = True
    removed = copies[(copies["words"] >= config.copied_paragraph_words) & ~found.is_copied[copies["position"]]]
    entries = np.empty(len(removed), _REMOVED_DTYPE)
    entries["position"], entries["paragraph"] = removed["position"], removed["paragraph"]
    found.removed.add(_position_keys(entries["position"], len(found.is_copied)), entries)


def _position_keys(positions: npt.NDArray[np.uint64], num_notes: int) -> npt.NDArray[np.uint64]:
    """Keys in the order of the positions, spread over all 64 bits."""
    return positions.astype(np.uint64) * np.uint64(((1 << 64) - 1) // max(1, num_notes))


def _sizes(stems: Sequence[Path]) -> list[int]:
    """Notes in each piece, from its digests."""
    return [piece_file(stem, "digests").stat().st_size // DIGEST_BYTES for stem in stems]


def _file(stem: Path) -> Path:
    return piece_file(stem, "paragraphs")
