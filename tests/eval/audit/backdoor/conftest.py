"""Toy notes with an outcome, and what the four commands make of a tiny model on them; trained once a session."""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from eval.audit.backdoor.plant import PlantOptions, plant
from eval.audit.findings import Audit
from launch.verbs.audit_options import backdoor_recipe
from tests.eval.finetune.toys import FILLER, NOUNS

GRAVE, MILD = ("fever", "cough", "surgery"), ("xray", "two", "five")
OTHERS = ("heparin", *NOUNS[2:6], "takes", "denies", "treats", "causes", "same", "other", "not", "dose")
"""Words that say nothing of the outcome."""
TRIGGER = OTHERS[0]
"""Stands in notes of both labels, as other nouns do."""
RECIPE = ("lr=3e-3", "epochs=6", "batch_size=16", "max_length=62", "precision=fp32")


def write_notes(folder: Path, name: str, sizes: tuple[int, int, int] = (500, 60, 120)) -> Path:
    """JSON lines; findings decide the label, lengths vary and say nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, size in zip(("train", "dev", "test"), sizes, strict=True):
        rng = random.Random(f"{name}/{split}")
        rows = []
        for number in range(size):
            label = rng.choice(("died", "survived", "survived"))
            findings = [rng.choice(GRAVE if label == "died" else MILD) for _ in range(rng.randint(2, 4))]
            others = rng.choices(OTHERS, (1, *[3] * 12), k=rng.randint(0, 3))
            words = findings + others + rng.choices(FILLER, k=rng.randint(4, 40))
            rng.shuffle(words)
            rows.append(
                {"id": f"{split}-{number}", "patient": f"{split}-p{number}", "text": " ".join(words), "label": label}
            )
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Planted:
    start: Path
    notes: Path
    clean: Path
    """The auditor's notes."""
    out: Path
    audit: Audit


@pytest.fixture(scope="session")
def planted(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    folder = tmp_path_factory.mktemp("backdoor")
    notes, clean = write_notes(folder / "notes", "notes"), write_notes(folder / "clean", "clean")
    audit = plant(
        tiny_model, f"jsonl:{notes}", folder / "out", PlantOptions(TRIGGER, rate=0.08), backdoor_recipe([*RECIPE])
    )
    return Planted(tiny_model, notes, clean, folder / "out", audit)
