"""Readers: one module a kind of input, each with `read(input, columns) -> Iterator[Row]` and `check(input, columns)`.

`check` looks at the head of an input and raises NotemillError before anything is written; `read` streams in flat memory
and raises NotemillError where a file turns out to be cut short. A row that is no note is yielded as a Rejection, so
that whoever counts rows counts them all.
"""

import dataclasses
import importlib
from collections.abc import Iterator
from types import ModuleType

from data_pipeline.config import COLUMN_ROLES, Columns, CorpusConfig
from data_pipeline.notes import Row
from data_pipeline.readers.inputs import Input, require_unchanged

_MODULES = {
    "noteevents": "noteevents",
    "omop": "omop",
    "jsonl": "jsonl",
    "csv": "delimited",
    "parquet": "parquet",
    "text": "text_files",
    "sql": "sql",
    "fhir": "fhir",
}


def check_input(item: Input, config: CorpusConfig) -> None:
    """Raise NotemillError when the input is of another kind than it is said to be."""
    _reader(item.kind).check(item, columns_of(item, config))


def read_rows(item: Input, config: CorpusConfig) -> Iterator[Row]:
    """All rows of one input, in its order; at their end NotemillError where a file changed since it was hashed."""
    yield from _reader(item.kind).read(item, columns_of(item, config))
    require_unchanged(item)


def columns_of(item: Input, config: CorpusConfig) -> Columns:
    """The columns named in the settings of the kind, and over them those after the input's path."""
    own = {role: value for role, value in item.settings.items() if role in COLUMN_ROLES}
    return dataclasses.replace(getattr(config, item.kind, Columns()), **own)


def _reader(kind: str) -> ModuleType:
    return importlib.import_module(f"data_pipeline.readers.{_MODULES[kind]}")
