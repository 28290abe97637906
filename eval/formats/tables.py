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
    path: Path, rows: Sequence[Mapping[str, Any]], wanted: Sequence[str], given: Mapping[str, str]
) -> dict:
    """Which column holds each of `wanted`. Raises NotemillError that lists the columns there are."""
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
    # Plain TSV releases have bare quotation marks in their text; a quoted file has them right after the delimiter.
    is_bare = delimiter == "\t" and '\t"' not in text and not text.startswith('"')
    dialect = csv.excel_tab if delimiter == "\t" else csv.excel
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
            rows.append(row)
    except csv.Error as error:
        raise NotemillError(f"{path} line {reader.line_num} cannot be read as columns: {error}.") from None
    return rows


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
