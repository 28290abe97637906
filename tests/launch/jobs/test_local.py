"""`notemill launch local`, `status` and `resume` on this machine."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from launch.config import to_yaml
from pretrain.checkpoint import complete_checkpoints, folder_of
from pretrain.config import load_pretrain_config
from tests.pretrain.launching import TINY, environment, losses, notemill, rows, train


def test_a_run_that_is_stopped_and_resumed(tokens_dir, tmp_path):
    settings = ("train.steps=40", "train.valid_every=0", "checkpoint.every=0", "train.global_batch_size=32")
    straight = train(tokens_dir, tmp_path / "straight", *settings, processes=2)
    run_dir, config = tmp_path / "run", tmp_path / "config.yaml"
    config.write_text("{}")
    start = ("launch", "local", "--config", str(config), "--processes", "2")
    overrides = (*TINY, f"data.path={tokens_dir}", f"run.dir={run_dir}", *settings)
    assert "40 steps" in notemill(*start, "--dry-run", *overrides).stdout and not run_dir.exists()
    with subprocess.Popen(
        [sys.executable, "-m", "launch.main", *start, *overrides],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        while len(rows(run_dir)) < 3 and running.poll() is None:
            time.sleep(0.05)
        with stopped(running.pid):  # It would be over by the time that these commands have started.
            assert notemill("status", str(run_dir)).stdout.startswith(f"{run_dir}: running")
            assert "is being trained by another process" in notemill("resume", str(run_dir), status=2).stderr
        # The second and third change nothing: under SLURM one signal comes several ways.
        for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGTERM):
            running.send_signal(number)
            time.sleep(0.02)
        said = running.communicate(timeout=120)[1]
    assert running.returncode == 0 and f"`notemill resume {run_dir}` goes on" in said
    (saved,) = complete_checkpoints(run_dir)
    step = rows(run_dir)[-1]["step"]
    assert step < 40 and saved == folder_of(run_dir, step)
    status = json.loads(notemill("status", str(run_dir), "--json").stdout)
    assert status["health"].startswith("stopped; `notemill resume") and status["last_checkpoint"] == step
    assert status["eta_seconds"] == pytest.approx((40 - step) * status["step_seconds"])
    assert status["started_as"]["kind"] == "local" and status["started_as"]["processes_per_node"] == 2

    notemill("resume", str(run_dir))
    assert losses(rows(run_dir)) == losses(straight)
    assert notemill("status", str(run_dir)).stdout.startswith(f"{run_dir}: finished")


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process and all below it stand still."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in processes:
        process.suspend()
    yield
    for process in processes:
        process.resume()


def test_a_second_ctrl_c_does_not_wait_for_a_save(tokens_dir, tmp_path):
    (tmp_path / "config.yaml").write_text("{}")
    settings = (*TINY, "train.steps=100000", "train.valid_every=0", f"data.path={tokens_dir}")
    command = ["launch", "local", "--config", str(tmp_path / "config.yaml"), "--processes", "1", *settings]
    with (
        (tmp_path / "said").open("w") as said,
        subprocess.Popen(
            [sys.executable, "-m", "launch.main", *command, f"run.dir={tmp_path / 'run'}"],
            env=environment(),
            stderr=said,
        ) as running,
    ):
        while len(rows(tmp_path / "run")) < 3 and running.poll() is None:
            time.sleep(0.05)
        for process in psutil.Process(running.pid).children(recursive=True):
            process.suspend()  # It will never save.
        for _ in range(2):
            running.send_signal(signal.SIGINT)
            time.sleep(1)
        assert running.wait(timeout=60) == 130
    told = (tmp_path / "said").read_text()
    assert "ended at once" in told and "begins anew" in told
    assert complete_checkpoints(tmp_path / "run") == []


def test_what_is_refused_changes_nothing_and_a_run_may_be_moved(tokens_dir, tmp_path):
    run_dir, config = tmp_path / "run", tmp_path / "config.yaml"
    config.write_text("{}")
    start = ("launch", "local", "--config", str(config), "--processes", "1", *TINY)
    start += (f"data.path={tokens_dir}", f"run.dir={run_dir}", "train.valid_every=0")
    notemill(*start)
    before = (run_dir / "config.yaml").read_bytes()
    assert "is at step 10, beyond train.steps 5" in notemill(*start, "train.steps=5", status=2).stderr
    assert "model.num_layers is 2, there 4" in notemill(*start, "model.num_layers=2", status=2).stderr
    assert (run_dir / "config.yaml").read_bytes() == before

    moved = run_dir.rename(tmp_path / "moved")
    assert "run.dir is" in notemill("resume", str(moved), "run.dir=elsewhere", status=2).stderr
    notemill("resume", str(moved), "train.steps=12")
    assert not run_dir.exists() and rows(moved)[-1]["step"] == 12

    metrics, config = moved / "metrics.jsonl", moved / "config.yaml"
    spoilt = b'\0\0\0\n[1]\n{"step": "x"}\n{"step": 3, "loss": "x"}\n{"loss": 7}\n\xff{"st'
    metrics.write_bytes(spoilt + b"\n" + metrics.read_bytes() + spoilt)
    assert f"{moved}: finished\nstep 12 of 12, loss" in notemill("status", str(moved)).stdout
    notemill("resume", str(moved), "train.steps=13")
    assert [row["step"] for row in rows(moved)] == list(range(1, 14))
    config.write_bytes(config.read_bytes()[:300])
    for verb in ("status", "resume"):
        assert "is cut off, there is no section" in notemill(verb, str(moved), status=2).stderr


def test_ranks_save_and_leave_when_their_launcher_is_killed_and_no_folder_of_the_users_comes_before_ours(
    tokens_dir, tmp_path
):
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "config.yaml").write_text("{}")
    settings = (*TINY, "train.steps=100000", "train.valid_every=0", f"data.path={tokens_dir}", "run.dir=run")
    command = [str(Path(sys.executable).with_name("notemill")), "launch", "local", "--config", "config.yaml"]
    with subprocess.Popen(
        [*command, "--processes", "2", *settings],
        cwd=tmp_path,
        env={name: value for name, value in environment().items() if name != "PYTHONPATH"},
        stderr=subprocess.DEVNULL,
    ) as running:
        while len(rows(tmp_path / "run")) < 3 and running.poll() is None:
            time.sleep(0.05)
        assert running.poll() is None
        ranks = psutil.Process(running.pid).children(recursive=True)
        running.kill()
    assert psutil.wait_procs(ranks, timeout=60)[1] == []
    assert complete_checkpoints(tmp_path / "run")


def test_what_is_no_run_is_told(tmp_path, tokens_dir):
    for verb in ("status", "resume"):
        assert "is no run" in notemill(verb, str(tmp_path), status=2).stderr
    settings = [f"data.path={tokens_dir}", f"run.dir={tmp_path}"]
    (tmp_path / "config.yaml").write_text(to_yaml(load_pretrain_config(None, settings)))
    assert "was not started by `notemill launch`" in notemill("resume", str(tmp_path), status=2).stderr
    (tmp_path / "launch").mkdir()
    (tmp_path / "launch" / "launch.json").write_text('{"kind": "cloud"}')
    assert "is not of this version" in notemill("status", str(tmp_path), status=2).stderr
