"""A rank that hangs or dies ends all ranks within a set time, and the rank, its host and its last step are named."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from pretrain.checkpoint import complete_checkpoints, folder_of, read_info
from pretrain.checkpoint.checksums import damage_in
from tests.pretrain.launching import TINY, environment, losses, rows, train

TIMEOUT_S = 15
FOREVER = ("train.steps=100000", "train.valid_every=0", f"train.hang_timeout_s={TIMEOUT_S}")


class Run:
    """A run of two processes under torchrun."""

    def __init__(self, tokens, run_dir, *overrides, torchrun=()):
        self.run_dir, self._log = run_dir, run_dir.with_name(f"{run_dir.name}.log")
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *torchrun]
        settings = [*TINY, f"data.path={tokens}", f"run.dir={run_dir}", *overrides]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-m", "pretrain.train", *settings],
                env=environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    def rank(self, number: int) -> psutil.Process:
        for child in psutil.Process(self._process.pid).children():
            if child.environ().get("RANK") == str(number):
                return child
        raise AssertionError(f"no process of rank {number}")

    def wait_for(self, has_come, patience_s=240):
        deadline = time.monotonic() + patience_s
        while not has_come():
            assert self._process.poll() is None, self.said[-3000:]
            assert time.monotonic() < deadline, self.said[-3000:]
            time.sleep(0.02)

    def wait_for_step(self, step):
        self.wait_for(lambda: any(row["step"] >= step for row in rows(self.run_dir)))

    def signal(self, number):
        self._process.send_signal(number)

    def end(self, patience_s=240) -> int:
        return self._process.wait(timeout=patience_s)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in psutil.Process(self._process.pid).children() if self._process.poll() is None else []:
            child.kill()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@pytest.mark.parametrize("number", [0, 1])
def test_a_rank_that_is_stopped_ends_all_and_is_named(number, tokens_dir, tmp_path):
    # torchrun gives a rank that does not end on SIGTERM, as a stopped one, some time before it kills it.
    with Run(tokens_dir, tmp_path / "run", *FOREVER, torchrun=("--shutdown-timeout=5",)) as run:
        run.wait_for_step(5)
        time.sleep(2 * TIMEOUT_S / 10)  # until a beat has told of it
        run.rank(number).send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        run.wait_for(lambda: "has died or was stopped" in run.said, 6 * TIMEOUT_S)
        named_after = time.monotonic() - begin
        assert run.end() != 0
        told = re.search(r"rank (\d) on (\S+) has died or was stopped after step (\d+), in phase (\w+)", run.said)
        assert told and int(told[1]) == number and told[2] == socket.gethostname()
        # As it told with its last beat, which is up to two seconds old.
        assert 0 < int(told[3]) <= rows(run.run_dir)[-1]["step"] + 1
        # On a machine that is not overloaded it is the timeout and two beats.
        assert TIMEOUT_S * 0.9 <= named_after <= 3 * TIMEOUT_S
        assert complete_checkpoints(run.run_dir) == []


def test_a_rank_that_is_killed_is_named_and_a_restart_goes_on_by_itself(tokens_dir, tmp_path):
    settings = ("train.steps=60", "checkpoint.every=4", "train.valid_every=0")
    straight = train(tokens_dir, tmp_path / "straight", *settings, processes=2)
    with Run(tokens_dir, tmp_path / "run", *settings, torchrun=("--max-restarts=1",)) as run:
        run.wait_for(lambda: complete_checkpoints(run.run_dir))
        run.rank(1).kill()
        assert run.end() == 0, run.said[-3000:]
        assert "rank 1 on" in run.said and "has died or was stopped" in run.said
        assert "resumed from" in run.said
        assert losses(rows(run.run_dir)) == losses(straight)


def test_torchrun_passes_sigterm_on_and_the_step_is_saved(tokens_dir, tmp_path):
    """Saves are always under way here, so the signal comes in the middle of one."""
    settings = ("train.steps=100000", "checkpoint.every=2", "train.valid_every=0")
    with Run(tokens_dir, tmp_path / "run", *settings) as run:
        run.wait_for(lambda: complete_checkpoints(run.run_dir))
        run.signal(signal.SIGTERM)
        run.end(60)
        assert_saved_where_it_stopped(run.run_dir)
        assert f"stopped at step {rows(run.run_dir)[-1]['step']} of" in run.said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_signal_to_one_rank_ends_all_with_0_at_one_step(number, tokens_dir, tmp_path):
    """Most of this run's time is validation; the signal comes in the middle of one."""
    run_dir = tmp_path / "run"
    settings = ("train.steps=100000", "checkpoint.every=1", "train.valid_every=1", "data.valid_rows=48")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = [*TINY, f"data.path={tokens_dir}", f"run.dir={run_dir}", *settings]
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", "pretrain.train", *arguments],
            env=environment()
            | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
            | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        deadline = time.monotonic() + 240
        while not complete_checkpoints(run_dir) and time.monotonic() < deadline:
            time.sleep(0.02)
        ranks[1].send_signal(number)
        told = [rank.communicate(timeout=60)[1] for rank in ranks]
        assert [rank.returncode for rank in ranks] == [0, 0], told
        assert_saved_where_it_stopped(run_dir)
    finally:
        for rank in ranks:
            rank.kill()


def assert_saved_where_it_stopped(run_dir):
    last = rows(run_dir)[-1]["step"]
    newest = complete_checkpoints(run_dir)[-1]
    assert newest == folder_of(run_dir, last) and read_info(newest).step == last
    assert damage_in(newest, read_info(newest)) is None
