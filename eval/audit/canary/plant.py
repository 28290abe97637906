"""Plant canaries among notes: each by the fall of a coin, so that what would have happened without it is known."""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_pipeline.files import make_own_folder, read_json, write_json
from eval.audit.canary.key import CANARIES_FILE, ID_PREFIX, NOTES_FILE, Canary, draw_sentence, wrong_settings
from eval.audit.notes import AuditNote, read_notes, write_notes
from launch.errors import NotemillError

MIN_WORD_PATIENTS = 8
"""Canaries are made of words that stand in the notes of so many patients at least, so they tell of none."""
_MIN_WORDS = 64


def plant_canaries(
    notes_path: Path, out: Path, *, count: int, length: int, repeats: Sequence[int], seed: int
) -> tuple[int, int]:
    """Write OUT/notes.jsonl (all notes and the canaries that are in) and OUT/canaries.json; how many are in, and notes.

    Each canary is a pseudo-patient's own notes. Of notes that name their split only train is taken. Raises
    NotemillError where the notes give too few words.
    """
    problems = wrong_settings(count, length, repeats)
    if problems:
        raise NotemillError(f"{problems}.")
    notes = read_notes(notes_path, ("train",))
    words = _common_words(notes)
    if len(words) < _MIN_WORDS:
        raise NotemillError(
            f"{notes_path} has {len(words)} words that stand in the notes of {MIN_WORD_PATIENTS} patients; canaries "
            f"need at least {_MIN_WORDS} to be told apart, so give more notes."
        )
    rng = random.Random(seed)
    canaries = [
        Canary(draw_sentence(rng, words, length), rng.random() < 0.5, repeats[number % len(repeats)])
        for number in range(count)
    ]
    planted = [
        AuditNote(f"{ID_PREFIX}{number}-{copy}", f"{ID_PREFIX}{number}", canary.text, notes[0].split)
        for number, canary in enumerate(canaries)
        if canary.is_in
        for copy in range(canary.repeats)
    ]
    everything = [*notes, *planted]
    rng.shuffle(everything)
    make_own_folder(out, re.compile(f"{NOTES_FILE}|{CANARIES_FILE}"), "canaries")
    key = {
        "version": 1,
        "notes": str(notes_path),
        "seed": seed,
        "length": length,
        "words": words,
        "canaries": [vars(canary) for canary in canaries],
    }
    if (out / CANARIES_FILE).exists() and read_json(
        out / CANARIES_FILE, "list of canaries", "name another --out"
    ) != key:
        raise NotemillError(
            f"{out} holds other canaries, without which no model trained with them can be scored; name another --out."
        )
    write_notes(out / NOTES_FILE, everything)
    write_json(out / CANARIES_FILE, key)
    return sum(canary.is_in for canary in canaries), len(everything)


def _common_words(notes: Sequence[AuditNote]) -> list[str]:
    """Lower-case words in the notes of MIN_WORD_PATIENTS patients, sorted."""
    patients: Counter[str] = Counter()
    by_patient: dict[str, set[str]] = {}
    for note in notes:
        by_patient.setdefault(note.patient_key, set()).update(_plain_words(note.text))
    for words in by_patient.values():
        patients.update(words)
    return sorted(word for word, count in patients.items() if count >= MIN_WORD_PATIENTS)


def _plain_words(text: str) -> Iterator[str]:
    for word in text.split():
        bare = word.strip(".,;:()[]\"'").lower()
        if len(bare) > 2 and bare.isascii() and bare.isalpha():
            yield bare
