"""Steps whose loss is not finite or spikes are left out; a run that meets many goes back and leaves their rows out."""

import json
import shutil
from dataclasses import replace

import pytest

from pretrain.checkpoint import complete_checkpoints, folder_of, read_info
from pretrain.checkpoint.checksums import write_checksums
from pretrain.checkpoint.info import write_info
from tests.chaos.forking import said
from tests.pretrain.launching import losses, rows

CONSTANT = ("train.warmup_steps=1", "train.min_lr=1e-3", "train.valid_every=0")
BATCH, SEQ_LEN = 8, 64


def skips(run_dir) -> list[dict]:
    path = run_dir / "skipped.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def rows_of(skip: dict) -> list[int]:
    return [row for first, last in skip["rows"] for row in range(first, last + 1)]


def break_position(checkpoint, position):
    """Make one learned position NaN in weights and masters: rows with so long a piece cannot be trained on."""
    import torch
    import torch.distributed.checkpoint as dcp

    weights = checkpoint / "weights"
    reader = dcp.FileSystemReader(weights)
    index = reader.read_metadata().state_dict_metadata
    broken = [key for key in index if key.endswith("position_embeddings.weight")]
    state = {key: torch.empty(index[key].size, dtype=index[key].properties.dtype) for key in broken}
    dcp.load(state, storage_reader=reader, no_dist=True)
    changed = 0
    for path in weights.glob("*.distcp"):
        content = path.read_bytes()
        for key, tensor in state.items():
            if "exp_avg" in key:
                continue
            row = tensor[position].numpy().tobytes()
            assert content.count(row) <= 1
            changed += content.count(row)
            content = content.replace(row, torch.full_like(tensor[position], torch.nan).numpy().tobytes())
        path.write_bytes(content)
    assert changed == 2, "the parameter and its master"
    (checkpoint / "checksums.json").unlink()
    write_info(checkpoint, replace(read_info(checkpoint), checksums_sha256=write_checksums(checkpoint)))


def steps_that_use(tokens_dir, position, first_row, steps):
    """Which of these steps have a piece that reaches the position."""
    from pretrain.data.loader import PackedLoader

    loader = PackedLoader.from_tokens(tokens_dir, seq_len=SEQ_LEN, seed=1234)
    used = []
    for step in range(steps):
        batch = loader.batch_of_rows(range(first_row + BATCH * step, first_row + BATCH * (step + 1)))
        used.append(bool((batch.position_ids == position).any()))
    return used


@pytest.fixture(scope="module")
def broken(forking, tokens_dir, tmp_path_factory):
    """A run at step 2 whose next twelve steps hold some that cannot be trained on, and which ones."""
    run_dir = tmp_path_factory.mktemp("broken") / "run"
    assert forking.train(tokens_dir, run_dir, "train.steps=2", *CONSTANT) == [0]
    position = next(
        place for place in range(SEQ_LEN - 1, 0, -1) if 2 <= sum(steps_that_use(tokens_dir, place, 2 * BATCH, 12)) <= 6
    )
    break_position(folder_of(run_dir, 2), position)
    return run_dir, position


def test_a_step_that_is_not_finite_is_left_out_and_nothing_else(broken, forking, tokens_dir, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(broken[0], run_dir, symlinks=True)
    assert forking.train(tokens_dir, run_dir, "train.steps=14", "train.skip_limit=12", *CONSTANT, processes=2) == [0, 0]
    uses = steps_that_use(tokens_dir, broken[1], 2 * BATCH, 12)
    expected = [step for step, used in enumerate(uses, start=3) if used]
    assert [skip["step"] for skip in skips(run_dir)] == expected
    assert [skip["rows"] for skip in skips(run_dir)] == [[[8 * (step - 1), 8 * step - 1]] for step in expected]
    by_step = {row["step"]: row for row in rows(run_dir)}
    for step in range(3, 15):
        assert (by_step[step]["loss"] is None) == (step in expected)
    assert by_step[14]["skipped_steps"] == len(expected)


def test_a_run_goes_back_and_meets_the_bad_rows_no_more(broken, forking, tokens_dir, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(broken[0], run_dir, symlinks=True)
    settings = ("train.steps=14", "train.skip_limit=1", "train.rollback_limit=99", "checkpoint.every=4", *CONSTANT)
    assert forking.train(tokens_dir, run_dir, *settings) == [0]
    trained = [row for row in rows(run_dir) if row["step"] > 2]
    assert [row["step"] for row in trained] == list(range(3, 15))
    assert all(row["loss"] is not None for row in trained)
    info = read_info(folder_of(run_dir, 14))
    steps = (info.rows_seen - 2 * BATCH) // BATCH
    uses = steps_that_use(tokens_dir, broken[1], 2 * BATCH, steps)
    left_out = [row for skip in skips(run_dir) for row in rows_of(skip)]
    assert left_out == [
        row for step, used in enumerate(uses, start=2) for row in range(BATCH * step, BATCH * (step + 1)) if used
    ]
    assert info.rows_seen == 14 * BATCH + len(left_out)


def test_a_run_that_cannot_go_on_says_so(forking, tokens_dir, tmp_path):
    run_dir = tmp_path / "run"
    settings = ("train.steps=40", "checkpoint.every=1", "train.lr=1e30", "train.min_lr=1e30", "train.warmup_steps=1")
    assert forking.train(tokens_dir, run_dir, *settings, processes=2) == [2, 2]
    told = said(run_dir)
    assert told.count("went back to") == 3
    assert "after going back 3 times (train.rollback_limit)" in told
    assert "Traceback" not in told
    # No two of the steps that were left out took the same row.
    left_out = [row for skip in skips(run_dir) for row in rows_of(skip)]
    assert len(left_out) == len(set(left_out)) == 12 * BATCH


def test_without_a_checkpoint_from_before_there_is_no_going_back(forking, tokens_dir, tmp_path):
    settings = ("train.steps=40", "checkpoint.every=0", "train.lr=1e30", "train.min_lr=1e30", "train.warmup_steps=1")
    assert forking.train(tokens_dir, tmp_path / "run", *settings) == [2]
    assert "there is no checkpoint from before them" in said(tmp_path / "run")


SPIKES = (
    "train.steps=40",
    "checkpoint.every=5",
    "train.spike_window=8",
    "train.spike_deviations=1.2",
    "train.skip_limit=1",
    "train.rollback_limit=999",
    # A rate that learns next to nothing, so that little above the mean is met now and then.
    "train.lr=1e-7",
    "train.min_lr=0",
    "train.valid_every=10",
    "model.hidden_dropout=0.1",
)


@pytest.fixture(scope="module")
def spiking(forking, tokens_dir, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("spikes") / "run"
    assert forking.train(tokens_dir, run_dir, *SPIKES) == [0]
    assert said(run_dir).count("went back to") >= 1
    return run_dir


def test_a_run_that_goes_back_takes_every_other_row_once(spiking):
    assert [row["step"] for row in rows(spiking) if "loss" in row] == list(range(1, 41))
    info = read_info(folder_of(spiking, 40))
    left_out = [row for skip in skips(spiking) for row in rows_of(skip)]
    assert len(left_out) == len(set(left_out)) > 0
    assert info.rows_seen == 40 * BATCH + len(left_out)
    assert info.guard["rollbacks"] == said(spiking).count("went back to")
    assert len(info.guard["skips"]) == len(skips(spiking))


def test_a_kill_anywhere_around_going_back_changes_nothing(spiking, forking, tokens_dir, tmp_path, kills):
    run_dir = tmp_path / "run"
    for kill_at in [97 + 31 * kill for kill in range(max(2, kills // 3))]:
        if forking.train(tokens_dir, run_dir, *SPIKES, kill_at=kill_at)[0] == 0:
            break
    else:
        assert forking.train(tokens_dir, run_dir, *SPIKES) == [0]
    assert losses(rows(run_dir)) == losses(rows(spiking))
    assert skips(run_dir) == skips(spiking)
    assert read_info(complete_checkpoints(run_dir)[-1]).rows_seen == read_info(folder_of(spiking, 40)).rows_seen


def test_an_overflow_in_fp16_is_no_fault(forking, tokens_dir, tmp_path):
    run_dir = tmp_path / "run"
    settings = ("train.steps=8", "train.precision=fp16", "train.initial_loss_scale=1e12", *CONSTANT)
    assert forking.train(tokens_dir, run_dir, *settings) == [0]
    assert skips(run_dir) == []
    assert any(row["grad_norm"] is None for row in rows(run_dir))
    shutil.rmtree(run_dir)
