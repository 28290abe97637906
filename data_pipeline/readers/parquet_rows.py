"""Rows of a Parquet file with the columns that are wanted, in a stream."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from data_pipeline.readers.locations import Location
from launch.errors import NotemillError

_BATCH_ROWS = 512


def parquet_columns(location: Location) -> list[str]:
    """The file's own names of its columns. Raises NotemillError when it is no Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with _opened(location) as source:
            return list(pq.read_schema(source).names)
    except (pa.ArrowException, OSError):
        raise NotemillError(f"{location} is not a readable Parquet file; copy it again.") from None


def parquet_rows(location: Location, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Values of the columns `names` of every row, in the order of the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with _opened(location) as source, pq.ParquetFile(source) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(names)):
                yield from zip(*(_values(batch.column(name)) for name in names), strict=True)
    except (pa.ArrowException, OSError):
        raise NotemillError(f"{location} is damaged: its Parquet data cannot be read; copy it again.") from None


def _values(column: Any) -> list[Any]:
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        import pyarrow as pa

        # A writer that did not check put bytes under the name of text.
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        is_large = pa.types.is_large_string(column.type)
        return column.view(pa.large_binary() if is_large else pa.binary()).to_pylist()


@contextmanager
def _opened(location: Location) -> Iterator[Any]:
    # Arrow maps local files by itself, faster than through a stream of ours.
    if location.filesystem is None:
        yield location.address
        return
    with location.open() as stream:
        yield stream
