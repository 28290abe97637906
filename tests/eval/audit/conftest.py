"""One small model that knows its members by heart, and one that knows nothing, made once a session."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from benchmarks.audit_models import train_mlm, train_tokenizer, write_patients
from eval.audit.notes import read_notes
from eval.audit.split import make_split


@dataclass(frozen=True)
class Audited:
    notes: Path
    split: Path
    overtrained: Path
    untrained: Path
    reference: Path


@pytest.fixture(scope="session")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    torch.set_num_threads(1)
    work = tmp_path_factory.mktemp("audited")
    notes = write_patients(work / "notes.jsonl", 18, 0, max_words=30)
    make_split(notes, work / "split", fresh=True, seed=0)
    members, others = (
        [note.text for note in read_notes(work / "split" / f"{name}.jsonl")] for name in ("members", "reference")
    )
    tokenizer = train_tokenizer(work / "tokenizer", others, 1200)
    models = {0: work / "untrained", 110: work / "overtrained"}
    train_mlm(tokenizer, members, 110, 0, models.get, batch_size=4)
    train_mlm(tokenizer, others, 10, 1, lambda epoch: work / "reference" if epoch == 10 else None, batch_size=4)
    return Audited(notes, work / "split", models[110], models[0], work / "reference")
