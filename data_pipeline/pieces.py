"""The pure step: a run of input rows becomes one piece on disk, whoever runs it and however often.

A piece is some files under one stem in the work folder: `.parquet` with the notes that passed (shard columns),
`.digests` with 16 bytes a note for exact duplicates, what `sketches` and `paragraphs` write for near-copies and
copied paragraphs, `.quarantine.parquet` where notes were held back, and `.json` with the counts, written last. A
piece with a `.json` is complete, so a rerun takes it as it is.
"""

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import pyarrow as pa

from data_pipeline.cleaning import clean
from data_pipeline.config import CorpusConfig
from data_pipeline.decontamination import Contamination, load_index
from data_pipeline.dedup import text_digest
from data_pipeline.deid.detect import deidentify
from data_pipeline.deid.roster import Roster
from data_pipeline.files import atomic_write, read_json, write_json
from data_pipeline.filters import filter_note
from data_pipeline.manifest import SHARD_COLUMNS, SHARD_SCHEMA
from data_pipeline.note_order import order_of
from data_pipeline.notes import Note, Rejection, RejectionReason, Row
from data_pipeline.paragraphs import write_paragraphs
from data_pipeline.patients import SPLITS, note_key, patient_key, safe_note_id, split_of
from data_pipeline.sketches import NoteKeys, write_sketches
from data_pipeline.wraps import rejoin

_ROW_GROUP_ROWS = 1024
_ZSTD_LEVEL = 3


@dataclass(frozen=True)
class PieceContext:
    """What a worker needs for every piece; small enough to be sent to each once."""

    config: CorpusConfig
    hmac_key: bytes
    roster_path: Path | None
    folder: Path
    evaluation: Path | None = None
    """Index of the evaluation sets whose passages are looked for."""


@dataclass(frozen=True)
class Piece:
    """Consecutive rows of one input."""

    input_index: int
    index: int
    rows: list[Row]

    @property
    def stem(self) -> str:
        """Sorts in the order of the inputs."""
        return f"{self.input_index:05d}-{self.index:07d}"


class PieceCounts(TypedDict):
    """Where the rows of a piece went. read == kept + Σ rejected + quarantined."""

    read: int
    kept: int
    rejected: dict[str, int]
    quarantined: int
    repaired: dict[str, int]
    phi_replaced: dict[str, int]
    contaminated: dict[str, Contamination]
    """By the name of the evaluation set."""


def cut_pieces(rows: Iterator[Row], input_index: int, config: CorpusConfig) -> Iterator[Piece]:
    """Group rows by number and size alone, so that the cuts do not depend on who works on them."""
    batch: list[Row] = []
    index = chars = 0
    for row in rows:
        batch.append(row)
        chars += len(row.text) if isinstance(row, Note) else 0
        if len(batch) >= config.shards.piece_rows or chars >= config.shards.piece_chars:
            yield Piece(input_index, index, batch)
            batch, index, chars = [], index + 1, 0
    if batch:
        yield Piece(input_index, index, batch)


def run_piece(piece: Piece, context: PieceContext) -> PieceCounts:
    """Clean, de-identify, verify, key and digest the rows of a piece; write it unless it is there already."""
    counts_file = context.folder / f"{piece.stem}.json"
    if counts_file.exists():
        counts: PieceCounts = read_json(counts_file, "piece")
        return counts
    roster = _roster(context.roster_path, context.config.deid.roster_names)
    kept: list[dict[str, str]] = []
    quarantined: list[dict[str, str]] = []
    rejected: Counter[str] = Counter()
    repaired: Counter[str] = Counter()
    replaced: Counter[str] = Counter()
    keys: list[NoteKeys] = []
    rows = [row if isinstance(row, Rejection) else _clean(row, context.config, repaired) for row in piece.rows]
    rows, contaminated = _without_contaminated(rows, context)
    for row in rows:
        note = row if isinstance(row, Rejection) else _finish(row, context, roster)
        if isinstance(note, Rejection):
            rejected[note.reason] += 1
            continue
        repaired["encoding"] += isinstance(row, Note) and row.repaired_encoding
        (quarantined if note.leaks else kept).append(note.columns)
        if not note.leaks:
            replaced.update(note.replaced)
            keys.append(note.keys)
    write_notes(context.folder / f"{piece.stem}.parquet", pa.Table.from_pylist(kept, SHARD_SCHEMA))
    if quarantined:
        write_notes(
            context.folder / f"{piece.stem}.quarantine.parquet", pa.Table.from_pylist(quarantined, SHARD_SCHEMA)
        )
    texts = [columns["text"] for columns in kept]
    with atomic_write(context.folder / f"{piece.stem}.digests") as temporary:
        temporary.write_bytes(b"".join(map(text_digest, texts)))
    if context.config.dedup.near:
        write_sketches(context.folder / piece.stem, texts, keys, context.config.dedup)
    if context.config.dedup.remove_copied_paragraphs:
        write_paragraphs(context.folder / piece.stem, texts, keys)
    counts = PieceCounts(
        read=len(piece.rows),
        kept=len(kept),
        rejected=dict(sorted(rejected.items())),
        quarantined=len(quarantined),
        repaired=dict(sorted(repaired.items())),
        phi_replaced=dict(sorted(replaced.items())),
        contaminated=contaminated,
    )
    assert counts["read"] == counts["kept"] + sum(rejected.values()) + counts["quarantined"]
    write_json(counts_file, counts)
    return counts


def write_notes(path: Path, table: pa.Table) -> None:
    """Parquet with the settings of every file of a corpus; equal tables give equal bytes."""
    import pyarrow.parquet as pq

    with atomic_write(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            compression_level=_ZSTD_LEVEL,
            row_group_size=_ROW_GROUP_ROWS,
            use_dictionary=[name for name in SHARD_COLUMNS if name not in ("note_id", "text")],
        )


@dataclass(frozen=True)
class _Finished:
    columns: dict[str, str]
    keys: NoteKeys
    replaced: Counter[str]
    leaks: bool


def _clean(note: Note, config: CorpusConfig, repaired: Counter[str]) -> Row:
    """The note with its text made regular and filtered; what was mended is added to `repaired`."""
    text = clean(note.text, config.cleaning.unicode_form)
    if not text:
        return _reject(note, "empty_text")
    if config.cleaning.rejoin_lines:
        joined = rejoin(text)
        repaired["rejoined_lines"] += joined is not text
        text = joined
    filtered = filter_note(text, config.filters)
    repaired["boilerplate_lines"] += filtered.removed_lines
    return _reject(note, filtered.reason) if filtered.reason else replace(note, text=filtered.text)


def _reject(note: Note, reason: RejectionReason) -> Rejection:
    return Rejection(reason)


def _without_contaminated(rows: list[Row], context: PieceContext) -> tuple[list[Row], dict[str, Contamination]]:
    """Looks before de-identification: an evaluation set has its own way of hiding names."""
    if context.evaluation is None:
        return rows, {}
    notes = [row for row in rows if isinstance(row, Note)]
    found = load_index(context.evaluation).find([note.text for note in notes], context.config.decontamination)
    if context.config.decontamination.action == "report":
        return rows, found.by_set
    dropped = iter(found.notes)
    return [
        _reject(row, "contaminated") if isinstance(row, Note) and next(dropped) else row for row in rows
    ], found.by_set


def _finish(note: Note, context: PieceContext, roster: Roster | None) -> _Finished:
    result = deidentify(note.text, note.patient_id, roster)
    # The type of a note is free text in some sources, and a person may have typed into it.
    note_type = deidentify(clean(note.note_type), note.patient_id, roster)
    note_id = safe_note_id(context.hmac_key, clean(note.note_id), note.patient_id)
    if roster is not None and roster.leaks(note_id, note.patient_id):
        # An id that stands for the patient too is not looked at above, but a roster knows it for what it is.
        note_id = note_key(context.hmac_key, note_id)
    split = split_of(context.hmac_key, note.patient_id, context.config.split)
    columns = {
        "note_id": note_id,
        "patient_key": patient_key(context.hmac_key, note.patient_id),
        "source": note.source,
        "split": split,
        "note_type": note_type.text,
        "text": result.text,
    }
    order = order_of(note.date, context.hmac_key, note.patient_id)
    keys = NoteKeys(columns["patient_key"], order, SPLITS.index(split))
    return _Finished(columns, keys, Counter(result.replaced), result.leaks or note_type.leaks)


@functools.lru_cache(maxsize=1)
def _roster(path: Path | None, names: str) -> Roster | None:
    """Built once a process; the automaton of a large roster takes seconds."""
    return None if path is None else Roster(path, names)  # type: ignore[arg-type]
