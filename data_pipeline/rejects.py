"""Rows that became no note: which they are, and when there are too many of them.

rejected/rows-00000.parquet says for every such row the input (its place in the manifest's list), the row's number in
it, counted from 1, the id of the note and the reason. An id is kept as for notes: as it is, or as its HMAC where it
spells out the patient, where a roster finds an identifier in it, or where the row names no patient to compare it with.
A record that could not be read has no id but its number, for what stands in the id's place may be anything.
"""

from collections.abc import Sequence

import pyarrow as pa

from data_pipeline.config import RejectsConfig
from data_pipeline.deid.roster import Roster
from data_pipeline.manifest import InputEntry
from data_pipeline.notes import EXPECTED_REASONS, Note, Rejection
from data_pipeline.patients import note_key, safe_note_id
from launch.errors import NotemillError

REJECTED_ROW_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("note_id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)
REJECTED_SCHEMA = pa.schema([pa.field("input", pa.int32(), nullable=False), *REJECTED_ROW_SCHEMA])


class TooManyRejectsError(NotemillError):
    """More rows were rejected than the settings allow; the finished pieces stay for another try."""


def kept_id(key: bytes, note_id: str, row: Note | Rejection, roster: Roster | None) -> str:
    """`note_id`, the cleaned id of `row`, as it may stand in a corpus: itself or its HMAC."""
    if row.is_id_private or not row.patient_id:
        return note_key(key, note_id) if note_id else ""
    safe = safe_note_id(key, note_id, row.patient_id)
    if roster is not None and roster.leaks(safe, row.patient_id):
        # An id that stands for the patient too is not looked at above, but a roster knows it for what it is.
        return note_key(key, safe)
    return safe


def check_share(inputs: Sequence[InputEntry], limits: RejectsConfig, remedy: str) -> None:
    """Raise TooManyRejectsError when the losses pass `rejects.max_share` of all rows; `remedy` says what to do."""
    read = sum(entry["rows"] for entry in inputs)
    losses = sum(_losses(entry) for entry in inputs)
    if losses <= limits.max_share * read:
        return
    raise TooManyRejectsError(
        f"{losses} of {read} rows ({losses / read:.1%}) were rejected, more than rejects.max_share={limits.max_share}; "
        f"{remedy}."
    )


def rejects_table(inputs: Sequence[InputEntry]) -> str:
    """Lines of rows, share, reason and input, the largest number of an input first; empty where no row was rejected."""
    lines = [
        f"{number:>12,}  {number / entry['rows']:>6.1%}  {reason:<20}  {entry['path']}"
        for entry in inputs
        for reason, number in sorted(entry["rejected"].items(), key=lambda item: (-item[1], item[0]))
    ]
    return "\n".join([f"{'rejected':>12}  {'share':>6}  {'reason':<20}  input", *lines]) if lines else ""


def _losses(entry: InputEntry) -> int:
    return sum(number for reason, number in entry["rejected"].items() if reason not in EXPECTED_REASONS)
