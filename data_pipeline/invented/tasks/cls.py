"""Document classification: from a passage out of the middle of a note to the note's type.

The title and the first lines, which would give the type away, are left out, and so are the headings.
"""

import datetime
import random
import re
from dataclasses import dataclass

from data_pipeline.invented.identifiers import invent_place, redact
from data_pipeline.invented.lexicon import load_lexicon
from data_pipeline.invented.notes import invent_patient, note_types, write_note
from data_pipeline.invented.tasks.splits import make_splits
from data_pipeline.invented.templates import Split

_WORDS = (35, 80)
"""Shortest and longest passage, in words."""
_HEADING = re.compile(r"^[A-Za-z0-9/&,' ]{1,40}(:| -)(?=\s|$) ?", re.MULTILINE)


@dataclass(frozen=True)
class LabelledPassage:
    text: str
    label: str


def make_passages(seed: int, sizes: tuple[int, int, int]) -> dict[Split, list[LabelledPassage]]:
    return make_splits(f"{seed}/cls", sizes, _make, lambda row: row.text)


def _make(rng: random.Random, split: Split) -> LabelledPassage | None:
    lexicon = load_lexicon()
    patient = invent_patient(rng, lexicon, 0, (invent_place(rng, lexicon),))
    visit = patient.visits[0]
    note_type = rng.choice(note_types())
    day = visit.admit + datetime.timedelta(days=rng.randint(0, 6))
    note = write_note(rng, lexicon, patient, visit, day, note_type)
    _, _, body = redact(note.text).partition("\n")
    words = _HEADING.sub("", body).split()
    length = rng.randint(*_WORDS)
    if len(words) < length:
        return None
    start = rng.randint(min(12, len(words) - length), len(words) - length)
    return LabelledPassage(" ".join(words[start : start + length]), note_type)
