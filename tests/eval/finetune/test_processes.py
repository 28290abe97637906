"""Which GPU a process takes, by what torchrun said of it; no GPU is needed."""

import pytest
import torch

from eval.finetune.processes import joined
from launch.errors import NotemillError


def test_one_process_takes_the_gpu_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    for device in ("cpu", "cuda", "cuda:1"):
        with joined(device) as processes:
            assert processes.is_main
    assert taken == ["cuda:1"]


def test_several_processes_do_not_share_a_named_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with (
        pytest.raises(NotemillError, match=r"device=cuda:1 names one GPU for 2 processes.*use device=cuda"),
        joined("cuda:1"),
    ):
        pass
