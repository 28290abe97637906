"""The notes of a review as a spreadsheet: written for people to fill in, and read back.

    number,note_type,part,sample,outcome,text

Spreadsheet programs cut a cell after 32,767 characters, so a longer note has several parts, each a row; one word in any
of them is its outcome, and 'leak' weighs more than 'clean'. They also take a text that begins with = or - for a
formula, and a file without a byte-order mark for CP-1252; both are seen to. `sample` ties a sheet to its corpus: number
7 is another note in another one.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

from data_pipeline.files import atomic_write
from data_pipeline.gate.review import OUTCOMES, Outcome, SampledNote
from data_pipeline.manifest import CorpusManifest
from data_pipeline.notes import plain_id
from data_pipeline.readers.tables import csv_header, csv_rows
from launch.errors import NotemillError

COLUMNS = ("number", "note_type", "part", "sample", "outcome", "text")
MAX_CELL_CHARS = 30_000
_LIKE_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_HASH_CHARS = 12


def write_sheet(path: Path, notes: Iterable[tuple[SampledNote, str]], manifest: CorpusManifest) -> None:
    """Write the notes. Raises NotemillError where the file is there already: somebody may have filled it in."""
    if path.exists():
        raise NotemillError(f"{path} is there already and may hold outcomes; import it, or name another file.")
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for note, text in notes:
            parts = [text[start : start + MAX_CELL_CHARS] for start in range(0, len(text), MAX_CELL_CHARS)]
            for number, part in enumerate(parts, start=1):
                of = f"{number} of {len(parts)}" if len(parts) > 1 else ""
                writer.writerow([note["number"], _cell(note["note_type"]), of, _sample(manifest), "", _cell(part)])


def read_sheet(path: Path, manifest: CorpusManifest) -> dict[int, Outcome]:
    """Outcomes by number, from the rows that have one.

    Raises NotemillError for a sheet of another corpus, and for a word that is no outcome.
    """
    if not path.is_file():
        raise NotemillError(f"no file at {path}; check --import.")
    if not {"number", "outcome"} <= set(csv_header(path)):
        raise NotemillError(f"{path} has no columns 'number' and 'outcome'; --export writes such a file.")
    found: dict[int, Outcome] = {}
    for line, row in enumerate(csv_rows(path), start=2):
        if row.values is None:
            raise NotemillError(f"record {line} of {path} has another number of fields than its header.")
        outcome = row.values["outcome"].strip().lower()
        if not outcome:
            continue
        number, sample = plain_id(row.values["number"]), row.values.get("sample", "").strip()
        if outcome not in OUTCOMES or not number.isdigit():
            raise NotemillError(
                f"record {line} of {path} needs a number, and 'clean', 'leak' or nothing as its outcome."
            )
        if sample and sample != _sample(manifest):
            raise NotemillError(f"{path} was exported from another corpus than this one; its numbers are other notes.")
        if found.get(int(number)) != "leak":
            found[int(number)] = outcome
    return found


def _sample(manifest: CorpusManifest) -> str:
    # Letters around the digits: a hash of digits and one e would be a number to a spreadsheet.
    return f"sample-{manifest['attestation']['review_sample_sha256'][:_HASH_CHARS]}"


def _cell(value: str) -> str:
    return f" {value}" if value.startswith(_LIKE_A_FORMULA) else value
