"""A model and notes, written once a session."""

from pathlib import Path

import pytest
import torch

from tests.eval.private.toys import write_masked_model, write_notes


@pytest.fixture(scope="session")
def tied_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_masked_model(tmp_path_factory.mktemp("tied"), tied=True)


@pytest.fixture(scope="session")
def untied_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_masked_model(tmp_path_factory.mktemp("untied"), tied=False)


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Settings that name 40 patients to train on and 15 held out."""
    folder = tmp_path_factory.mktemp("notes")
    training, held_out = write_notes(folder / "train.jsonl", 0, 40), write_notes(folder / "other.jsonl", 40, 15)
    return f"data.path={training}", f"data.held_out={held_out}"
