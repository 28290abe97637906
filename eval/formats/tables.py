"""Rows of named columns out of TSV, CSV, JSONL and JSON, and the columns a task needs found among them."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from eval.formats.base import read_text
from launch.errors import NotemillError

SUFFIXES = {"tsv": (".tsv", ".txt"), "csv": (".csv",), "jsonl": (".jsonl", ".ndjson"), "json": (".json",)}

KNOWN_COLUMNS = {
    "id": ("id", "pair_id", "pairID", "doc_id", "note_id"),
    "text": ("text", "sentence", "note", "TEXT"),
    "patient": ("patient_key", "patient_id", "subject_id", "SUBJECT_ID", "patient"),
    "label": ("gold_label", "label", "Label", "class", "category"),
    "first": ("sentence1", "premise", "text1", "sentence_1", "snomed_label_1", "term1"),
    "second": ("sentence2", "hypothesis", "text2", "sentence_2", "snomed_label_2", "term2"),
    "score": ("score", "mean_rating", "similarity", "gold_score", "rating"),
}
"""Names that public sets give to what we need, by ours; the first is the one we write."""


def read_rows(path: Path, kind: str) -> list[dict[str, Any]]:
    """All rows of a file of `kind`. Raises NotemillError naming the line that is broken."""
    text = read_text(path)
    if kind in ("tsv", "csv"):
        return _read_delimited(path, text, "\t" if kind == "tsv" else ",")
    if kind == "json":
        return _read_json(path, text)
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            rows.append(_object(path, number, line))
    return rows


def find_columns(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    wanted: Sequence[str],
    given: Mapping[str, str],
    may_be_null: Sequence[str] = (),
) -> dict[str, str]:
    """Which column holds each of `wanted`.

    Raises NotemillError that lists the columns there are, or names the first row without one; a null value counts as
    none except in the columns for `may_be_null`.
    """
    if not rows:
        raise NotemillError(f"{path} holds no rows.")
    present = list(rows[0])
    chosen = {}
    for name in wanted:
        options = (given[name],) if name in given else KNOWN_COLUMNS[name]
        column = next((option for option in options if option in present), None)
        if column is None:
            raise NotemillError(
                f"{path} has no column for '{name}' (looked for {', '.join(options)}; it has {', '.join(present)}); "
                f"name it with ?{name}=COLUMN after the path."
            )
        chosen[name] = column
    for number, row in enumerate(rows, start=1):
        for name, column in chosen.items():
            if column not in row or (row[column] is None and name not in may_be_null):
                raise NotemillError(f"{path} row {number} has no value for '{column}'.")
    return chosen


def identifier(row: Mapping[str, Any], number: int, given: Mapping[str, str]) -> str:
    """The row's own id, or its number."""
    options = (given["id"],) if "id" in given else KNOWN_COLUMNS["id"]
    return next((str(row[option]) for option in options if option in row), str(number))


def to_jsonl(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def to_delimited(rows: Sequence[Mapping[str, Any]], delimiter: str) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(rows[0]) if rows else [], delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _read_delimited(path: Path, text: str, delimiter: str) -> list[dict[str, Any]]:
    dialect = csv.excel_tab if delimiter == "\t" else csv.excel
    is_bare = delimiter == "\t" and _is_line_a_row(text)
    stream = io.StringIO(text, newline="")
    reader = csv.DictReader(stream, dialect=dialect, quoting=csv.QUOTE_NONE if is_bare else csv.QUOTE_MINIMAL)
    rows = []
    try:
        for row in reader:
            if None in row or None in row.values():
                raise NotemillError(
                    f"{path} line {reader.line_num} has another number of columns than the header's "
                    f"{len(reader.fieldnames or [])}."
                )
            rows.append({name: _unquoted(value) for name, value in row.items()} if is_bare else row)
    except csv.Error as error:
        raise NotemillError(f"{path} line {reader.line_num} cannot be read as columns: {error}.") from None
    return rows


def _is_line_a_row(text: str) -> bool:
    """Whether every line has as many tabs as the first: then no field holds a tab or a line break.

    Plain TSV releases have stray quotation marks, and one at the start of a field would make a CSV reader swallow lines
    up to the next.
    """
    tabs = {line.count("\t") for line in text.split("\n") if line.strip()}
    return len(tabs) == 1


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
        content = [{"id": key, **value} for key, value in content.items() if isinstance(value, dict)]
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
