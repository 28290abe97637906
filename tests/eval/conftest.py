"""The tiny model, written once a session."""

from pathlib import Path

import pytest
import torch

from tests.eval.finetune.toys import write_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_model(tmp_path_factory.mktemp("model"))
