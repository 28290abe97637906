"""The NOTE table of the OMOP common data model, as Parquet or CSV."""

from collections.abc import Iterator
from typing import Any

from data_pipeline.config import JsonlColumns
from data_pipeline.inputs import Input
from data_pipeline.notes import Rejection, Row, make_note
from data_pipeline.readers.tables import csv_header, csv_rows, require_columns
from launch.errors import NotemillError

_NEEDED = ("note_id", "person_id", "note_text")
_USED = ("note_title", "note_type_concept_id", "note_date", "note_datetime")
_BATCH_ROWS = 512


def check(item: Input, columns: JsonlColumns) -> None:
    """Raise NotemillError when a column of the table is missing or the file is not what its ending says."""
    header = list(_parquet_columns(item)) if _is_parquet(item) else csv_header(item.path)
    require_columns(item.path, header, _NEEDED, item.kind)


def read(item: Input, columns: JsonlColumns) -> Iterator[Row]:
    """Every record, in the order of the file."""
    if _is_parquet(item):
        yield from _read_parquet(item)
        return
    for row in csv_rows(item.path):
        yield Rejection("broken_row") if row.values is None else _note(item, row.values, row.repaired_encoding)


def _note(item: Input, values: dict[str, Any], repaired_encoding: bool) -> Row:
    return make_note(
        note_id=_text(values["note_id"]),
        patient_id=_text(values["person_id"]),
        note_type=_text(values.get("note_title")) or _text(values.get("note_type_concept_id")),
        source=item.source,
        text=_text(values["note_text"]),
        repaired_encoding=repaired_encoding,
        date=_text(values.get("note_datetime")) or _text(values.get("note_date")),
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    # A nullable integer column that went through pandas comes back as 50001.0.
    if isinstance(value, float):
        return "" if value != value else str(int(value)) if value.is_integer() else str(value)
    return str(value)


def _is_parquet(item: Input) -> bool:
    return item.path.name.lower().endswith(".parquet")


def _parquet_columns(item: Input) -> dict[str, str]:
    """Lower-case column name → the file's own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return {name.lower(): name for name in pq.read_schema(item.path).names}
    except (pa.ArrowException, OSError):
        raise NotemillError(f"{item.path} is not a readable Parquet file; copy it again.") from None


def _read_parquet(item: Input) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    own_names = _parquet_columns(item)
    wanted = [name for name in (*_NEEDED, *_USED) if name in own_names]
    try:
        with pq.ParquetFile(item.path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=[own_names[name] for name in wanted]):
                columns = [batch.column(own_names[name]).to_pylist() for name in wanted]
                for values in zip(*columns, strict=True):
                    yield _note(item, dict(zip(wanted, values, strict=True)), repaired_encoding=False)
    except (pa.ArrowException, OSError):
        raise NotemillError(f"{item.path} is damaged: its Parquet data cannot be read; copy it again.") from None
