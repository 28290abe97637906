"""`notemill plan` as a user types it."""

from pathlib import Path

from pretrain.config import load_pretrain_config
from tests.pretrain.launching import notemill

BASE = ("plan", "--config", "configs/gatortron-base.yaml")


def test_prints_what_a_run_takes_and_writes_the_fastest_layout(tmp_path: Path) -> None:
    written = tmp_path / "planned.yaml"
    done = notemill(*BASE, "--gpu", "a100-40", "--nodes", "2", "--write", str(written), "train.steps=1000")
    for part in ("356,371,458", "2.03e9 in 1,000 steps", "gradients", "bubble", "as configured: fits", "DP"):
        assert part in done.stdout, part
    config = load_pretrain_config(str(written), [])
    assert config.train.steps == 1000 and config.train.global_batch_size == 3968
    first = next(line for line in done.stdout.splitlines() if line.startswith(" 1   1"))
    assert f" {config.train.micro_batch_size} " in first
    again = notemill(*BASE, "--write", str(written), status=2)
    assert "exists; choose another name" in again.stderr


def test_fp8_is_counted_as_bf16_and_says_so() -> None:
    done = notemill(*BASE, "train.precision=fp8", "model.layers=transformer_engine")
    assert "fp8            counted as bf16 in speed, MFU and activations" in done.stdout
    assert "as configured: fits" in done.stdout


def test_takes_the_vocabulary_of_the_tokens(tokens_dir: Path) -> None:
    done = notemill(*BASE, f"data.path={tokens_dir}")
    assert "1,024 (of " in done.stdout


def test_what_cannot_run_ends_with_a_reason() -> None:
    done = notemill("plan", "--config", "configs/gatortron-large.yaml", "--gpus-per-node", "1", status=2)
    assert "as configured: cannot run on 1 GPUs: 1 process(es) is no multiple of parallel.tensor" in done.stdout
    assert "TP 1, PP 1 does not fit in 79.2 GiB" in done.stdout
    assert "no layout of this run fits 1 h100" in done.stderr
    assert "no GPU type" in notemill(*BASE, "--gpu", "v100", status=2).stderr
