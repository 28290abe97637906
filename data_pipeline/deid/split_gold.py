"""Divide marked notes into train, dev and test, so that a tagger is scored on notes and patients that it never saw.

All notes of one patient, and all notes with the same text, go to one side; which side follows from a hash of them, so
the same file gives the same division everywhere and added notes move no other.

Each line also tells what patterns and lexicons find in the note ("found"), so that the tagger's threshold can be chosen
by what the tagger adds to them.
"""

import hashlib
from pathlib import Path
from typing import Any

import orjson

from data_pipeline.deid.detect import find_phi
from data_pipeline.deid.score import GoldNote, read_gold
from data_pipeline.files import make_private_folder, write_text
from launch.errors import NotemillError

_SPLITS = ("train", "dev", "test")


def split_gold(gold: Path, out: Path, test_share: float, dev_share: float) -> dict[str, int]:
    """Write OUT/{train,dev,test}.jsonl and return how many notes each holds. Raises NotemillError."""
    if not (test_share > 0 and dev_share > 0 and test_share + dev_share < 1):
        raise NotemillError(f"--test {test_share} and --dev {dev_share} must be above 0 and below 1 together.")
    if out.exists() and any(out.iterdir()):
        raise NotemillError(f"{out} is not empty; name another folder with --out.")
    sides: dict[str, list[GoldNote]] = {split: [] for split in _SPLITS}
    for notes in _groups(read_gold(gold)):
        uniform = int.from_bytes(hashlib.sha256(_name(notes).encode()).digest()[:8]) / 2**64
        side = "test" if uniform < test_share else "dev" if uniform < test_share + dev_share else "train"
        sides[side] += notes
    empty = [split for split, notes in sides.items() if not notes]
    if empty:
        raise NotemillError(f"{gold} has too few patients for a {empty[0]} split; mark more notes.")
    make_private_folder(out)
    for split, notes in sides.items():
        write_text(out / f"{split}.jsonl", "".join(f"{_line(note)}\n" for note in notes))
    return {split: len(notes) for split, notes in sides.items()}


def _groups(notes: list[GoldNote]) -> list[list[GoldNote]]:
    """Notes that share a patient or a text, through however many others, in the order of the file."""
    parent = list(range(len(notes)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = index = parent[parent[index]]
        return index

    first: dict[tuple[str, str], int] = {}
    for index, note in enumerate(notes):
        for key in (("text", note.text), ("patient", note.patient_id)):
            if key[1]:
                parent[root(index)] = root(first.setdefault(key, index))
    groups: dict[int, list[GoldNote]] = {}
    for index, note in enumerate(notes):
        groups.setdefault(root(index), []).append(note)
    return list(groups.values())


def _name(notes: list[GoldNote]) -> str:
    return min(note.patient_id or note.text for note in notes)


def _line(note: GoldNote) -> str:
    spans = [{"start": start, "end": end, "label": label} for start, end, label in note.spans]
    fields: dict[str, Any] = {"id": note.note_id, "subject_id": note.patient_id, "text": note.text, "spans": spans}
    fields["found"] = [[span.start, span.end] for span in find_phi(note.text)]
    return orjson.dumps(fields).decode()
