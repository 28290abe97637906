"""MIMIC-III NOTEEVENTS, and the tables of MIMIC-IV-Note, which are told apart by their header."""

from collections.abc import Iterator

from data_pipeline.config import Columns
from data_pipeline.notes import Rejection, Row, make_note, plain_id
from data_pipeline.readers.inputs import Input
from data_pipeline.readers.tables import csv_header, csv_rows, require_columns

_MIMIC_III = ("row_id", "subject_id", "category", "iserror", "text")
_MIMIC_IV = ("note_id", "subject_id", "note_type", "text")


def check(item: Input, columns: Columns) -> None:
    """Raise NotemillError when the columns are neither those of MIMIC-III nor of MIMIC-IV-Note."""
    header = csv_header(item)
    if header:
        require_columns(item.path, header, _MIMIC_IV if "note_id" in header else _MIMIC_III, item.kind)


def read(item: Input, columns: Columns) -> Iterator[Row]:
    """Every record; one with ISERROR 1 is retracted."""
    for row in csv_rows(item):
        values = row.values
        if values is None:
            yield Rejection("broken_row")
            continue
        note_id = values.get("note_id") or values.get("row_id", "")
        # MIMIC writes '1'; exports through a floating-point column turn it into '1.0'.
        if values.get("iserror", "").strip() in ("1", "1.0"):
            yield Rejection("retracted", plain_id(note_id), plain_id(values["subject_id"]))
            continue
        yield make_note(
            note_id=note_id,
            patient_id=values["subject_id"],
            note_type=values.get("note_type") or values.get("category", ""),
            source=item.source,
            text=values["text"],
            repaired_encoding=row.repaired_encoding,
            date=values.get("charttime") or values.get("chartdate", ""),
        )
