"""A run that stops and goes on is bitwise the one that did not, wherever it stops."""

import pytest

from pretrain.checkpoint import folder_of, read_info
from tests.chaos.forking import said
from tests.pretrain.launching import losses, rows, validations

RAMP = ("train.start_batch_size=2", "train.global_batch_size=8", "train.batch_ramp_rows=60", "train.micro_batch_size=1")
WHERE = [
    # (settings, kill at which operation under checkpoints/)
    pytest.param(["train.steps=14", "checkpoint.every=3", *RAMP], 90, id="in-the-ramp"),
    pytest.param(["train.steps=12", "checkpoint.every=3", "train.precision=bf16"], 90, id="bf16"),
    pytest.param(["train.steps=12", "checkpoint.every=2", "train.precision=fp16"], 90, id="fp16"),
]


def same(first, second):
    assert losses(rows(first)) == losses(rows(second))
    assert validations(rows(first)) == validations(rows(second))
    assert [row["step"] for row in rows(first)] == [row["step"] for row in rows(second)]


@pytest.mark.parametrize(("settings", "kill_at"), WHERE)
def test_a_kill_changes_nothing(settings, kill_at, forking, tokens_dir, tmp_path):
    settings = [*settings, "model.hidden_dropout=0.1", "train.valid_every=5"]
    assert forking.train(tokens_dir, tmp_path / "straight", *settings) == [0]
    assert forking.train(tokens_dir, tmp_path / "killed", *settings, kill_at=kill_at) == [-9]
    assert forking.train(tokens_dir, tmp_path / "killed", *settings) == [0]
    assert "resumed from" in said(tmp_path / "killed")
    same(tmp_path / "killed", tmp_path / "straight")


def test_the_order_of_rows_is_unbroken_at_the_end_of_an_epoch(forking, tokens_dir, tmp_path):
    """Stops at the last step before an epoch's end, in the step that holds its last row, and at the first one after."""
    from pretrain.data.loader import PackedLoader

    loader = PackedLoader.from_tokens(tokens_dir, seq_len=2048, seed=1234)
    epoch = loader.rows_in_epoch(0)
    # One whose step with the last row holds the next epoch's first one as well.
    batch = next(rows for rows in (4, 3, 5) if epoch % rows)
    last = epoch // batch + 1
    shape = ("train.seq_len=2048", f"train.global_batch_size={batch}", "train.micro_batch_size=1", "model.num_layers=1")
    constant = ("train.warmup_steps=1", "train.min_lr=1e-3", "train.valid_every=0")
    straight = tmp_path / "straight"
    assert forking.train(tokens_dir, straight, f"train.steps={last + 2}", *shape, *constant) == [0]
    stopped = tmp_path / "stopped"
    for steps in (last - 1, last, last + 1, last + 2):
        assert forking.train(tokens_dir, stopped, f"train.steps={steps}", *shape, *constant) == [0]
        assert read_info(folder_of(stopped, steps)).rows_seen == batch * steps
    same(stopped, straight)


@pytest.mark.parametrize(
    ("signal_at", "status"),
    [
        pytest.param(("validate", 2, "KILL"), -9, id="crash-in-validation"),
        pytest.param(("validate", 2, "TERM"), 0, id="stop-in-validation"),
        pytest.param(("accumulate", 4, "TERM"), 0, id="stop-before-validation"),
    ],
)
def test_a_validation_is_neither_lost_nor_repeated(signal_at, status, forking, tokens_dir, tmp_path):
    """Step 4 is validated before it is saved; where it was saved without, it is validated after the resume."""
    settings = ("train.steps=8", "train.valid_every=4", "checkpoint.every=2", "model.hidden_dropout=0.1")
    straight, run_dir = tmp_path / "straight", tmp_path / "run"
    assert forking.train(tokens_dir, straight, *settings) == [0]
    assert forking.train(tokens_dir, run_dir, *settings, signal_at=signal_at) == [status]
    assert rows(run_dir)[-1]["step"] == 4
    assert forking.train(tokens_dir, run_dir, *settings) == [0]
    same(run_dir, straight)


def test_a_deterministic_run_repeats_itself(forking, tokens_dir, tmp_path):
    settings = ("train.steps=6", "train.deterministic=true", "model.hidden_dropout=0.1", "train.valid_every=3")
    for name in ("first", "second", "default"):
        run = [*settings, "train.deterministic=false"] if name == "default" else settings
        assert forking.train(tokens_dir, tmp_path / name, *run, processes=2) == [0, 0]
    same(tmp_path / "first", tmp_path / "second")
    same(tmp_path / "first", tmp_path / "default")
