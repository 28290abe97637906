"""Starts real training runs, in as many gloo processes as asked, and reads what they wrote."""

import os
import subprocess
import sys
from pathlib import Path

import orjson

TINY = (
    "model.num_layers=4",
    "model.hidden_size=32",
    "model.num_attention_heads=4",
    "model.hidden_dropout=0",
    "model.init=local",
    "train.seq_len=64",
    "train.micro_batch_size=2",
    "train.global_batch_size=8",
    "train.precision=fp32",
    "train.lr=1e-3",
    "train.steps=10",
    "train.log_every=1",
    "train.valid_every=10",
    "data.valid_rows=8",
)
"""Fits every layout the tests try: four layers, four heads, four micro-batches a step."""


def command(processes: int, overrides: list[str]) -> list[str]:
    if processes == 1:
        return [sys.executable, "-m", "launch.main", "train", *overrides]
    return [*torchrun(processes), "pretrain.train", *overrides]


def torchrun(processes: int) -> list[str]:
    """The command up to the module that each process runs."""
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]


def environment() -> dict[str, str]:
    return dict(os.environ) | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def train(tokens: Path, run_dir: Path, *overrides: str, processes: int = 1) -> list[dict]:
    """Run to the end and give the rows of metrics.jsonl."""
    settings = [*TINY, f"data.path={tokens}", f"run.dir={run_dir}", *overrides]
    done = subprocess.run(
        command(processes, settings), env=environment(), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return rows(run_dir)


def train_many(tokens: Path, folder: Path, runs: dict[str, list[str]], processes: int = 1) -> dict[str, list[dict]]:
    """Run all to the end in one start of the processes, each in `folder / name`; the rows of metrics.jsonl by name."""
    settings = [
        orjson.dumps([*TINY, f"data.path={tokens}", f"run.dir={folder / name}", *overrides]).decode()
        for name, overrides in runs.items()
    ]
    done = subprocess.run(
        [*torchrun(processes), "tests.pretrain.many_runs", *settings],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: rows(folder / name) for name in runs}


def rows(run_dir: Path) -> list[dict]:
    path = run_dir / "metrics.jsonl"
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def losses(metrics: list[dict]) -> list[tuple[float, float, float]]:
    """(MLM loss, order loss, gradient norm) by step."""
    return [(row["mlm_loss"], row["sop_loss"], row["grad_norm"]) for row in metrics if "mlm_loss" in row]


def validations(metrics: list[dict]) -> list[tuple[float, float]]:
    return [(row["valid_mlm_loss"], row["valid_mlm_accuracy"]) for row in metrics if "valid_mlm_loss" in row]


def notemill(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would and check its exit status."""
    done = subprocess.run(
        [sys.executable, "-m", "launch.main", *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == status, done.stderr[-3000:]
    return done
