"""The text of a benchmark, as JSON lines that every side reads: id, patient, type, date, text.

Less than there is: each different text is taken or left by its hash, so copies stay together. More than there is: the
text as it is, then rounds in which each note comes again in one of three ways, by a draw of its own:

    15%  as it is, for the same patient: an exact copy, as a second export makes
    25%  with one number in ten changed and a sentence of another note added, for the same patient: copied forward
    60%  with every other sentence from another note of its source and all numbers changed, for a new patient

So two fifths of what is added are copies, and the others share sentences with many notes and all of none, as notes
from templates do. Equal arguments give equal bytes.
"""

import json
import random
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from data_pipeline.config import CorpusConfig
from data_pipeline.files import atomic_write, make_private_folder
from data_pipeline.invented.write import TaskSizes, write_invented
from data_pipeline.notes import Note
from data_pipeline.readers import read_rows
from data_pipeline.readers.inputs import parse_inputs
from launch.errors import NotemillError

EXACT_SHARE, NEAR_SHARE = 0.15, 0.25
CHANGED_NUMBERS = 0.1
INVENTED_PATIENTS = 1_000
_NO_TASKS = TaskSizes(*((6, 6, 6),) * 7)
_SENTENCES = re.compile(r"((?<=[.:;!?])\s+|\n+)")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class TextRow:
    """One line of the file."""

    id: str
    patient: str
    type: str
    date: str
    text: str


@dataclass(frozen=True)
class TextSize:
    """What was written; bytes are those of the texts alone, in UTF-8."""

    notes: int
    text_bytes: int


def read_sources(inputs: Sequence[str], scratch: Path) -> list[list[TextRow]]:
    """The notes of `KIND:PATH` inputs, or of an invented hospital where there are none."""
    specs = list(inputs) or invented_inputs(scratch)
    sources = []
    for number, item in enumerate(parse_inputs(specs)):
        notes = (row for row in read_rows(item, CorpusConfig()) if isinstance(row, Note))
        rows = [
            TextRow(f"{number}-{index}", f"{number}-{note.patient_id}", note.note_type, note.date, note.text)
            for index, note in enumerate(notes)
        ]
        if not rows:
            raise NotemillError(f"{item.path} holds no notes; leave it out of --data.")
        sources.append(rows)
    return sources


def invented_inputs(folder: Path) -> list[str]:
    """Inputs of an invented hospital, written to `folder`."""
    paths = write_invented(make_private_folder(folder / "invented"), INVENTED_PATIENTS, 0, _NO_TASKS)
    return [f"{kind}:{paths[kind]}" for kind in ("noteevents", "omop", "jsonl")]


def write_rows(path: Path, sources: Sequence[Sequence[TextRow]], num_bytes: int) -> TextSize:
    """Write about `num_bytes` of text made of `sources`."""
    notes = text_bytes = 0
    with atomic_write(path) as temporary, temporary.open("wb") as stream:
        for row in scaled(sources, num_bytes):
            stream.write(json.dumps(asdict(row), ensure_ascii=False).encode() + b"\n")
            notes += 1
            text_bytes += len(row.text.encode())
    return TextSize(notes, text_bytes)


def scaled(sources: Sequence[Sequence[TextRow]], num_bytes: int) -> Iterator[TextRow]:
    """The rows of `sources`, fewer or more of them; rounds follow each other, each in the order of the sources."""
    left = float(num_bytes)
    size = sum(len(row.text.encode()) for rows in sources for row in rows)
    number = 0
    while left > 0:
        for rows in sources:
            for index, row in enumerate(rows):
                if zlib.crc32(row.text.encode()) < left / size * 2**32:
                    yield _varied(rows, index, number) if number else row
        left -= size
        number += 1


def _varied(rows: Sequence[TextRow], index: int, number: int) -> TextRow:
    row = rows[index]
    rng = random.Random(f"{number}/{row.id}")
    row = replace(row, id=f"{row.id}-{number}")
    other = rows[rng.randrange(len(rows))].text
    draw = rng.random()
    if draw < EXACT_SHARE:
        return row
    if draw < EXACT_SHARE + NEAR_SHARE:
        added = rng.choice(_SENTENCES.split(other)[::2])
        return replace(row, text=f"{_with_other_numbers(row.text, rng, CHANGED_NUMBERS)}\n{added}")
    # Sentences stand at even places, what parts them at odd ones.
    own, others = _SENTENCES.split(row.text), _SENTENCES.split(other)
    for place in range(2 * rng.randrange(2), min(len(own), len(others)), 4):
        own[place] = others[place]
    text = _with_other_numbers("".join(own), rng, 1)
    return replace(row, patient=f"{row.patient}-{number}", text=text)


def _with_other_numbers(text: str, rng: random.Random, share: float) -> str:
    return _NUMBER.sub(lambda match: _other_number(match[0], rng) if rng.random() < share else match[0], text)


def _other_number(number: str, rng: random.Random) -> str:
    """Of the same length and range, so that a date stays a date."""
    ranges = ((1, 12), (13, 31), (1950, 2030))
    if len(number) > 12:
        return number
    low, high = next((pair for pair in ranges if pair[0] <= int(number) <= pair[1]), (0, 10 ** len(number) - 1))
    return str(rng.randint(low, high)).zfill(len(number))
