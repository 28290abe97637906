"""Invented patients with a few notes each, and a model that reads them, small enough to train in seconds."""

import json
import random
from pathlib import Path

import numpy as np
import torch

from eval.private.ledger import Entry
from tests.eval.finetune.toys import CUES, FILLER, NOUNS, write_model

SMALL = (
    "data.max_length=16",
    "data.windows=2",
    "data.held_out_windows=60",
    "train.steps=6",
    "train.patients=8",
    "train.micro_batch=4",
    "train.save_every=2",
    "train.report_every=4",
    "train.lr=1e-3",
    "privacy.noise_multiplier=1.0",
)
"""Settings of a run that takes a second or two."""
ENTRY = Entry(
    id="one",
    fingerprint="f",
    status="finished",
    folder="other",
    unit="patient: all notes",
    data={"path": "notes"},
    sampling="poisson",
    sampling_rate=0.1,
    noise_multiplier=1.0,
    max_grad_norm=1.0,
    clipping="hooks",
    planned_steps=10,
    charged_steps=4,
    noise_generator="AES",
)
"""Of a run in another folder."""


def write_masked_model(folder: Path, *, tied: bool) -> Path:
    """The toy vocabulary with a masked language model of random weights, biases among them."""
    from transformers import MegatronBertConfig, MegatronBertForMaskedLM

    write_model(folder)
    config = MegatronBertConfig.from_pretrained(folder)
    config.tie_word_embeddings = tied
    config.hidden_dropout_prob, config.attention_probs_dropout_prob = 0.3, 0.2
    torch.manual_seed(5)
    model = MegatronBertForMaskedLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.1)
    model.save_pretrained(folder)
    return folder


def write_notes(path: Path, first: int, patients: int) -> Path:
    """JSONL of one to four notes a patient, 5 to 40 words each."""
    rows = []
    for patient in range(first, first + patients):
        rng = random.Random(patient)
        for note in range(rng.randint(1, 4)):
            words = rng.choices([*FILLER, *NOUNS, *CUES], k=rng.randint(5, 40))
            rows.append({"note_id": f"{patient}-{note}", "patient_key": f"p{patient}", "text": " ".join(words)})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_labelled(folder: Path, patients: int) -> Path:
    """A cls set with a column of patients, some of whom have several examples."""
    folder.mkdir(parents=True)
    for split, count in (("train", patients), ("dev", 10), ("test", 12)):
        rows = []
        for patient in range(count):
            rng = random.Random(f"{split}{patient}")
            for _ in range(rng.randint(1, 3)):
                cue = rng.choice(["surgery", "xray"])
                text = " ".join(word for _ in range(4) for word in [*rng.choices(FILLER, k=3), cue])
                rows.append({"patient_key": f"{split}{patient}", "text": text, "label": cue})
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def weights_of(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")
