"""One JSON object a line, plain or compressed; configurable keys with the usual names as fallback."""

from collections.abc import Iterator
from typing import Any

from data_pipeline.config import COLUMN_ROLES, Columns
from data_pipeline.notes import Rejection, Row, make_note
from data_pipeline.readers.columns import USUAL, no_text, numbered_id, require_named, source_name
from data_pipeline.readers.inputs import Input
from data_pipeline.readers.json_lines import BAD_JSON, JsonLine, first_objects, json_lines


def check(item: Input, columns: Columns) -> None:
    """Raise NotemillError when none of the first lines holds a text, or a key named by the user is nowhere."""
    objects = first_objects(item)
    found = sorted({key for parsed in objects for key in parsed})
    for role in COLUMN_ROLES:
        named = getattr(columns, role)
        if objects and named is not None:
            require_named(item, role, named if named in found else None, named, found)
    if objects and not any(key in found for key in _keys(columns, "text")):
        raise no_text(item, found)


def read(item: Input, columns: Columns) -> Iterator[Row]:
    """Every line that is not blank."""
    keys = {role: _keys(columns, role) for role in COLUMN_ROLES}
    for line in json_lines(item):
        yield _row(item, line, keys, patient_is_named=columns.patient is not None)


def _row(item: Input, line: JsonLine, keys: dict[str, tuple[str, ...]], patient_is_named: bool) -> Row:
    if line.value is BAD_JSON:
        return Rejection("bad_json")
    if not isinstance(line.value, dict):
        return Rejection("broken_row")
    note_id = _scalar(_first(line.value, keys["id"])) or numbered_id(item, line.number)
    text = _first(line.value, keys["text"])
    if text is not None and not isinstance(text, str):
        return Rejection("broken_row")
    patient = _scalar(_first(line.value, keys["patient"]))
    return make_note(
        note_id=note_id,
        # A line that has a usual key with nothing in it is still one note of one unknown patient.
        patient_id=patient if patient or patient_is_named else note_id,
        note_type=_scalar(_first(line.value, keys["type"])),
        source=source_name(_scalar(_first(line.value, keys["source"]))) or item.source,
        text=text or "",
        repaired_encoding=line.repaired,
        date=_scalar(_first(line.value, keys["date"])),
    )


def _keys(columns: Columns, role: str) -> tuple[str, ...]:
    named = getattr(columns, role)
    return (named,) if named is not None else USUAL[role]


def _first(parsed: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((parsed[key] for key in keys if parsed.get(key) is not None), None)


def _scalar(value: Any) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value).strip()
