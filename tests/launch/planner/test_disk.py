"""Checkpoint size against a checkpoint that a real run saved."""

from pathlib import Path

import pytest

from launch.planner.disk import checkpoint_bytes, num_checkpoints
from launch.planner.parameters import Shape
from pretrain.config import load_pretrain_config
from tests.pretrain import launching


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_saved_checkpoint_is_as_large(tokens_dir: Path, tmp_path: Path, precision: str) -> None:
    settings = [f"train.precision={precision}", "train.steps=1", "model.hidden_size=256", "train.valid_every=0"]
    launching.train(tokens_dir, tmp_path / "run", *settings)
    (saved,) = (tmp_path / "run" / "checkpoints").glob("step-*")
    config = load_pretrain_config(str(saved / "config.yaml"), [])
    on_disk = sum(path.stat().st_size for path in (saved / "weights").iterdir())
    assert checkpoint_bytes(config, Shape.of(config, 1024)) == pytest.approx(on_disk, rel=0.02)


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        (["every=100", "keep=2"], 3),
        (["every=100", "keep=0"], 10),
        (["every=0", "keep=2"], 1),
        (["every=600", "keep=3"], 2),
        (["every=1000", "keep=5"], 1),
        (["every=10", "keep=2", "keep_every=250"], 7),
        (["every=10", "keep=2", "keep_best=true"], 4),
    ],
)
def test_checkpoints_on_disk_at_most(settings: list[str], most: int) -> None:
    config = load_pretrain_config(
        None, ["train.steps=1000", "train.valid_every=10", *(f"checkpoint.{setting}" for setting in settings)]
    )
    assert num_checkpoints(config) == most
