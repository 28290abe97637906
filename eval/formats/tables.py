"""Rows of named columns out of TSV, CSV, JSONL and JSON, and the columns a task needs found among them."""

import csv
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from data_pipeline.readers.columns import USUAL
from data_pipeline.readers.swallowed import Lines
from eval.formats.base import Reading, read_text
from launch.errors import NotemillError

SUFFIXES = {"tsv": (".tsv", ".txt"), "csv": (".csv",), "jsonl": (".jsonl", ".ndjson"), "json": (".json",)}

KNOWN_COLUMNS = {
    "id": ("id", "pair_id", "pairID", "doc_id", "note_id"),
    "text": ("text", "sentence", "note", "TEXT"),
    "patient": ("patient_key", *(spelt for name in USUAL["patient"] for spelt in (name, name.upper()))),
    "label": ("gold_label", "label", "Label", "class", "category"),
    "first": ("sentence1", "premise", "text1", "sentence_1", "snomed_label_1", "term1"),
    "second": ("sentence2", "hypothesis", "text2", "sentence_2", "snomed_label_2", "term2"),
    "score": ("score", "mean_rating", "similarity", "gold_score", "rating"),
}
"""Names that public sets give to what we need, by ours; the first is the one we write."""

_QUOTED = re.compile(r'"[^"]*+(?:""[^"]*+)*+"')


def read_rows(path: Path, kind: str) -> list[dict[str, Any]]:
    """All rows of a file of `kind`. Raises NotemillError naming the line that is broken."""
    text = read_text(path)
    if kind in ("tsv", "csv"):
        return _read_delimited(path, text, "\t" if kind == "tsv" else ",")
    if kind == "json":
        return _read_json(path, text)
    return [row for _, row in read_objects(path)]


def read_objects(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file with their lines. Raises NotemillError."""
    lines = enumerate(read_text(path).split("\n"), start=1)
    return [(number, _object(path, number, line)) for number, line in lines if line.strip()]


def find_columns(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    wanted: Sequence[str],
    reading: Reading,
    may_be_null: Sequence[str] = (),
) -> dict[str, str]:
    """Which column holds each of `wanted`.

    Raises NotemillError that lists the columns there are, or names the first row without one; a null value counts as
    none except in the columns for `may_be_null`.
    """
    if not rows:
        raise NotemillError(f"{path} holds no rows.")
    present = list(rows[0])
    anywhere = dict.fromkeys(column for row in rows for column in row)
    chosen = {}
    for name in wanted:
        options = _options(name, reading)
        column = next((option for columns in (present, anywhere) for option in options if option in columns), None)
        if column is None:
            raise NotemillError(
                f"{path} has no column for '{name}' (looked for {', '.join(options)}; it has {', '.join(anywhere)}); "
                f"name it with ?{name}=COLUMN after the path."
            )
        rivals = [other for other in KNOWN_COLUMNS[name] if other in anywhere and other != column]
        if reading.is_predicted and name in ("label", "score") and column == reading.columns.get(name) and rivals:
            raise NotemillError(
                f"{path} has '{column}' and '{rivals[0]}', and either may be the predicted {name}; leave one of them."
            )
        chosen[name] = column
    for number, row in enumerate(rows, start=1):
        for name, column in chosen.items():
            if column not in row or (row[column] is None and name not in may_be_null):
                raise NotemillError(f"{path} row {number} has no value for '{column}'.")
    return chosen


def has_column(rows: Sequence[Mapping[str, Any]], name: str, reading: Reading) -> bool:
    """Whether the user names a column for `name`, or any row has one."""
    return name in reading.columns or any(option in row for row in rows for option in KNOWN_COLUMNS[name])


def identifier(row: Mapping[str, Any], number: int, reading: Reading) -> str:
    """The row's own id, or its number."""
    options = _options("id", reading)
    return next((str(row[option]) for option in options if row.get(option) is not None), str(number))


def cell(path: Path, row: Mapping[str, Any], number: int, column: str) -> str:
    """What a row has in a column, as text. Raises NotemillError for lists and objects."""
    value = row[column]
    if isinstance(value, list | dict):
        raise NotemillError(f"{path} row {number} has a list or an object for '{column}', which is no text.")
    return str(value)


def _options(name: str, reading: Reading) -> tuple[str, ...]:
    """Names under which a column is looked for: the user's, and where predictions are read ours as well."""
    given = (reading.columns[name],) if name in reading.columns else ()
    return (*given, *KNOWN_COLUMNS[name]) if reading.is_predicted or not given else given


def to_jsonl(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def to_delimited(rows: Sequence[Mapping[str, Any]], delimiter: str) -> str:
    r"""Lines of fields; one with a quote, a delimiter or any line end is quoted (csv.writer leaves lone \r)."""
    lines = [list(rows[0]) if rows else [], *(list(row.values()) for row in rows)]
    return "".join(delimiter.join(_quoted(str(value), delimiter) for value in line) + "\n" for line in lines)


def _quoted(value: str, delimiter: str) -> str:
    if any(mark in value for mark in (delimiter, '"', "\n", "\r")):
        return f'"{value.replace(chr(34), chr(34) * 2)}"'
    return value


def _read_delimited(path: Path, text: str, delimiter: str) -> list[dict[str, Any]]:
    if "\n" not in text:
        text = text.replace("\r", "\n")
    is_bare = delimiter == "\t" and _is_line_a_row(text)
    records = _bare_records(text) if is_bare else _quoted_records(path, text, delimiter)
    header: list[str] = next((fields for _, fields in records), [])
    rows = []
    for line, fields in records:
        if len(fields) != len(header):
            raise NotemillError(f"{path} line {line} has another number of columns than the header's {len(header)}.")
        rows.append(dict(zip(header, fields, strict=True)))
    return rows


def _is_line_a_row(text: str) -> bool:
    """Whether every line has as many tabs as the first: then no field holds a tab or a line break.

    Plain TSV releases have stray quotation marks, and one at the start of a field would make a CSV reader swallow lines
    up to the next.
    """
    tabs = {line.count("\t") for line in text.split("\n") if line.strip()}
    return len(tabs) == 1


def _bare_records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Fields of each line that is not empty, and its number."""
    is_header = True
    for number, line in enumerate(text.split("\n"), start=1):
        if line.rstrip("\r"):
            fields = line.rstrip("\r").split("\t")
            yield number, fields if is_header else [_unquoted(field) for field in fields]
            is_header = False


def _quoted_records(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Fields of each record that is not empty, and the number of its first line.

    Raises NotemillError where a quoted field that goes on over lines does not close as such: it swallows other records.
    """
    lines = Lines(io.StringIO(text, newline="\n"))
    reader = csv.reader(lines, delimiter=delimiter)
    limit = csv.field_size_limit(sys.maxsize)
    number = 1
    try:
        while True:
            lines.taken.clear()
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error:
                raise NotemillError(
                    f"{path} line {number} cannot be read as columns: a carriage return ends a line in it."
                ) from None
            if len(lines.taken) > 1 or lines.ended:
                _require_closed(path, number, "".join(lines.taken), delimiter)
            if fields:
                yield number, fields
            number += len(lines.taken)
    finally:
        csv.field_size_limit(limit)


def _require_closed(path: Path, number: int, record: str, delimiter: str) -> None:
    """Raise NotemillError where a record, which begins on line `number`, holds a quote that is none of a whole field.

    A field that is quoted as it should be may hold anything: rows between two stray quotes, each at a field's edge,
    cannot be told from a pasted table.
    """
    opened = _stray_quote(record, delimiter)
    if opened is not None:
        raise NotemillError(
            f"{path} line {number + record.count(chr(10), 0, opened)}: a field opens with a quotation mark there, and "
            "none closes it before other rows; remove it or double it within quotes."
        )


def _stray_quote(record: str, delimiter: str) -> int | None:
    """Where a field begins with a quote that no other closes in front of a delimiter or line end."""
    position = 0
    while position < len(record):
        if record[position] == '"':
            field = _QUOTED.match(record, position)
            if field is None or record[field.end() : field.end() + 1] not in ("", delimiter, "\r", "\n"):
                return position
            position = field.end()
        end = record.find(delimiter, position)
        if end < 0:
            return None
        position = end + 1
    return None


def _unquoted(value: str) -> str:
    """The content of a field that is quoted as a whole, as EHR-RelB's few are; any other field as it is."""
    inner = value[1:-1]
    is_quoted = len(value) > 1 and value[0] == value[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if is_quoted else value


def _read_json(path: Path, text: str) -> list[dict[str, Any]]:
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise NotemillError(f"{path} is not valid JSON.") from None
    if isinstance(content, dict):
        for key, value in content.items():
            if not isinstance(value, dict):
                raise NotemillError(f"{path}: the entry '{key}' is no object; it must hold objects by id, or a list.")
        content = [{"id": key, **value} for key, value in content.items()]
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise NotemillError(f"{path} must hold a list of objects, or objects by id.")
    return content


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise NotemillError(f"{path} line {number} is not valid JSON.") from None
    if not isinstance(row, dict):
        raise NotemillError(f"{path} line {number} is no JSON object.")
    return row
