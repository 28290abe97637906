"""Writes the files of a finished corpus from the tables of its pieces, one file of each split in memory at a time."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa

from data_pipeline.files import make_private_folder, sha256_file
from data_pipeline.gate.quarantine import QUARANTINE_SCHEMA, quarantine_name, read_held, write_held
from data_pipeline.manifest import QUARANTINE_FOLDER, REJECTED_FOLDER, SHARD_SCHEMA, SHARDS_FOLDER, ShardEntry
from data_pipeline.parquet_files import write_table
from data_pipeline.patients import SPLITS
from data_pipeline.rejects import REJECTED_SCHEMA

_REJECTED_ROWS = 1_000_000
"""Rows in one file of rejected rows, at most."""


def write_shards(out: Path, tables: Iterator[pa.Table], max_rows: int) -> list[ShardEntry]:
    """Route notes to the shards of their split, in the order of the inputs; at most one shard a split is in memory."""
    make_private_folder(out / SHARDS_FOLDER)
    writers = {
        split: _Writer(out, f"{SHARDS_FOLDER}/{split}-{{:05d}}.parquet", split, max_rows, SHARD_SCHEMA)
        for split in SPLITS
    }
    for table in tables:
        split_column = table.column("split").to_numpy(zero_copy_only=False)
        for split, writer in writers.items():
            writer.add(table.filter(pa.array(split_column == split, pa.bool_())))
    return [entry for writer in writers.values() for entry in writer.finish()]


def write_quarantine(out: Path, pieces: Iterator[Path], max_rows: int, key: bytes | None) -> list[ShardEntry]:
    """Join what the pieces held back; at most one file is in memory."""
    name = f"{QUARANTINE_FOLDER}/{quarantine_name('notes-{:05d}', key)}"
    writer = _Writer(out, name, "quarantine", max_rows, QUARANTINE_SCHEMA, partial(write_held, key=key))
    for piece in pieces:
        make_private_folder(out / QUARANTINE_FOLDER)
        writer.add(read_held(piece, key))
    return writer.finish()


def write_rejected(out: Path, tables: Iterator[tuple[int, pa.Table]]) -> list[ShardEntry]:
    """Join the rows that became no note; each table comes with its input's place in the manifest's list."""
    writer = _Writer(out, f"{REJECTED_FOLDER}/rows-{{:05d}}.parquet", "rejected", _REJECTED_ROWS, REJECTED_SCHEMA)
    for place, table in tables:
        make_private_folder(out / REJECTED_FOLDER)
        places = pa.array([place] * table.num_rows, pa.int32())
        writer.add(table.add_column(0, REJECTED_SCHEMA.field("input"), places))
    return writer.finish()


class _Writer:
    """Collects rows and writes a file whenever `max_rows` are there; `name` takes the file's number."""

    def __init__(
        self,
        out: Path,
        name: str,
        split: str,
        max_rows: int,
        schema: pa.Schema,
        write: Callable[[Path, pa.Table], None] = write_table,
    ) -> None:
        self._out, self._name, self._split, self._max_rows, self._write = out, name, split, max_rows, write
        self._pending: pa.Table = schema.empty_table()
        self._entries: list[ShardEntry] = []

    def add(self, table: pa.Table) -> None:
        self._pending = pa.concat_tables([self._pending, table])
        while self._pending.num_rows >= self._max_rows:
            self._finish_file(self._pending.slice(0, self._max_rows))
            self._pending = self._pending.slice(self._max_rows)

    def finish(self) -> list[ShardEntry]:
        if self._pending.num_rows:
            self._finish_file(self._pending)
        return self._entries

    def _finish_file(self, table: pa.Table) -> None:
        name = self._name.format(len(self._entries))
        path = self._out / name
        # One chunk a column, see `write_table`.
        self._write(path, table.combine_chunks())
        self._entries.append(
            ShardEntry(
                path=name,
                rows=table.num_rows,
                bytes=path.stat().st_size,
                sha256=sha256_file(path),
                split=self._split,
            )
        )
