"""Long documents whose class is told by one paragraph, far from the start: what a model that reads 512 pieces misses.

    python -m data_pipeline.invented.tasks.long_cls --out DIR --seed S

A document is notes of one patient one after another. What a conference decided stands in `NUM_SENTENCES` sentences
behind the first `MARKS_BEFORE` words and marks of punctuation, which know nothing of it; tokenizers of BERT's kind make
at least one piece of each, so that is past piece 512. Classes are equally probable: a model that sees the beginning
alone is right half of the time.
"""

import argparse
import datetime
import json
import random
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from data_pipeline.files import make_private_folder, write_text
from data_pipeline.invented.identifiers import invent_place, redact
from data_pipeline.invented.lexicon import load_lexicon
from data_pipeline.invented.notes import invent_patient, note_types, write_note
from data_pipeline.invented.tasks.splits import make_splits
from data_pipeline.invented.templates import Split

MARKS_BEFORE = 540
_MOST_BEFORE = 570
_MARKS_BEHIND = (5, 25)
NUM_SENTENCES = 8
SIZES = (300, 60, 160)
_MARK = re.compile(r"\[\*\*.*?\*\*\]|\w+|[^\w\s]")
DECISIONS = {
    "transfer": (
        "The board decided on transfer.",
        "Accepted by the tertiary centre today.",
        "Ambulance transport is arranged for the evening.",
        "The referring team hands over by phone.",
        "Images and records travel along.",
        "The family agrees to the move.",
        "A bed at the receiving hospital is confirmed.",
        "The paramedics were told of the infusion pumps.",
        "Their cardiac surgeons expect the arrival tonight.",
        "A letter of referral lies in the chart.",
        "The helicopter stays in reserve.",
    ),
    "observation": (
        "The board decided on observation.",
        "Remains on this ward for now.",
        "Vital signs are checked every four hours.",
        "No intervention is planned this week.",
        "The same team reviews again in two days.",
        "The family agrees to wait.",
        "Telemetry goes on until the next review.",
        "Physical therapy starts tomorrow in the room.",
        "The diet is advanced as tolerated.",
        "Nothing speaks for another hospital.",
        "Laboratory values are repeated each morning.",
    ),
}


@dataclass(frozen=True)
class LongDocument:
    text: str
    label: str


def make_long_documents(seed: int, sizes: tuple[int, int, int] = SIZES) -> dict[Split, list[LongDocument]]:
    """Rows of train, dev and test; no two share a text."""
    return make_splits(f"{seed}/long_cls", sizes, _make, lambda row: row.text)


def write_long_documents(folder: Path, seed: int, sizes: tuple[int, int, int] = SIZES) -> Path:
    """Write `folder`/{train,dev,test}.jsonl, which `notemill eval run --task cls --data jsonl:FOLDER` reads."""
    make_private_folder(folder)
    for split, rows in make_long_documents(seed, sizes).items():
        lines = [
            json.dumps({"id": f"{split}-{number}", "text": row.text, "label": row.label}, ensure_ascii=False)
            for number, row in enumerate(rows, start=1)
        ]
        write_text(folder / f"{split}.jsonl", "".join(f"{line}\n" for line in lines))
    return folder


def num_marks(text: str) -> int:
    """Words and marks of punctuation; a placeholder is one."""
    return len(_MARK.findall(text))


def _make(rng: random.Random, split: Split) -> LongDocument:
    before = _words_of_notes(rng, rng.randint(MARKS_BEFORE, _MOST_BEFORE))
    label = rng.choice(sorted(DECISIONS))
    decision = rng.sample(DECISIONS[label], NUM_SENTENCES)
    behind = _words_of_notes(rng, rng.randint(*_MARKS_BEHIND))
    return LongDocument(" ".join([*before, *decision, *behind]), label)


def _words_of_notes(rng: random.Random, marks: int) -> list[str]:
    """The first words, of at least so many marks, of as many notes of one patient as it takes."""
    lexicon = load_lexicon()
    patient = invent_patient(rng, lexicon, 0, (invent_place(rng, lexicon),))
    words: list[str] = []
    missing = marks
    while missing > 0:
        visit = rng.choice(patient.visits)
        day = visit.admit + datetime.timedelta(days=rng.randint(0, 6))
        for word in redact(write_note(rng, lexicon, patient, visit, day, rng.choice(note_types())).text).split():
            words.append(word)
            missing -= num_marks(word)
            if missing <= 0:
                break
    return words


def main() -> int:
    """Write one data set."""
    parser = argparse.ArgumentParser(prog="python -m data_pipeline.invented.tasks.long_cls")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--seed", type=int, default=1, help="equal seeds give equal bytes")
    arguments = parser.parse_args()
    print(write_long_documents(arguments.out, arguments.seed), file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
