"""A CSV or TSV file with columns of any name."""

from collections.abc import Iterator

from data_pipeline.config import Columns
from data_pipeline.notes import Rejection, Row
from data_pipeline.readers.columns import choose_columns, note_of
from data_pipeline.readers.inputs import Input
from data_pipeline.readers.tables import csv_header, csv_rows


def check(item: Input, columns: Columns) -> None:
    """Raise NotemillError when a column is missing."""
    header = csv_header(item)
    if header:
        choose_columns(item, header, columns)


def read(item: Input, columns: Columns) -> Iterator[Row]:
    """Every record; one with another number of fields than the header is broken."""
    header = csv_header(item)
    if not header:
        return
    choice = choose_columns(item, header, columns)
    for number, row in enumerate(csv_rows(item), start=1):
        if row.values is None:
            yield Rejection("broken_row")
            continue
        values = {role: row.values[name] for role, name in choice.columns.items()}
        yield note_of(item, choice, values, number, row.repaired_encoding)
