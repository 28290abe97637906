"""A Parquet file with columns of any name."""

from collections.abc import Iterator

from data_pipeline.config import Columns
from data_pipeline.notes import Row
from data_pipeline.readers.columns import choose_columns, note_of
from data_pipeline.readers.inputs import Input
from data_pipeline.readers.parquet_rows import parquet_columns, parquet_rows


def check(item: Input, columns: Columns) -> None:
    """Raise NotemillError when the file is no Parquet or a column is missing."""
    choose_columns(item, parquet_columns(item.path), columns)


def read(item: Input, columns: Columns) -> Iterator[Row]:
    """Every record, in the order of the file."""
    choice = choose_columns(item, parquet_columns(item.path), columns)
    places = choice.places(choice.names)
    for number, values in enumerate(parquet_rows(item.path, choice.names), start=1):
        yield note_of(item, choice, {role: values[place] for role, place in places.items()}, number)
