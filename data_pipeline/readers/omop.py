"""The NOTE table of the OMOP common data model, as Parquet or CSV."""

from collections.abc import Iterator, Mapping
from typing import Any

from data_pipeline.config import Columns
from data_pipeline.notes import Rejection, Row, make_note
from data_pipeline.readers.columns import as_text
from data_pipeline.readers.inputs import Input
from data_pipeline.readers.parquet_rows import parquet_columns, parquet_rows
from data_pipeline.readers.tables import csv_header, csv_rows, require_columns

_NEEDED = ("note_id", "person_id", "note_text")
_TYPE = ("note_title", "note_type_concept_id")
_DATE = ("note_datetime", "note_date")


def check(item: Input, columns: Columns) -> None:
    """Raise NotemillError when a column of the table is missing or the file is not what its ending says."""
    header = [name.lower() for name in parquet_columns(item.path)] if _is_parquet(item) else csv_header(item)
    if header:
        require_columns(item.path, header, _NEEDED, item.kind)


def read(item: Input, columns: Columns) -> Iterator[Row]:
    """Every record, in the order of the file."""
    if _is_parquet(item):
        yield from _read_parquet(item)
        return
    for row in csv_rows(item):
        yield Rejection("broken_row") if row.values is None else _note(item, row.values, row.repaired_encoding)


def _note(item: Input, values: Mapping[str, Any], repaired_encoding: bool) -> Row:
    text, is_repaired = as_text(values["note_text"])
    return make_note(
        note_id=as_text(values["note_id"])[0],
        patient_id=as_text(values["person_id"])[0],
        note_type=_first(values, _TYPE),
        source=item.source,
        text=text,
        repaired_encoding=repaired_encoding or is_repaired,
        date=_first(values, _DATE),
    )


def _first(values: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((found for name in names if (found := as_text(values.get(name))[0])), "")


def _is_parquet(item: Input) -> bool:
    return item.path.name.endswith(".parquet")


def _own_names(item: Input) -> dict[str, str]:
    """Lower-case column name → the file's own."""
    return {name.lower(): name for name in parquet_columns(item.path)}


def _read_parquet(item: Input) -> Iterator[Row]:
    own_names = _own_names(item)
    wanted = [name for name in (*_NEEDED, *_TYPE, *_DATE) if name in own_names]
    for values in parquet_rows(item.path, [own_names[name] for name in wanted]):
        yield _note(item, dict(zip(wanted, values, strict=True)), repaired_encoding=False)
