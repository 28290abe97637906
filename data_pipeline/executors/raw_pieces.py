"""Rows on their way from the process that reads an input to those that make pieces of them, on any machine.

    .build/raw/KEY/0000000.arrow   the rows of a piece that is not made yet, as they were read; 0600, gone once it is
    .build/raw/KEY/cut.json        the number of pieces, when the input was read to its end

Text is kept as bytes: a row may hold what is no valid Unicode.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_pipeline.config import CorpusConfig
from data_pipeline.executors.local import check_not_empty
from data_pipeline.files import atomic_write, make_private_folder, read_json, write_json
from data_pipeline.notes import Note, Rejection, Row
from data_pipeline.pieces import Piece, cut_pieces, hash_rows
from data_pipeline.readers import read_rows
from data_pipeline.readers.inputs import Input
from data_pipeline.work_folder import WorkFolder, input_key

_CUT = "cut.json"
_TEXTS = ("reason", "note_id", "patient_id", "note_type", "source", "text", "date")
_FLAGS = ("repaired_encoding", "is_id_private")
_SCHEMA = pa.schema([(name, pa.large_binary()) for name in _TEXTS] + [(name, pa.bool_()) for name in _FLAGS])


def cut_to_disk(item: Input, work: WorkFolder, config: CorpusConfig) -> None:
    """Read an input to its end and write the rows of every piece that is not made yet."""
    folder = make_private_folder(_raw(work) / input_key(item))
    num_pieces = 0
    for piece in cut_pieces(read_rows(item, config), input_key(item), config):
        num_pieces += 1
        if not _is_made(piece, work):
            _write(folder / f"{piece.index:07d}.arrow", piece)
    check_not_empty(item, num_pieces)
    write_json(folder / _CUT, {"pieces": num_pieces})


def num_pieces_cut(item: Input, work: WorkFolder) -> int | None:
    """How many pieces an input was cut into; None where it was not read to its end."""
    path = _raw(work) / input_key(item) / _CUT
    return read_json(path, "list of pieces")["pieces"] if path.exists() else None


def waiting_pieces(work: WorkFolder, rank: int = 0, num_tasks: int = 1) -> Iterator[Path]:
    """Rows that no piece was made of yet and that are the share of one of `num_tasks` tasks.

    A piece belongs to the same task however many were made meanwhile. Raises NotemillError where cut.json is damaged.
    """
    place = 0
    for cut in sorted(_raw(work).glob(f"*/{_CUT}")):
        for index in range(read_json(cut, "list of pieces")["pieces"]):
            path = cut.with_name(f"{index:07d}.arrow")
            if place % num_tasks == rank and path.exists():
                yield path
            place += 1


def read_piece(path: Path) -> Piece:
    """The piece whose rows lie at `path`."""
    with pa.OSFile(str(path)) as stream, pa.ipc.open_file(stream) as reader:
        table = reader.read_all()
        first_row = int(table.schema.metadata[b"first_row"])
    return Piece(path.parent.name, int(path.stem), [_row(values) for values in table.to_pylist()], first_row)


def _raw(work: WorkFolder) -> Path:
    return work.scratch / "raw"


def _is_made(piece: Piece, work: WorkFolder) -> bool:
    counts = work.pieces / f"{piece.stem}.json"
    return counts.exists() and work.counts(piece.stem)["rows_sha256"] == hash_rows(piece.rows)


def _write(path: Path, piece: Piece) -> None:
    columns = {
        name: pa.array([_bytes(getattr(row, name, None)) for row in piece.rows], pa.large_binary()) for name in _TEXTS
    }
    flags = {name: pa.array([getattr(row, name, False) for row in piece.rows], pa.bool_()) for name in _FLAGS}
    table = pa.table(columns | flags, _SCHEMA.with_metadata({"first_row": str(piece.first_row)}))
    with (
        atomic_write(path) as temporary,
        pa.OSFile(str(temporary), "wb") as stream,
        pa.ipc.new_file(stream, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer,
    ):
        writer.write_table(table)


def _row(values: dict[str, Any]) -> Row:
    kind = Note if values["reason"] is None else Rejection
    made = {field.name: _value(values[field.name]) for field in dataclasses.fields(kind)}
    return kind(**made)


def _value(stored: Any) -> Any:
    return stored.decode("utf-8", "surrogatepass") if isinstance(stored, bytes) else stored


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else value.encode("utf-8", "surrogatepass")
