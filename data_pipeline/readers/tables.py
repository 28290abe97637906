"""Rows of a CSV file as dictionaries, in a stream: embedded newlines, quotes, NULs, CRLF and fields of any length.

The delimiter is what the header holds most of: comma, tab, semicolon or bar. `delimiter=`, `quoting=none` and `escape=`
after the path of an input say otherwise.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from data_pipeline.notes import MAX_NOTE_CHARS
from data_pipeline.readers.columns import refuse_twins, told_columns
from data_pipeline.readers.inputs import Input
from data_pipeline.readers.locations import Location, local
from data_pipeline.readers.streams import DecodedLines
from data_pipeline.readers.swallowed import Forms, Lines
from launch.errors import NotemillError

MAX_FIELD_CHARS = MAX_NOTE_CHARS
"""A longer field is a quote that was never closed; the record is broken, and reading goes on behind it."""
_DELIMITERS = ",\t;|"
_BACKSLASHED = re.compile(r'\\"[^",\t;|\r\n]')
_OTHER_QUOTES = re.compile(r'[^\\",\t;|\r\n]"(?:"|[^",\t;|\r\n])')
_QUOTES_LOOKED_AT = 2_000
_FEWEST_BACKSLASHED = 3


@dataclass(frozen=True, slots=True)
class TableRow:
    """One record; `values` is None where it is no CSV or its number of fields differs from the header's."""

    values: dict[str, str] | None
    repaired_encoding: bool


def csv_header(item: Input | Path) -> list[str]:
    """Column names in lower case; none for an empty file of a folder. Raises NotemillError for one that was named."""
    item = _as_input(item)
    header = next(_records(_lines(item), item), None)
    if not header:
        if not item.is_named:
            return []
        raise NotemillError(f"{item.path} is empty or no CSV file; it should hold a header and notes.")
    return [name.strip().lower() for name in header]


def require_columns(path: Location, found: Sequence[str], needed: Sequence[str], kind: str) -> None:
    """Raise NotemillError naming the columns that are missing or there twice."""
    missing = [name for name in needed if name not in found]
    if missing:
        raise NotemillError(f"{path} has no column {', '.join(missing)}, which {kind} needs; {told_columns(found)}.")
    refuse_twins(path, needed, found)


def csv_rows(item: Input | Path) -> Iterator[TableRow]:
    """Records after the header, with lower-case column names; empty lines are no records."""
    item = _as_input(item)
    lines = _lines(item)
    records = _records(lines, item)
    header = [name.strip().lower() for name in next(records, None) or []]
    repaired_before = lines.repaired
    for record in records:
        if record is None or record:
            fits = record is not None and len(record) == len(header)
            values = dict(zip(header, record, strict=True)) if fits else None  # type: ignore[arg-type]
            yield TableRow(values, lines.repaired > repaired_before)
        repaired_before = lines.repaired


def _as_input(item: Input | Path) -> Input:
    """A table that is no input, such as the roster, has no settings."""
    return Input("csv", local(item), "csv") if isinstance(item, Path) else item


def _lines(item: Input) -> DecodedLines:
    return DecodedLines(item.path, item.settings.get("encoding"))


def _records(lines: DecodedLines, item: Input) -> Iterator[list[str] | None]:
    """Fields of each record; None for one that the parser refuses, or whose quote was never closed.

    After either it starts afresh: on the next line, or on the first that is a record of its own (see `swallowed`).
    """
    csv.field_size_limit(MAX_FIELD_CHARS)
    header_line = next(lines, "")
    dialect = _dialect(item, header_line)
    source = Lines(chain((header_line,), lines) if header_line else ())
    reader = csv.reader(source, **dialect)
    forms: Forms | None = None
    quotes = _Quotes(item, dialect)
    while True:
        source.taken.clear()
        try:
            record = next(reader)
        except StopIteration:
            quotes.judge(fewest=1)
            return
        except csv.Error:
            record = None
        quotes.learn(source.taken)
        if forms is None:
            forms = Forms(len(record or ()), dialect)
        elif (first := forms.swallowed_from(source.taken, record)) is not None:
            source.put_back(first)
            reader = csv.reader(source, **dialect)
            record = None
        elif record is not None and len(record) == forms.width:
            forms.learn(record)
        if source.ended:
            # The parser asked for another line in the middle of this record.
            raise NotemillError(
                f"{item.path} ends inside an open quoted field: it is cut short, or a quote was never closed; mend it "
                "or write quoting=none after its path."
            )
        yield record


class _Quotes:
    """How quotes within fields are written: a file that writes them as a backslash and a quote is misread without
    `escape`, often into rows that look whole."""

    def __init__(self, item: Input, dialect: dict[str, Any]) -> None:
        self._item = item
        self._left = 0 if "escapechar" in dialect or "quoting" in dialect else _QUOTES_LOOKED_AT
        self._backslashed = self._others = 0

    def learn(self, lines: Sequence[str]) -> None:
        """Take in the lines of a record. Raises NotemillError once they tell."""
        if self._left:
            self._left -= 1
            self._backslashed += any(map(_BACKSLASHED.search, lines))
            self._others += any(map(_OTHER_QUOTES.search, lines))
            self.judge(_FEWEST_BACKSLASHED)

    def judge(self, fewest: int) -> None:
        """Raise NotemillError where at least `fewest` records hold such quotes, and more than hold others."""
        if self._backslashed >= fewest and self._backslashed > self._others:
            raise NotemillError(
                f"{self._item.path} writes quotes within a field as a backslash and a quote; write escape=\\ after its "
                "path, or double such quotes in the file."
            )


def _dialect(item: Input, header: str) -> dict[str, Any]:
    dialect: dict[str, Any] = {"delimiter": max(_DELIMITERS, key=header.count)}
    if "delimiter" in item.settings:
        dialect["delimiter"] = item.settings["delimiter"].replace("\\t", "\t")
    if item.settings.get("quoting") == "none":
        dialect["quoting"] = csv.QUOTE_NONE
    if "escape" in item.settings:
        dialect |= {"escapechar": item.settings["escape"], "doublequote": False}
    return dialect
