"""The pure step: a run of input rows becomes one piece on disk, whoever runs it and however often.

A piece is some files under one stem in the work folder: `.parquet` with the notes that passed (shard columns),
`.digests` with 16 bytes a note for deduplication, `.quarantine.parquet` where notes were held back, and `.json` with
the counts, written last. A piece with a `.json` is complete, so a rerun takes it as it is.
"""

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import pyarrow as pa

from data_pipeline.cleaning import clean
from data_pipeline.config import CorpusConfig, DeidConfig
from data_pipeline.dedup import text_digest
from data_pipeline.deid.detect import Deidentifier
from data_pipeline.deid.roster import Roster
from data_pipeline.files import atomic_write, read_json, write_json
from data_pipeline.manifest import SHARD_COLUMNS, SHARD_SCHEMA
from data_pipeline.notes import Note, Rejection, Row
from data_pipeline.patients import note_key, patient_key, safe_note_id, split_of

_ROW_GROUP_ROWS = 1024
_ZSTD_LEVEL = 3


@dataclass(frozen=True)
class PieceContext:
    """What a worker needs for every piece; small enough to be sent to each once."""

    config: CorpusConfig
    hmac_key: bytes
    roster_path: Path | None
    folder: Path


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
    for row in piece.rows:
        note = row if isinstance(row, Rejection) else _finish(row, context, roster)
        if isinstance(note, Rejection):
            rejected[note.reason] += 1
            continue
        repaired["encoding"] += isinstance(row, Note) and row.repaired_encoding
        (quarantined if note.leaks else kept).append(note.columns)
        if not note.leaks:
            replaced.update(note.replaced)
    write_notes(context.folder / f"{piece.stem}.parquet", pa.Table.from_pylist(kept, SHARD_SCHEMA))
    if quarantined:
        write_notes(
            context.folder / f"{piece.stem}.quarantine.parquet", pa.Table.from_pylist(quarantined, SHARD_SCHEMA)
        )
    with atomic_write(context.folder / f"{piece.stem}.digests") as temporary:
        temporary.write_bytes(b"".join(text_digest(columns["text"]) for columns in kept))
    counts = PieceCounts(
        read=len(piece.rows),
        kept=len(kept),
        rejected=dict(sorted(rejected.items())),
        quarantined=len(quarantined),
        repaired=dict(sorted(repaired.items())),
        phi_replaced=dict(sorted(replaced.items())),
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
    replaced: Counter[str]
    leaks: bool


def _finish(note: Note, context: PieceContext, roster: Roster | None) -> _Finished | Rejection:
    text = clean(note.text)
    if not text:
        return Rejection("empty_text")
    deidentifier = _deidentifier(context.config.deid, roster, context.hmac_key)
    result = deidentifier.run(text, note.patient_id)
    # The type of a note is free text in some sources, and a person may have typed into it.
    note_type = deidentifier.run(clean(note.note_type), note.patient_id)
    note_id = safe_note_id(context.hmac_key, clean(note.note_id), note.patient_id)
    if roster is not None and roster.leaks(note_id, note.patient_id):
        # An id that stands for the patient too is not looked at above, but a roster knows it for what it is.
        note_id = note_key(context.hmac_key, note_id)
    columns = {
        "note_id": note_id,
        "patient_key": patient_key(context.hmac_key, note.patient_id),
        "source": note.source,
        "split": split_of(context.hmac_key, note.patient_id, context.config.split),
        "note_type": note_type.text,
        "text": result.text,
    }
    return _Finished(columns, Counter(result.replaced), result.leaks or note_type.leaks)


@functools.lru_cache(maxsize=1)
def _deidentifier(config: DeidConfig, roster: Roster | None, key: bytes) -> Deidentifier:
    return Deidentifier(config, roster, key)


@functools.lru_cache(maxsize=1)
def _roster(path: Path | None, names: str) -> Roster | None:
    """Built once a process; the automaton of a large roster takes seconds."""
    return None if path is None else Roster(path, names)  # type: ignore[arg-type]
