"""One JSON object a line, plain or compressed; configurable keys with the usual names as fallback."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import orjson

from data_pipeline.config import JsonlColumns
from data_pipeline.inputs import Input
from data_pipeline.notes import Note, Rejection, Row, make_note
from data_pipeline.readers.streams import DecodedLines
from launch.errors import NotemillError

_USUAL = {
    "id": ("id", "note_id", "row_id"),
    "text": ("text", "note_text", "content"),
    "patient": ("patient_id", "subject_id", "person_id", "patient"),
    "type": ("note_type", "type", "category"),
    "source": (),
    "date": ("date", "note_date", "charttime", "chartdate"),
}
_CHECKED_LINES = 100
_NOT_IN_FILE_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")


def check(item: Input, columns: JsonlColumns) -> None:
    """Raise NotemillError when none of the first lines holds a text, or a key named by the user is nowhere."""
    lines = list(itertools.islice((line for line in DecodedLines(item.path) if line.strip()), _CHECKED_LINES))
    objects = [parsed for line in lines if isinstance(parsed := _parse(line), dict)]
    if not lines:
        raise NotemillError(f"{item.path} is empty; it should hold one JSON object a line.")
    if not objects:
        raise NotemillError(f"{item.path} holds no JSON object in its first {len(lines)} lines; is it JSON lines?")
    found = sorted({key for parsed in objects for key in parsed})
    for role in _USUAL:
        named = getattr(columns, role)
        if named is not None and named not in found:
            raise NotemillError(
                f"{item.path} has no key '{named}' (from jsonl.{role}); its keys are {', '.join(found)}."
            )
    if not any(key in found for key in _keys(columns, "text")):
        raise NotemillError(
            f"{item.path} has no key 'text'; name it with jsonl.text=KEY; its keys are {', '.join(found)}."
        )


def read(item: Input, columns: JsonlColumns) -> Iterator[Row]:
    """Every line that is not blank."""
    keys = {role: _keys(columns, role) for role in _USUAL}
    lines = DecodedLines(item.path)
    repaired_before = 0
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _row(item, _parse(line), keys, number, repaired_encoding=lines.repaired > repaired_before)
        repaired_before = lines.repaired


def _row(item: Input, parsed: Any, keys: dict[str, tuple[str, ...]], number: int, repaired_encoding: bool) -> Row:
    if parsed is _BAD_JSON:
        return Rejection("bad_json")
    if not isinstance(parsed, dict):
        return Rejection("broken_row")
    text = _first(parsed, keys["text"])
    if text is not None and not isinstance(text, str):
        return Rejection("broken_row")
    note_id = _scalar(_first(parsed, keys["id"])) or f"{item.source}-{number}"
    row = make_note(
        note_id=note_id,
        patient_id=_scalar(_first(parsed, keys["patient"])) or note_id,
        note_type=_scalar(_first(parsed, keys["type"])),
        source=_NOT_IN_FILE_NAMES.sub("_", _scalar(_first(parsed, keys["source"])))[:64] or item.source,
        text=text or "",
        repaired_encoding=repaired_encoding,
        date=_scalar(_first(parsed, keys["date"])),
    )
    # A line that had a patient key with nothing in it is still one note of one unknown patient.
    return row if isinstance(row, Note) or row.reason != "missing_patient" else Rejection("broken_row")


_BAD_JSON = object()


def _parse(line: str) -> Any:
    try:
        return orjson.loads(line.encode("utf-8", errors="replace"))
    except orjson.JSONDecodeError:
        return _BAD_JSON


def _keys(columns: JsonlColumns, role: str) -> tuple[str, ...]:
    named = getattr(columns, role)
    return (named,) if named is not None else _USUAL[role]


def _first(parsed: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((parsed[key] for key in keys if parsed.get(key) is not None), None)


def _scalar(value: Any) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value).strip()
