"""A host that all others wait for is named, and one that is slow for a moment is not."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch

from pretrain import ranks_report
from pretrain.pace import Pace
from pretrain.ranks_report import RankReport, Reporter, read_report, slow_hosts
from tests.pretrain.launching import TINY, environment, rows


def ranks(**seconds: list[float]) -> list[RankReport]:
    """Ranks of each host with what they take, all at step 100 of one stage."""
    of_hosts = [(host, value) for host, values in seconds.items() for value in values]
    return [RankReport(n, host, 100, "training", 0.0, 0, value) for n, (host, value) in enumerate(of_hosts)]


def test_a_host_is_compared_with_the_others():
    assert slow_hosts(ranks(a=[1.0, 1.1], b=[1.0, 0.9], c=[1.0, 1.05])) == {}
    assert slow_hosts(ranks(a=[1.0, 1.1], b=[2.0, 2.1], c=[1.0, 1.0])) == {"b": pytest.approx(2.05)}
    # One rank that is slow beside seven that are not is no slow host's.
    assert slow_hosts(ranks(a=[1.0] * 8, b=[1.0] * 7 + [9.0])) == {}
    assert slow_hosts(ranks(a=[1.0, 5.0])) == {}


def test_other_stages_of_a_pipeline_have_other_layers():
    first = [RankReport(0, "a", 1, "training", 0.0, 0, 1.0), RankReport(1, "b", 1, "training", 0.0, 0, 1.0)]
    last = [RankReport(2, "c", 1, "training", 0.0, 1, 9.0), RankReport(3, "d", 1, "training", 0.0, 1, None)]
    assert slow_hosts([*first, *last]) == {}


def test_what_lasts_is_told_once(tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(ranks_report, "say", said.append)
    found = ranks(a=[1.0], b=[2.0])
    reporter = Reporter(tmp_path, lambda: found, first_step=0)
    for _ in range(2):
        reporter._write(has_ended=False)
    assert said == [] and read_report(tmp_path).slow_hosts == {}
    for _ in range(3):
        reporter._write(has_ended=False)
    assert [line.partition(" takes")[0] for line in said] == ["b"] and read_report(tmp_path).slow_hosts == {"b": 2.0}
    found = ranks(a=[1.0], b=[1.0])
    for _ in range(20):
        reporter._write(has_ended=False)
    assert said[1:] == ["b is as fast as the other hosts again."] and read_report(tmp_path).slow_hosts == {}
    assert (tmp_path / "ranks.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "ranks.json").write_text('{"step": 1')
    assert read_report(tmp_path) is None


def test_the_pace_is_that_of_training(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("pretrain.pace.time.perf_counter", lambda: now[0])

    class Model(torch.nn.Module):
        def forward(self, seconds: float) -> None:
            now[0] += seconds

    model = Model()
    pace = Pace(model, torch.device("cpu"))
    for step in range(3):
        # The first step builds things, and the first of its micro-batches may wait for weights of others.
        for seconds in (50.0 if step == 0 else 9.0, 2.0, 2.0):
            model(seconds)
        pace.end_step()
    assert pace.seconds == 2.0
    model.eval()
    model(100.0)
    model.train()
    for _ in range(2):
        model(4.0)
        pace.end_step()
    assert pace.seconds == pytest.approx(0.95 * 2.0 + 0.05 * 4.0)


@pytest.mark.slow
def test_a_slow_host_is_named_by_a_real_run(tokens_dir, tmp_path):
    """Two ranks that take themselves for two nodes; one is stopped most of the time."""
    run_dir = tmp_path / "run"
    settings = ("train.steps=100000", "train.valid_every=0", "train.hang_timeout_s=120", "train.log_every=10")
    arguments = [*TINY, f"data.path={tokens_dir}", f"run.dir={run_dir}", *settings]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "log"
    with log.open("wb") as stream:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "pretrain.train", *arguments],
                env=environment()
                | {"RANK": str(rank), "LOCAL_RANK": "0", "WORLD_SIZE": "2", "SLURMD_NODENAME": f"node{rank}"}
                | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
                stderr=stream,
            )
            for rank in range(2)
        ]
    try:
        until = time.monotonic() + 240
        while not rows(run_dir):
            assert time.monotonic() < until and processes[0].poll() is None, log.read_text()[-2000:]
            time.sleep(0.1)
        while "node1 takes" not in log.read_text():
            assert time.monotonic() < until and processes[0].poll() is None, log.read_text()[-2000:]
            os.kill(processes[1].pid, signal.SIGSTOP)
            time.sleep(0.04)
            os.kill(processes[1].pid, signal.SIGCONT)
            time.sleep(0.01)
        until = time.monotonic() + 20
        while (read_report(run_dir).slow_hosts or {}).keys() != {"node1"} and time.monotonic() < until:
            time.sleep(0.1)
        assert list(read_report(run_dir).slow_hosts) == ["node1"] and "node0 takes" not in log.read_text()
    finally:
        for process in processes:
            process.kill()
            process.wait()
