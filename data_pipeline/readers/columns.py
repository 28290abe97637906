"""Which column of a table is the text, the id, the patient, the type; and a row of such columns as a note."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_pipeline.cleaning.encodings import decode
from data_pipeline.config import COLUMN_ROLES, Columns
from data_pipeline.notes import Row, make_note
from data_pipeline.readers.inputs import Input
from data_pipeline.readers.locations import Location
from launch.errors import NotemillError

USUAL: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "note_id", "row_id"),
    "text": ("text", "note_text", "content", "body"),
    # The last is how a corpus calls them, whose notes come back with canaries among them.
    "patient": ("patient_id", "subject_id", "person_id", "patient", "mrn", "patient_key"),
    "type": ("note_type", "type", "category", "note_title", "note_type_concept_id"),
    "source": (),
    "date": ("date", "note_date", "charttime", "chartdate", "note_datetime"),
}
"""Names that are looked for where the user names none, best first, in lower case."""

_NOT_IN_FILE_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_MAX_SOURCE_CHARS = 64
_ID_HEX = 12
_LIKE_A_NAME = re.compile(r"[^\W\d][\w .-]{0,39}")
_TOLD_NAMES = 20


@dataclass(frozen=True)
class Choice:
    """The columns of one table that we read, by role; a role that no column has is absent."""

    columns: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        """The columns to read, each once: one may be both the id and the patient."""
        return list(dict.fromkeys(self.columns.values()))

    def places(self, read: Sequence[str]) -> dict[str, int]:
        """Role → where its value stands in a row of the columns `read`."""
        return {role: read.index(name) for role, name in self.columns.items()}


def choose_columns(item: Input, found: Sequence[str], columns: Columns) -> Choice:
    """Columns for all roles. Names fit in any case.

    Raises NotemillError when a column that the user named is not there, or no column is the text.
    """
    by_lower = {name.lower(): name for name in reversed(found)}
    chosen = {}
    for role in COLUMN_ROLES:
        named = getattr(columns, role)
        if named is not None:
            own = named if named in found else by_lower.get(named.lower())
            require_named(item, role, own, named, found)
        else:
            own = next((by_lower[usual] for usual in USUAL[role] if usual in by_lower), None)
        if own is not None:
            if own != named or found.count(own) > 1:
                refuse_twins(item.path, [own.lower()], [name.lower() for name in found])
            chosen[role] = own
    if "text" not in chosen:
        raise no_text(item, found)
    return Choice(chosen)


def require_named(item: Input, role: str, own: str | None, named: str, found: Collection[str]) -> None:
    """Raise NotemillError where the column that the user named for a role was not found."""
    if own is None:
        where = "after its path" if role in item.settings else f"from {item.kind}.{role}"
        raise NotemillError(f"{item.path} has no column '{named}' for {role} ({where}); {told_columns(found)}.")


def no_text(item: Input, found: Collection[str]) -> NotemillError:
    """The error for a table without a column that is the text."""
    return NotemillError(
        f"{item.path} has no column 'text'; name it with ?text=COLUMN after its path or {item.kind}.text=COLUMN; "
        f"{told_columns(found)}."
    )


def told_columns(found: Collection[str]) -> str:
    """The columns by name for a message, or only their number: the first line of a file without header is a row."""
    names = [name for name in found if name.strip()]
    if not all(map(_LIKE_A_NAME.fullmatch, names)):
        return f"its first line has {len(found)} columns, which do not look like names"
    more = f" and {len(names) - _TOLD_NAMES} more" if len(names) > _TOLD_NAMES else ""
    return f"its columns are {', '.join(names[:_TOLD_NAMES])}{more}"


def refuse_twins(path: Location, needed: Collection[str], found: Sequence[str]) -> None:
    """Raise NotemillError where a needed column stands twice in `found`, both in lower case."""
    for name in needed:
        if found.count(name) > 1:
            raise NotemillError(f"{path} has {found.count(name)} columns called '{name}'; leave one of them.")


def note_of(item: Input, choice: Choice, values: Mapping[str, Any], number: int, repaired: bool = False) -> Row:
    """The note in a row, `values` being by role; `number` stands in for a missing id.

    Without a column for the patient, or where only its usual name was found and the row has no value, the note is its
    own patient's.
    """
    text, was_repaired = as_text(values.get("text"))
    note_id = as_text(values.get("id"))[0].strip() or numbered_id(item, number)
    patient = as_text(values.get("patient"))[0].strip()
    if not patient and "patient" not in choice.columns:
        patient = note_id
    return make_note(
        note_id=note_id,
        patient_id=patient,
        note_type=as_text(values.get("type"))[0],
        source=source_name(as_text(values.get("source"))[0]) or item.source,
        text=text,
        repaired_encoding=repaired or was_repaired,
        date=as_text(values.get("date"))[0],
    )


def numbered_id(item: Input, number: int) -> str:
    """An id for a row that has none. Other files have rows of that number too, so the file's hash is in it."""
    return f"{item.source}-{item.sha256[:_ID_HEX]}-{number}"


def source_name(value: str) -> str:
    """A value of the source column, which later stages use in the names of files."""
    return _NOT_IN_FILE_NAMES.sub("_", value.strip())[:_MAX_SOURCE_CHARS]


def as_text(value: Any) -> tuple[str, bool]:
    """A cell of any type as text, and whether its bytes were repaired."""
    if isinstance(value, str):
        return value, False
    if value is None:
        return "", False
    if isinstance(value, bytes | bytearray | memoryview):
        return decode(bytes(value))
    # A nullable integer column that went through pandas comes back as 50001.0.
    if isinstance(value, float):
        return "" if value != value else str(int(value)) if value.is_integer() else str(value), False
    # Large objects of some databases are handles.
    if hasattr(value, "read"):
        return as_text(value.read())
    return str(value), False
