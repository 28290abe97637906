r"""Plain text, one note a file: a folder with all below it, a glob, or one file.

`id`, `patient` and `type` after the path say what the names of the files tell: `stem` (the name without its ending),
`folder` (the folder that holds the file), or a regular expression with one group, searched in the path below the folder
that was named, as in `text:notes?patient=^(\d+)-`. Without them a file is its own patient, and its id is that path as
an HMAC: people name files after people.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from data_pipeline.cleaning.encodings import decode, detect
from data_pipeline.config import Columns
from data_pipeline.notes import MAX_NOTE_CHARS, Rejection, Row, make_note
from data_pipeline.readers.inputs import Input, member_name
from data_pipeline.readers.locations import Location
from data_pipeline.readers.streams import iter_chunks
from launch.errors import NotemillError

MAX_FILE_BYTES = MAX_NOTE_CHARS
"""A larger file is no note and is rejected as broken_row."""
_ENDINGS = re.compile(r"(?:\.[A-Za-z]{2,5})?(?:\.gz|\.zst|\.bz2)?$", re.IGNORECASE)


def check(item: Input, columns: Columns) -> None:
    """Raise NotemillError for a setting that says nothing about the name of a file."""
    for role in ("id", "patient", "type"):
        rule = item.settings.get(role)
        if rule is None or rule in ("stem", "folder"):
            continue
        try:
            groups = re.compile(rule).groups
        except re.error as error:
            raise NotemillError(f"{role}={rule} of {item.path} is no regular expression: {error}.") from None
        if groups != 1:
            raise NotemillError(
                f"{role}={rule} of {item.path} must be stem, folder or a regular expression with one group."
            )


def read(item: Input, columns: Columns) -> Iterator[Row]:
    """Every file, in the order of their paths."""
    for file in item.members:
        yield _note(item, file)


def _note(item: Input, file: Location) -> Row:
    name = _ENDINGS.sub("", member_name(item, file), count=1)
    note_id = _told(item, "id", name)
    is_private = not note_id
    note_id = note_id or name
    patient = _told(item, "patient", name) if "patient" in item.settings else note_id
    data = _read(file)
    if data is None:
        return Rejection("broken_row", note_id, patient, is_private)
    text, repaired = _decode(data, item.settings.get("encoding"))
    note_type = _told(item, "type", name)
    return make_note(note_id, patient, note_type, item.source, text.replace("\0", ""), repaired, is_private)


def _told(item: Input, role: str, name: str) -> str:
    """What the path of a file says about a role; empty where it says nothing."""
    rule = item.settings.get(role)
    if rule is None:
        return ""
    path = PurePosixPath(name)
    if rule == "stem":
        return path.name
    if rule == "folder":
        return path.parent.name
    match = re.search(rule, name)
    return (match[1] or "") if match else ""


def _read(file: Location) -> bytes | None:
    chunks, size = [], 0
    for chunk in iter_chunks(file):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_FILE_BYTES:
            return None
    return b"".join(chunks)


def _decode(data: bytes, encoding: str | None) -> tuple[str, bool]:
    found, mark_bytes = detect(data)
    if found == "utf-8" and (encoding is None or mark_bytes):
        return decode(data[mark_bytes:])
    text = data[mark_bytes:].decode(found if found != "utf-8" else encoding or found, errors="replace")
    return text, not text.isascii()
