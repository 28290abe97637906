"""FHIR Binary resources that attachments point to, found by id: `Binary/123`.

They stand in the file of the documents, before or behind them, or in files called `Binary…` beside it. The first time
that one is asked for, they are copied from there into a nameless temporary file, so that memory stays flat and nothing
is left of them however the process ends. Only what may be text is copied.
"""

import functools
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from data_pipeline.readers.inputs import Input
from data_pipeline.readers.json_lines import json_lines
from data_pipeline.readers.locations import Location
from launch.errors import NotemillError

_REFERENCE = re.compile(
    r"(?:(?:^|/)Binary/|^urn:uuid:)([A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?(?:[?#].*)?$"
)
_CACHE_KIB = 16_000
_FIND = "SELECT type, data FROM binaries WHERE id = ?"


@dataclass(frozen=True)
class Binary:
    """A resource as it stands in the export."""

    content_type: str
    data: str | None
    """Base64; None where it is of a type that is not read."""


def find_binary(item: Input, reference: Any, may_be_text: Callable[[str], bool]) -> Binary | None:
    """The resource that an attachment's url points to; None where it is not among the files of `item`.

    `may_be_text` tells it of a contentType. Raises NotemillError where the temporary file cannot be written.
    """
    match = _REFERENCE.search(reference) if isinstance(reference, str) else None
    if match is None:
        return None
    for files in ((item.path,), item.members):
        stamps = tuple(file.stamp() for file in files)
        found = _table(files, stamps, may_be_text).execute(_FIND, (match[1],)).fetchone() if files else None
        if found:
            return Binary(*found)
    return None


# The files beside are the same for every file of documents in a folder: they stay while those change.
@functools.lru_cache(maxsize=2)
def _table(
    files: tuple[Location, ...], stamps: tuple[str, ...], may_be_text: Callable[[str], bool]
) -> sqlite3.Connection:
    """The resources of some files; of two with one id the first counts. `stamps` tell one state from another."""
    # Without a name SQLite makes a temporary file that is unlinked as soon as it is open.
    table = sqlite3.connect("")
    try:
        for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            table.execute(f"PRAGMA {setting}")
        table.execute("CREATE TABLE binaries (id TEXT PRIMARY KEY, type TEXT, data TEXT)")
        for file in files:
            table.executemany("INSERT OR IGNORE INTO binaries VALUES (?, ?, ?)", _binaries(file, may_be_text))
        table.commit()
    except sqlite3.Error as error:
        raise NotemillError(
            f"cannot keep the Binary resources of {files[0]} in a temporary file ({type(error).__name__}); set TMPDIR "
            "to a folder with room for them."
        ) from None
    return table


def _binaries(file: Location, may_be_text: Callable[[str], bool]) -> Iterator[tuple[str, str, str | None]]:
    for line in json_lines(Input("fhir", file, "fhir")):
        resource = line.value
        if isinstance(resource, dict) and resource.get("resourceType") == "Binary" and resource.get("id"):
            content_type, data = str(resource.get("contentType") or ""), resource.get("data")
            is_kept = isinstance(data, str) and may_be_text(content_type)
            yield str(resource["id"]), content_type, data if is_kept else None
