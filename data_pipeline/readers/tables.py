"""Rows of a CSV file as dictionaries, in a stream: embedded newlines, quotes, NULs, CRLF and fields of any length."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_pipeline.readers.streams import DecodedLines
from launch.errors import NotemillError

MAX_FIELD_CHARS = 64_000_000
"""A longer field is a quote that was never closed; the record is broken, and reading goes on behind it."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One record; `values` is None where it is no CSV or its number of fields differs from the header's."""

    values: dict[str, str] | None
    repaired_encoding: bool


def csv_header(path: Path) -> list[str]:
    """Column names in lower case. Raises NotemillError for a file with nothing in it."""
    header = next(_records(DecodedLines(path)), None)
    if not header:
        raise NotemillError(f"{path} is empty or no CSV file; it should hold a header and notes.")
    return [name.strip().lower() for name in header]


def require_columns(path: Path, found: Sequence[str], needed: Sequence[str], kind: str) -> None:
    """Raise NotemillError naming the columns that are missing."""
    missing = [name for name in needed if name not in found]
    if missing:
        raise NotemillError(
            f"{path} has no column {', '.join(missing)}, which {kind} needs; its columns are {', '.join(found)}."
        )


def csv_rows(path: Path) -> Iterator[TableRow]:
    """Records after the header, with lower-case column names; empty lines are no records."""
    lines = DecodedLines(path)
    records = _records(lines)
    header = [name.strip().lower() for name in next(records, None) or []]
    repaired_before = lines.repaired
    for record in records:
        if record is None or record:
            fits = record is not None and len(record) == len(header)
            values = dict(zip(header, record, strict=True)) if fits else None  # type: ignore[arg-type]
            yield TableRow(values, lines.repaired > repaired_before)
        repaired_before = lines.repaired


def _records(lines: DecodedLines) -> Iterator[list[str] | None]:
    """Fields of each record; None for one that the parser refuses, after which it starts afresh on the next line."""
    csv.field_size_limit(MAX_FIELD_CHARS)
    reader = csv.reader(lines)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield None
