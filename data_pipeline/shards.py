"""Writes the files of a finished corpus from the tables of its pieces, one shard in memory at a time."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from data_pipeline.files import make_private_folder, sha256_file
from data_pipeline.gate.quarantine import QUARANTINE_SCHEMA, quarantine_name, read_held, write_held
from data_pipeline.manifest import QUARANTINE_FOLDER, REJECTED_FOLDER, SHARD_SCHEMA, SHARDS_FOLDER, ShardEntry
from data_pipeline.patients import SPLITS
from data_pipeline.pieces import write_notes
from data_pipeline.rejects import REJECTED_SCHEMA

_REJECTED_ROWS = 1_000_000
"""Rows in one file of rejected rows, at most."""


def write_shards(out: Path, tables: Iterator[pa.Table], max_rows: int) -> list[ShardEntry]:
    """Route notes to the shards of their split, in the order of the inputs; at most one shard a split is in memory."""
    make_private_folder(out / SHARDS_FOLDER)
    writers = {split: _ShardWriter(out, f"{SHARDS_FOLDER}/{split}", split, max_rows) for split in SPLITS}
    for table in tables:
        split_column = table.column("split").to_numpy(zero_copy_only=False)
        for split, writer in writers.items():
            writer.add(table.filter(pa.array(split_column == split, pa.bool_())))
    return [entry for writer in writers.values() for entry in writer.finish()]


def write_quarantine(out: Path, pieces: Iterator[Path], max_rows: int, key: bytes | None) -> list[ShardEntry]:
    """Join what the pieces held back; at most one file is in memory."""
    entries: list[ShardEntry] = []
    pending: pa.Table = QUARANTINE_SCHEMA.empty_table()

    def write(table: pa.Table) -> None:
        name = f"{QUARANTINE_FOLDER}/{quarantine_name(f'notes-{len(entries):05d}', key)}"
        path = out / name
        make_private_folder(path.parent)
        write_held(path, table, key)
        entries.append(_entry(path, name, table.num_rows, "quarantine"))

    for piece in pieces:
        pending = pa.concat_tables([pending, read_held(piece, key)])
        while pending.num_rows >= max_rows:
            write(pending.slice(0, max_rows))
            pending = pending.slice(max_rows)
    if pending.num_rows:
        write(pending)
    return entries


def write_rejected(out: Path, tables: Iterator[tuple[int, pa.Table]]) -> list[ShardEntry]:
    """Join the rows that became no note; each table comes with its input's place in the manifest's list."""
    writer = _ShardWriter(out, f"{REJECTED_FOLDER}/rows", "rejected", _REJECTED_ROWS, REJECTED_SCHEMA)
    for place, table in tables:
        make_private_folder(out / REJECTED_FOLDER)
        places = pa.array([place] * table.num_rows, pa.int32())
        writer.add(table.add_column(0, REJECTED_SCHEMA.field("input"), places))
    return writer.finish()


def read_table(path: Path, schema: pa.Schema = SHARD_SCHEMA) -> pa.Table:
    """A Parquet file of a piece."""
    import pyarrow.parquet as pq

    # A name such as 00000-0000001.parquet would otherwise be searched for partitions.
    return pq.read_table(path, schema=schema, partitioning=None)


class _ShardWriter:
    """Collects notes and writes a shard whenever `max_rows` are there."""

    def __init__(self, out: Path, prefix: str, split: str, max_rows: int, schema: pa.Schema = SHARD_SCHEMA) -> None:
        self._out, self._prefix, self._split, self._max_rows = out, prefix, split, max_rows
        self._pending: pa.Table = schema.empty_table()
        self._entries: list[ShardEntry] = []

    def add(self, table: pa.Table) -> None:
        self._pending = pa.concat_tables([self._pending, table])
        while self._pending.num_rows >= self._max_rows:
            self._write(self._pending.slice(0, self._max_rows))
            self._pending = self._pending.slice(self._max_rows)

    def finish(self) -> list[ShardEntry]:
        if self._pending.num_rows:
            self._write(self._pending)
        return self._entries

    def _write(self, table: pa.Table) -> None:
        name = f"{self._prefix}-{len(self._entries):05d}.parquet"
        path = self._out / name
        # The chunks a table was put together from show in the file; one chunk a column does not.
        write_notes(path, table.combine_chunks())
        self._entries.append(_entry(path, name, table.num_rows, self._split))


def _entry(path: Path, name: str, rows: int, split: str) -> ShardEntry:
    return ShardEntry(path=name, rows=rows, bytes=path.stat().st_size, sha256=sha256_file(path), split=split)
