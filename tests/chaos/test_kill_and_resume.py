"""A run that is killed without warning and resumed gives bitwise the losses of one that was not."""

import os
import signal
import subprocess
import time

import pytest

from launch.errors import NotemillError
from pretrain.checkpoint import candidates, complete_checkpoints, folder_of, read_info
from tests.pretrain.launching import TINY, command, environment, losses, rows, train, validations

MORE = pytest.mark.skipif(os.environ.get("NOTEMILL_DEEPSPEED") != "all", reason="needs NOTEMILL_DEEPSPEED=all")

# Dropout is on: its masks must come back as they were, too.
SETTINGS = ("train.steps=14", "checkpoint.every=4", "model.hidden_dropout=0.1", "model.attention_dropout=0.1")


def kill_after_step(tokens, run_dir, step, *overrides, processes, number=signal.SIGKILL):
    """Start the run and send `number` to all its processes once `step` is logged. Gives the exit status."""
    settings = [*TINY, f"data.path={tokens}", f"run.dir={run_dir}", *overrides]
    process = subprocess.Popen(
        command(processes, settings),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        if any(row["step"] >= step for row in rows(run_dir)):
            break
        time.sleep(0.02)
    assert process.poll() is None, "the run ended before it could be killed"
    if number == signal.SIGKILL:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    return process.wait(timeout=100)


@pytest.mark.parametrize(
    ("processes", "layout"),
    [
        pytest.param(1, [], id="one process"),
        pytest.param(2, ["parallel.tensor=2"], id="TP2"),
        pytest.param(2, [], id="DP2"),
        pytest.param(2, ["engine.name=deepspeed", "engine.zero_stage=2"], id="ZeRO-2"),
        pytest.param(
            2, ["engine.name=deepspeed", "engine.zero_stage=3", "train.precision=bf16"], id="ZeRO-3 bf16", marks=MORE
        ),
        pytest.param(
            2, ["engine.name=deepspeed", "train.precision=fp16", "train.initial_loss_scale=1e6"], id="fp16", marks=MORE
        ),
        pytest.param(
            2, ["engine.name=deepspeed", "engine.zero_stage=3", "engine.offload=parameters"], id="offload", marks=MORE
        ),
    ],
)
def test_kill_and_resume_is_bitwise(processes, layout, tokens_dir, tmp_path):
    straight = train(tokens_dir, tmp_path / "straight", *SETTINGS, *layout, processes=processes)
    killed = tmp_path / "killed"
    kill_after_step(tokens_dir, killed, 6, *SETTINGS, *layout, processes=processes)
    assert len(losses(rows(killed))) < 14
    resumed = train(tokens_dir, killed, *SETTINGS, *layout, processes=processes)
    assert losses(resumed) == losses(straight)
    assert validations(resumed) == validations(straight)
    assert [row["step"] for row in resumed] == [row["step"] for row in straight]


def test_sigterm_saves_and_ends_in_good_order(tokens_dir, tmp_path):
    run_dir = tmp_path / "run"
    settings = ("train.steps=4000", "checkpoint.every=0")
    assert kill_after_step(tokens_dir, run_dir, 3, *settings, processes=1, number=signal.SIGTERM) == 0
    last = rows(run_dir)[-1]["step"]
    assert complete_checkpoints(run_dir) == [folder_of(run_dir, last)]


def test_checkpoint_loads_into_another_layout(tokens_dir, tmp_path):
    """TP2, then PP2, then one process, in one run: the losses of one process throughout."""
    run_dir = tmp_path / "run"
    # The schedule depends on the number of steps, which grows here; a constant rate does not.
    constant = ("train.warmup_steps=1", "train.min_lr=1e-3", "train.valid_every=0")
    straight = train(tokens_dir, tmp_path / "straight", "train.steps=12", *constant)
    train(tokens_dir, run_dir, "train.steps=4", *constant, "parallel.tensor=2", processes=2)
    train(tokens_dir, run_dir, "train.steps=8", *constant, "parallel.pipeline=2", processes=2)
    resumed = train(tokens_dir, run_dir, "train.steps=12", *constant)
    for ours, theirs in zip(losses(resumed), losses(straight), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)


def test_a_larger_batch_goes_on_with_the_next_row(tokens_dir, tmp_path):
    run_dir = tmp_path / "run"
    train(tokens_dir, run_dir, "train.steps=3", "train.global_batch_size=4")
    train(tokens_dir, run_dir, "train.steps=5", "train.global_batch_size=8")
    assert [read_info(folder).rows_seen for folder in complete_checkpoints(run_dir)] == [3 * 4, 3 * 4 + 2 * 8]


def test_a_run_from_a_path_goes_on_from_its_own_checkpoint_and_overwrites_none(tokens_dir, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    train(tokens_dir, first, "train.steps=4", "checkpoint.every=2")
    start = folder_of(first, 2)
    train(tokens_dir, second, "train.steps=4", f"checkpoint.resume={start}")
    assert candidates(second, str(start))[0] == folder_of(second, 4)
    with pytest.raises(NotemillError, match="write over"):
        candidates(first, str(start))
    with pytest.raises(NotemillError, match="is no checkpoint"):
        candidates(tmp_path / "third", str(tokens_dir))
    settings = [*TINY, f"data.path={tokens_dir}", f"run.dir={first}", "train.steps=3"]
    before = (first / "config.yaml").read_bytes()
    ended = subprocess.run(command(1, settings), env=environment(), capture_output=True, text=True, timeout=200)
    assert ended.returncode == 2 and "is at step 4 and train.steps is 3" in ended.stderr
    assert (first / "config.yaml").read_bytes() == before
