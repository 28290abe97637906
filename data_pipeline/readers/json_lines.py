"""Objects of a file with one JSON value a line.

orjson reads nearly every line. One that it refuses is tried again with bad bytes repaired, NULs and other control
characters let through, and halves of surrogate pairs kept for cleaning to replace: a note is worth more than a rule.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from data_pipeline.cleaning.encodings import decode
from data_pipeline.readers.inputs import Input
from data_pipeline.readers.streams import ByteLines
from launch.errors import NotemillError

BAD_JSON = object()
"""Value of a line that is no JSON."""
_CHECKED_LINES = 100


@dataclass(frozen=True, slots=True)
class JsonLine:
    """One line that is not blank."""

    number: int
    """Counted from 1, blank lines too."""
    value: Any
    repaired: bool


def json_lines(item: Input) -> Iterator[JsonLine]:
    """All lines that are not blank, in a stream."""
    lines = ByteLines(item.path, item.settings.get("encoding"))
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            yield _second_try(number, line)
        else:
            yield JsonLine(number, value, lines.is_transcoded and not line.isascii())


def first_objects(item: Input) -> list[dict[str, Any]]:
    """Objects among the first lines. Raises NotemillError for an empty file and where there is none."""
    lines = list(itertools.islice(json_lines(item), _CHECKED_LINES))
    objects = [line.value for line in lines if isinstance(line.value, dict)]
    if not lines:
        if not item.is_named:
            return []
        raise NotemillError(f"{item.path} is empty; it should hold one JSON object a line.")
    if not objects:
        raise NotemillError(f"{item.path} holds no JSON object in its first {len(lines)} lines; is it JSON lines?")
    return objects


def _second_try(number: int, line: bytes) -> JsonLine:
    text, _ = decode(line)
    try:
        return JsonLine(number, json.loads(text.replace("\0", ""), strict=False), True)
    except (ValueError, RecursionError):
        return JsonLine(number, BAD_JSON, False)
