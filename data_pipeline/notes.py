"""What a reader yields: a note, or the reason why a row is no note."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

RejectionReason = Literal[
    "retracted",
    "empty_text",
    "broken_row",
    "bad_json",
    "missing_patient",
    "too_short",
    "other_language",
    "boilerplate",
    "contaminated",
]
REJECTION_REASONS: tuple[RejectionReason, ...] = get_args(RejectionReason)


@dataclass(frozen=True, slots=True)
class Note:
    """A row with text, still with the identifiers of its source."""

    note_id: str
    patient_id: str
    note_type: str
    source: str
    text: str
    repaired_encoding: bool = False
    """True where bytes that are not UTF-8 were read as CP-1252."""
    date: str = ""
    """As the source has it; only the order within a patient is read from it. Empty where unknown."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that cannot become a note. It counts as read."""

    reason: RejectionReason


Row: TypeAlias = Note | Rejection


def make_note(
    note_id: str,
    patient_id: str,
    note_type: str,
    source: str,
    text: str,
    repaired_encoding: bool = False,
    date: str = "",
) -> Row:
    """A Note, or the Rejection that the fields call for; surrounding spaces of ids are dropped."""
    if not text.strip("\0 \t\r\n\xa0"):
        return Rejection("empty_text")
    if not patient_id.strip():
        return Rejection("missing_patient")
    return Note(note_id.strip(), patient_id.strip(), note_type.strip(), source, text, repaired_encoding, date)
