"""Readers: one module a kind of input, each with `read(input, columns) -> Iterator[Row]` and `check(input, columns)`.

`check` looks at the head of a file and raises NotemillError before anything is written; `read` streams in flat memory
and raises NotemillError where a file turns out to be cut short. A row that is no note is yielded as a Rejection, so
that whoever counts rows counts them all.
"""

from collections.abc import Iterator
from types import ModuleType

from data_pipeline.config import JsonlColumns
from data_pipeline.inputs import Input
from data_pipeline.notes import Row


def check_input(item: Input, columns: JsonlColumns) -> None:
    """Raise NotemillError when the file is of another kind than it is said to be."""
    _reader(item.kind).check(item, columns)


def read_rows(item: Input, columns: JsonlColumns) -> Iterator[Row]:
    """All rows of one file, in its order."""
    return _reader(item.kind).read(item, columns)


def _reader(kind: str) -> ModuleType:
    from data_pipeline.readers import jsonl, noteevents, omop

    return {"noteevents": noteevents, "omop": omop, "jsonl": jsonl}[kind]
