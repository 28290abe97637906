"""Patients with all of their notes as pieces, and the windows that a step draws from them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_pipeline.manifest import MANIFEST_NAME
from eval.audit.notes import AuditNote, read_notes
from eval.finetune.text import TextEncoder
from eval.private.config import DataSettings
from launch.errors import NotemillError

_MEMBERS, _OTHERS = "members.jsonl", "non_members.jsonl"
_NOTES_AT_ONCE = 256


@dataclass(frozen=True)
class Patient:
    key: str
    notes: list[np.ndarray]
    """Pieces of each note, without special ones; notes without a piece are left out."""

    def windows(self, capacity: int) -> list[np.ndarray]:
        """All notes in windows of `capacity` pieces; a note's last window begins earlier rather than be short."""
        return [
            note[max(0, min(start, len(note) - capacity)) :][:capacity]
            for note in self.notes
            for start in range(0, len(note), capacity)
        ]


@dataclass(frozen=True)
class Notes:
    patients: list[Patient]
    sha256: str
    """Of the patients' keys and texts in their order."""
    count: int


def training_and_held_out(data: DataSettings, text: TextEncoder) -> tuple[Notes, Notes]:
    """Raises NotemillError where there are no notes of other patients to measure the loss on."""
    training, held_out = _read(data)
    both = {note.patient_key for note in training} & {note.patient_key for note in held_out}
    if both:
        raise NotemillError(
            f"{len(both)} patients have notes in both {data.path} and the held-out notes; a loss on patients that were "
            "trained on says nothing. Divide the notes by patient, as notemill audit split does."
        )
    return _by_patient(training, text), _by_patient(held_out, text)


def _read(data: DataSettings) -> tuple[list[AuditNote], list[AuditNote]]:
    path = Path(data.path)
    held_out = read_notes(Path(data.held_out)) if data.held_out else []
    if (path / MANIFEST_NAME).is_file():
        return read_notes(path, ["train"]), held_out or read_notes(path, ["valid"])
    if path.is_dir():
        if not (path / _MEMBERS).is_file():
            raise NotemillError(
                f"{path} is no corpus and no folder of notemill audit split; give one, or a JSONL file."
            )
        return read_notes(path / _MEMBERS), held_out or read_notes(path / _OTHERS)
    held_out = held_out or [note for note in read_notes(path) if note.split == "valid"]
    if not held_out:
        raise NotemillError(
            f"{path} comes without notes of other patients, on which the loss is measured; add "
            "data.held_out=FILE.jsonl."
        )
    return read_notes(path, ["train"]), held_out


def _by_patient(notes: Sequence[AuditNote], text: TextEncoder) -> Notes:
    digest = hashlib.sha256()
    pieces: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(notes), _NOTES_AT_ONCE):
        some = notes[start : start + _NOTES_AT_ONCE]
        for note, found in zip(some, text.pieces([note.text for note in some]), strict=True):
            digest.update(f"{note.patient_key}\0{note.text}\0".encode())
            if found.ids:
                pieces.setdefault(note.patient_key, []).append(np.array(found.ids, dtype=np.int32))
    if not pieces:
        raise NotemillError("the notes hold no text that the tokenizer has pieces for; check data.path.")
    return Notes([Patient(key, ids) for key, ids in pieces.items()], digest.hexdigest(), len(notes))
