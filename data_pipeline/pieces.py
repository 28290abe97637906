"""The pure step: a run of input rows becomes one piece on disk, whoever runs it and however often.

A piece is some files under one stem in the work folder: `.parquet` with the notes that passed (shard columns),
`.digests` with 16 bytes a note for deduplication, `.quarantine.parquet` where notes were held back, `.rejected.parquet`
where rows became no note, and `.json` with the counts, written last. A piece with a `.json` is complete; a rerun takes
it as it is if it was made of the very rows that are read now. Of a file they always are; a database may have moved on.
"""

import dataclasses
import functools
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import pyarrow as pa

from data_pipeline.cleaning import clean
from data_pipeline.config import CorpusConfig
from data_pipeline.dedup import text_digest
from data_pipeline.deid.detect import deidentify
from data_pipeline.deid.roster import Roster
from data_pipeline.encodings import undo_mojibake
from data_pipeline.files import atomic_write, read_json, write_json
from data_pipeline.manifest import SHARD_SCHEMA
from data_pipeline.notes import Note, Rejection, Row
from data_pipeline.patients import patient_key, split_of
from data_pipeline.rejects import REJECTED_SCHEMA, kept_id

_ROW_GROUP_ROWS = 1024
_ZSTD_LEVEL = 3
_OPTIONAL_ENDINGS = (".quarantine.parquet", ".rejected.parquet")


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
    first_row: int = 1
    """Number of the first row within its input, counted from 1."""

    @property
    def stem(self) -> str:
        """Sorts in the order of the inputs."""
        return f"{self.input_index:05d}-{self.index:07d}"


class PieceCounts(TypedDict):
    """Where the rows of a piece went. read == kept + Σ rejected + quarantined."""

    rows_sha256: str
    """Hash of the rows as they were read."""
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
    first_row = 1
    for row in rows:
        batch.append(row)
        chars += len(row.text) if isinstance(row, Note) else 0
        if len(batch) >= config.shards.piece_rows or chars >= config.shards.piece_chars:
            yield Piece(input_index, index, batch, first_row)
            first_row += len(batch)
            batch, index, chars = [], index + 1, 0
    if batch:
        yield Piece(input_index, index, batch, first_row)


def run_piece(piece: Piece, context: PieceContext) -> PieceCounts:
    """Clean, de-identify, verify, key and digest the rows of a piece; write it unless it is there already."""
    counts_file = context.folder / f"{piece.stem}.json"
    rows_sha256 = _hash_rows(piece.rows)
    if counts_file.exists():
        counts: PieceCounts = read_json(counts_file, "piece")
        if counts["rows_sha256"] == rows_sha256:
            return counts
        # While its files are replaced, no piece is complete.
        counts_file.unlink()
        for ending in _OPTIONAL_ENDINGS:
            (context.folder / f"{piece.stem}{ending}").unlink(missing_ok=True)
    roster = _roster(context.roster_path, context.config.deid.roster_names)
    kept: list[dict[str, str]] = []
    quarantined: list[dict[str, str]] = []
    rejected: list[dict[str, str | int]] = []
    repaired: Counter[str] = Counter()
    replaced: Counter[str] = Counter()
    for number, row in enumerate(piece.rows, start=piece.first_row):
        note = row if isinstance(row, Rejection) else _finish(row, context, roster)
        if isinstance(note, Rejection):
            note_id = kept_id(context.hmac_key, clean(row.note_id), row, roster)
            rejected.append({"input": piece.input_index, "row": number, "note_id": note_id, "reason": note.reason})
            continue
        repaired["encoding"] += isinstance(row, Note) and row.repaired_encoding
        repaired["mojibake"] += note.was_mojibake
        (quarantined if note.leaks else kept).append(note.columns)
        if not note.leaks:
            replaced.update(note.replaced)
    write_notes(context.folder / f"{piece.stem}.parquet", pa.Table.from_pylist(kept, SHARD_SCHEMA))
    if quarantined:
        write_notes(
            context.folder / f"{piece.stem}.quarantine.parquet", pa.Table.from_pylist(quarantined, SHARD_SCHEMA)
        )
    if rejected:
        write_notes(context.folder / f"{piece.stem}.rejected.parquet", pa.Table.from_pylist(rejected, REJECTED_SCHEMA))
    with atomic_write(context.folder / f"{piece.stem}.digests") as temporary:
        temporary.write_bytes(b"".join(text_digest(columns["text"]) for columns in kept))
    counts = PieceCounts(
        rows_sha256=rows_sha256,
        read=len(piece.rows),
        kept=len(kept),
        rejected=dict(sorted(Counter(str(row["reason"]) for row in rejected).items())),
        quarantined=len(quarantined),
        repaired=dict(sorted(repaired.items())),
        phi_replaced=dict(sorted(replaced.items())),
    )
    assert counts["read"] == counts["kept"] + len(rejected) + counts["quarantined"]
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
            use_dictionary=[name for name in table.column_names if name not in ("note_id", "row", "text")],
        )


@dataclass(frozen=True)
class _Finished:
    columns: dict[str, str]
    replaced: Counter[str]
    leaks: bool
    was_mojibake: bool


def _finish(note: Note, context: PieceContext, roster: Roster | None) -> _Finished | Rejection:
    decoded = undo_mojibake(note.text)
    text = clean(decoded)
    if not text:
        return Rejection("empty_text")
    result = deidentify(text, note.patient_id, roster)
    # The type of a note is free text in some sources, and a person may have typed into it.
    note_type = deidentify(clean(undo_mojibake(note.note_type)), note.patient_id, roster)
    columns = {
        "note_id": kept_id(context.hmac_key, clean(note.note_id), note, roster),
        "patient_key": patient_key(context.hmac_key, note.patient_id),
        "source": note.source,
        "split": split_of(context.hmac_key, note.patient_id, context.config.split),
        "note_type": note_type.text,
        "text": result.text,
    }
    return _Finished(columns, Counter(result.replaced), result.leaks or note_type.leaks, decoded != note.text)


def _hash_rows(rows: list[Row]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        # The parts' lengths go before them, so that no two rows are written alike.
        parts = [
            str(part).encode("utf-8", errors="surrogatepass")
            for part in (getattr(row, field.name) for field in dataclasses.fields(row))
        ]
        digest.update(repr([type(row).__name__, *map(len, parts)]).encode())
        for part in parts:
            digest.update(part)
    return digest.hexdigest()


@functools.lru_cache(maxsize=1)
def _roster(path: Path | None, names: str) -> Roster | None:
    """Built once a process; the automaton of a large roster takes seconds."""
    return None if path is None else Roster(path, names)  # type: ignore[arg-type]
