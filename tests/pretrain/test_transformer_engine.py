"""Training with Transformer Engine, which needs CUDA and that package; `test_layers.py` is what a CPU can do."""

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest
import torch

from tests.pretrain.launching import TINY, command, losses, notemill, rows

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(
        not torch.cuda.is_available() or torch.cuda.get_device_capability() < (8, 9),
        reason="needs a CUDA device with FP8 (compute capability 8.9)",
    ),
    pytest.mark.skipif(importlib.util.find_spec("transformer_engine") is None, reason="needs Transformer Engine"),
]

SETTINGS = (*TINY, "model.hidden_size=128", "model.compile=false")
LAYERS = "model.layers=transformer_engine"


def train(tokens: Path, run_dir: Path, *overrides: str) -> list[dict]:
    """A run on the GPU to its end; the rows of metrics.jsonl."""
    settings = [*SETTINGS, f"data.path={tokens}", f"run.dir={run_dir}", *overrides]
    environment = dict(os.environ) | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command(1, settings), env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return rows(run_dir)


def mlm(metrics: list[dict]) -> list[float]:
    return [of_step[0] for of_step in losses(metrics)]


def test_losses_are_near_those_of_torchs_layers_and_a_run_goes_on_with_either(tokens_dir, tmp_path):
    torch_layers = mlm(train(tokens_dir, tmp_path / "torch", "train.precision=bf16"))
    fused = mlm(train(tokens_dir, tmp_path / "fused", "train.precision=bf16", LAYERS))
    assert fused == pytest.approx(torch_layers, rel=0.01)
    fp8 = mlm(train(tokens_dir, tmp_path / "fp8", "train.precision=fp8", LAYERS))
    assert fp8 == pytest.approx(torch_layers, rel=0.03)

    there = str(tmp_path / "fp8" / "checkpoints" / "step-00000010")
    longer = ("train.steps=14", "train.warmup_steps=1", f"checkpoint.resume={there}")
    on_torch = mlm(train(tokens_dir, tmp_path / "on", *longer, "train.precision=bf16"))
    on_fp8 = mlm(train(tokens_dir, tmp_path / "on8", *longer, "train.precision=fp8", LAYERS))
    assert len(on_torch) == 4 and on_fp8 == pytest.approx(on_torch, rel=0.03)

    back = ("train.steps=18", "train.warmup_steps=1", "train.precision=fp8", LAYERS)
    on = str(tmp_path / "on" / "checkpoints" / "step-00000014")
    assert len(mlm(train(tokens_dir, tmp_path / "back", *back, f"checkpoint.resume={on}"))) == 4
    notemill("export", "--checkpoint", there, "--out", str(tmp_path / "hf"))


def test_whole_layers_are_computed_again_in_fp8(tokens_dir, tmp_path):
    settings = ("train.precision=fp8", LAYERS, "train.steps=4", "train.valid_every=4")
    plain = mlm(train(tokens_dir, tmp_path / "plain", *settings))
    again = mlm(train(tokens_dir, tmp_path / "again", *settings, "train.recompute=full"))
    assert again == pytest.approx(plain, rel=1e-3)
