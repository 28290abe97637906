"""Parquet files of pieces and corpora: written with one setting, so that equal tables give equal bytes.

Notes that the gate holds back are written by `gate.quarantine`, which makes the file in memory to encrypt it.
"""

from pathlib import Path

import pyarrow as pa

from data_pipeline.files import atomic_write

ROW_GROUP_ROWS = 1024
_ZSTD_LEVEL = 3
_NO_DICTIONARY = ("note_id", "row", "text")
"""Columns whose values hardly repeat: a dictionary of them costs time and gains nothing."""


def write_table(path: Path, table: pa.Table) -> None:
    """Write `table`, atomically. The chunks that it was put together from show in the file: give one chunk a column."""
    import pyarrow.parquet as pq

    with atomic_write(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            compression_level=_ZSTD_LEVEL,
            row_group_size=ROW_GROUP_ROWS,
            use_dictionary=[name for name in table.column_names if name not in _NO_DICTIONARY],
        )


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """A whole file with the columns of `schema`."""
    import pyarrow.parquet as pq

    # A name such as 00000-0000001.parquet would otherwise be searched for partitions.
    return pq.read_table(path, schema=schema, partitioning=None)
