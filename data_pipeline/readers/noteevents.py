"""MIMIC-III NOTEEVENTS, and the tables of MIMIC-IV-Note, which are told apart by their header."""

from collections.abc import Iterator

from data_pipeline.config import JsonlColumns
from data_pipeline.inputs import Input
from data_pipeline.notes import Rejection, Row, make_note
from data_pipeline.readers.tables import csv_header, csv_rows, require_columns

_MIMIC_III = ("row_id", "subject_id", "category", "iserror", "text")
_MIMIC_IV = ("note_id", "subject_id", "note_type", "text")


def check(item: Input, columns: JsonlColumns) -> None:
    """Raise NotemillError when the columns are neither those of MIMIC-III nor of MIMIC-IV-Note."""
    header = csv_header(item.path)
    require_columns(item.path, header, _MIMIC_IV if "note_id" in header else _MIMIC_III, item.kind)


def read(item: Input, columns: JsonlColumns) -> Iterator[Row]:
    """Every record; one with ISERROR 1 is retracted."""
    for row in csv_rows(item.path):
        values = row.values
        if values is None:
            yield Rejection("broken_row")
        # MIMIC writes '1'; exports through a floating-point column turn it into '1.0'.
        elif values.get("iserror", "").strip() in ("1", "1.0"):
            yield Rejection("retracted")
        else:
            yield make_note(
                note_id=values.get("note_id") or values.get("row_id", ""),
                patient_id=values["subject_id"],
                note_type=values.get("note_type") or values.get("category", ""),
                source=item.source,
                text=values["text"],
                repaired_encoding=row.repaired_encoding,
                date=values.get("charttime") or values.get("chartdate", ""),
            )
