"""What a reader yields: a note, or the reason why a row is no note."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

RejectionReason = Literal[
    "retracted",
    "superseded",
    "other_resource",
    "empty_text",
    "broken_row",
    "bad_json",
    "missing_patient",
    "bad_base64",
    "attachment_type",
    "attachment_elsewhere",
    "too_short",
    "other_language",
    "boilerplate",
    "contaminated",
]
EXPECTED_REASONS: frozenset[str] = frozenset(
    {"retracted", "superseded", "other_resource", "too_short", "other_language", "boilerplate", "contaminated"}
)
"""Reasons that the source itself or the user's settings give; the others are losses, see `config.RejectsConfig`."""


@dataclass(frozen=True, slots=True)
class Note:
    """A row with text, still with the identifiers of its source."""

    note_id: str
    patient_id: str
    note_type: str
    source: str
    text: str
    repaired_encoding: bool = False
    """True where bytes were not UTF-8."""
    is_id_private: bool = False
    """True where the id was not given as one, as the name of a file, and may name a person."""
    date: str = ""
    """As the source has it; only the order within a patient is read from it. Empty where unknown."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that cannot become a note. It counts as read."""

    reason: RejectionReason
    note_id: str = ""
    """Known only where the row could be read: a cell of a broken record may be anything, even text."""
    patient_id: str = ""
    is_id_private: bool = False


Row: TypeAlias = Note | Rejection


def plain_id(value: str) -> str:
    """An id without surrounding spaces; 20000.0, from a column that was read as floating point, is 20000."""
    value = value.strip()
    return value[:-2] if value.endswith(".0") and value[:-2].isdigit() else value


MAX_NOTE_CHARS = 64_000_000
"""A longer text is no note but a mistake of an export, and would take a worker hours and all memory."""
_NO_PATIENT = frozenset(["\\n", "null", "nan", "none", "na", "n/a", "<na>"])
"""What databases and data frames write where there is nothing; taken as ids they would be one patient with them all."""


def make_note(
    note_id: str,
    patient_id: str,
    note_type: str,
    source: str,
    text: str,
    repaired_encoding: bool = False,
    is_id_private: bool = False,
    date: str = "",
) -> Row:
    """A Note, or the Rejection that the fields call for; surrounding spaces of ids are dropped."""
    note_id, patient_id = plain_id(note_id), plain_id(patient_id)
    patient_id = "" if patient_id.lower() in _NO_PATIENT else patient_id
    if len(text) > MAX_NOTE_CHARS:
        return Rejection("broken_row", note_id, patient_id, is_id_private)
    if not text.strip("\0 \t\r\n\xa0"):
        return Rejection("empty_text", note_id, patient_id, is_id_private)
    if not patient_id:
        return Rejection("missing_patient", note_id, is_id_private=is_id_private)
    return Note(note_id, patient_id, note_type.strip(), source, text, repaired_encoding, is_id_private, date)
