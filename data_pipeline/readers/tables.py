"""Rows of a CSV file as dictionaries, in a stream: embedded newlines, quotes, NULs, CRLF and fields of any length."""

import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_pipeline.readers.streams import DecodedLines
from launch.errors import NotemillError


@dataclass(frozen=True, slots=True)
class TableRow:
    """One record; `values` is None where its number of fields differs from the header's."""

    values: dict[str, str] | None
    repaired_encoding: bool


def csv_header(path: Path) -> list[str]:
    """Column names in lower case. Raises NotemillError for a file with nothing in it."""
    header = next(_records(DecodedLines(path), path), None)
    if not header:
        raise NotemillError(f"{path} is empty; it should hold a header and notes.")
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
    records = _records(lines, path)
    header = [name.strip().lower() for name in next(records, [])]
    repaired_before = lines.repaired
    for record in records:
        if record:
            values = dict(zip(header, record, strict=True)) if len(record) == len(header) else None
            yield TableRow(values, lines.repaired > repaired_before)
        repaired_before = lines.repaired


def _records(lines: DecodedLines, path: Path) -> Iterator[list[str]]:
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(lines)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise NotemillError(f"{path}, line {reader.line_num}, is not CSV: {error}.") from None
