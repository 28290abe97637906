"""Notes as audits read them: a corpus that was built here, or one JSON object a line."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from data_pipeline.files import write_text
from data_pipeline.manifest import attested_corpus, iter_notes
from data_pipeline.patients import SPLITS
from data_pipeline.readers.columns import USUAL
from launch.errors import NotemillError

_CORPUS_COLUMNS = ("note_id", "patient_key", "split", "text")
_PATIENT_KEYS = ("patient_key", *USUAL["patient"])
_ID_KEYS = ("note_id", *USUAL["id"])


@dataclass(frozen=True)
class AuditNote:
    note_id: str
    patient_key: str
    text: str
    split: str = ""
    """train, valid or test as the corpus or the JSONL has it; empty where that names none."""


class OfPatient(Protocol):
    """A note, with its text or without."""

    @property
    def patient_key(self) -> str: ...


def count_patients(notes: Iterable[OfPatient]) -> int:
    return len({note.patient_key for note in notes})


def read_notes(path: Path, splits: Sequence[str] = SPLITS) -> list[AuditNote]:
    """Notes of a corpus folder's `splits`, or of a JSONL file with note_id, patient_key (or patient_id, subject_id, …)
    and text; of a line that names its split, too, only if it is one of these.

    Raises NotemillError when there is neither, or a line cannot be read; the line's text is not quoted.
    """
    notes = list(each_note(path, splits))
    if not notes and not path.is_dir():
        raise NotemillError(f"{path} holds no notes.")
    return notes


def each_note(path: Path, splits: Sequence[str] = SPLITS) -> Iterator[AuditNote]:
    """The same one after another, in flat memory."""
    if path.is_dir():
        attested_corpus(path)
        for split in splits:
            for row in iter_notes(path, split, _CORPUS_COLUMNS):
                yield AuditNote(**row)
    elif path.is_file():
        left_out = set(SPLITS) - set(splits)
        yield from (note for note in _read_lines(path) if note.split not in left_out)
    else:
        raise NotemillError(f"no notes at {path}; give the folder of a corpus or a JSONL file.")


def write_notes(path: Path, notes: Iterable[AuditNote]) -> int:
    """Write one JSON object a line, readable by the owner alone; the number of notes."""
    lines = [line_of(note) for note in notes]
    write_text(path, "".join(lines))
    return len(lines)


def line_of(note: AuditNote) -> str:
    """A note as a line of JSON, with its end."""
    fields = {name: value for name, value in asdict(note).items() if name != "split" or value}
    return json.dumps(fields, ensure_ascii=False) + "\n"


def _read_lines(path: Path) -> Iterator[AuditNote]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                text = row["text"]
                patient = next(row[key] for key in _PATIENT_KEYS if row.get(key) not in (None, ""))
                note_id = next((row[key] for key in _ID_KEYS if row.get(key) not in (None, "")), f"line {number}")
            except (ValueError, RecursionError):
                raise NotemillError(f"line {number} of {path} is no JSON object.") from None
            except (KeyError, TypeError, AttributeError, StopIteration):
                raise NotemillError(
                    f"line {number} of {path} needs a text and a patient_key (or patient_id); without the patient "
                    "members cannot be told from non-members."
                ) from None
            if not isinstance(text, str) or not isinstance(patient, str | int):
                raise NotemillError(
                    f"line {number} of {path} needs a text that is a string and a patient's name or number."
                )
            note = AuditNote(str(note_id), str(patient), text, str(row.get("split") or ""))
            if any("\ud800" <= letter <= "\udfff" for value in vars(note).values() for letter in value):
                raise NotemillError(f"line {number} of {path} has half of a surrogate pair; write it whole.")
            yield note
