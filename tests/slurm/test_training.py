"""`notemill launch slurm` on a real SLURM of two nodes: preempted, near its limit, on a node that dies, cancelled."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pretrain.checkpoint import complete_checkpoints, folder_of, read_info
from pretrain.checkpoint.checksums import damage_in
from tests.pretrain.launching import TINY, losses, rows, train
from tests.slurm.cluster import Cluster

ROOT = Path(__file__).parents[2]
NODES = ("--nodes", "2", "--gpus-per-node", "0")
FOREVER = ("train.steps=100000", "train.valid_every=0", "checkpoint.every=1000")


def notemill(slurm: Cluster, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "launch.main", *arguments],
        env={**slurm.environment, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == status, done.stderr[-3000:]
    return done


def launch(slurm: Cluster, tokens: Path, run_dir: Path, *settings: str) -> str:
    """Submit a run of two nodes; the job's number."""
    config = run_dir.with_suffix(".yaml")
    config.write_text("{}")
    overrides = [*TINY, f"data.path={tokens}", f"run.dir={run_dir}", "slurm.partition=debug", *settings]
    return notemill(slurm, "launch", "slurm", "--config", str(config), *NODES, *overrides).stdout.strip()


def last_step(run_dir: Path) -> int:
    return max((row["step"] for row in rows(run_dir)), default=0)


def said(run_dir: Path, job: str) -> str:
    return (run_dir / "launch" / f"job-{job}.log").read_text()


def test_a_preempted_run_is_queued_again_and_has_the_losses_of_one_that_was_not(
    slurm: Cluster, tokens_dir: Path, tmp_path: Path
) -> None:
    # The rate depends on the number of steps in the last one only.
    settings = ("train.lr_schedule=wsd", "train.decay_steps=1", "train.warmup_steps=1", "train.valid_every=0")
    run_dir = tmp_path / "run"
    job = launch(slurm, tokens_dir, run_dir, *FOREVER, *settings)
    slurm.wait_for(lambda: last_step(run_dir) >= 3)
    slurm.run("sbatch", "--partition=urgent", "--nodes=2", "--output=/dev/null", "--wrap=true")
    slurm.wait_for(lambda: slurm.state(job) == "PENDING")
    (saved,) = complete_checkpoints(run_dir)
    stopped_at = read_info(saved).step
    assert last_step(run_dir) == stopped_at
    slurm.wait_for(lambda: last_step(run_dir) >= stopped_at + 4)
    slurm.run("scancel", job)
    log = said(run_dir, job)
    assert "start 1, on n[1-2]" in log and "start 2, on n[1-2]" in log and f"resumed from {saved}" in log
    assert "2 processes on n1, n2" in log and "slowest of 1 pairs: rank 0 on n1 and rank 1 on n2" in log
    straight = train(tokens_dir, tmp_path / "straight", f"train.steps={stopped_at + 5}", *settings, processes=2)
    assert losses(rows(run_dir))[: stopped_at + 4] == losses(straight)[:-1]


def test_a_node_dies_and_a_run_is_cancelled_and_resumed(slurm: Cluster, tokens_dir: Path, tmp_path: Path) -> None:
    """What a signal before the limit does is in the test of docs/operations.md."""
    run_dir = tmp_path / "run"
    job = launch(slurm, tokens_dir, run_dir, *FOREVER, "checkpoint.every=20", "slurm.preflight=false")
    slurm.wait_for(lambda: complete_checkpoints(run_dir))
    assert notemill(slurm, "status", str(run_dir)).stdout.startswith(f"{run_dir}: running")
    slurm.kill_node("n2")
    slurm.wait_for(lambda: slurm.state(job) == "PENDING")
    saved = complete_checkpoints(run_dir)[-1]
    assert "rank 1 on n2 has died" in said(run_dir, job)
    slurm.start_node("n2")
    slurm.wait_for(lambda: f"resumed from {saved}" in said(run_dir, job))
    assert "start 2, on n[1-2]" in said(run_dir, job)
    slurm.wait_for(lambda: complete_checkpoints(run_dir)[-1] != saved)

    assert f"job {job} of {run_dir} is RUNNING" in notemill(slurm, "resume", str(run_dir), status=2).stderr
    slurm.run("scancel", job)
    slurm.wait_for(lambda: slurm.state(job) == "CANCELLED")
    newest = complete_checkpoints(run_dir)[-1]
    assert newest == folder_of(run_dir, last_step(run_dir)) and damage_in(newest, read_info(newest)) is None
    assert f"stopped: job {job} is CANCELLED" in notemill(slurm, "status", str(run_dir)).stdout

    steps = last_step(run_dir) + 2
    again = notemill(slurm, "resume", str(run_dir), f"train.steps={steps}").stdout.strip()
    slurm.wait_for(lambda: slurm.state(again) == "COMPLETED")
    status = json.loads(notemill(slurm, "status", str(run_dir), "--json").stdout)
    assert (status["health"], status["step"], status["last_checkpoint"]) == ("finished", steps, steps)


def test_a_run_that_cannot_train_is_not_started_for_ever(slurm: Cluster, tokens_dir: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    (tmp_path / "no-checkpoint").mkdir()
    settings = (f"checkpoint.resume={tmp_path}/no-checkpoint", "slurm.preflight=false", "slurm.max_failures=1")
    job = launch(slurm, tokens_dir, run_dir, *settings)
    slurm.wait_for(lambda: slurm.state(job) in ("FAILED", "COMPLETED"))
    assert slurm.state(job) == "FAILED"
    assert "failures without a new checkpoint: 1 of 1" in said(run_dir, job)


def test_what_cannot_be_submitted_is_told_in_one_sentence(slurm: Cluster, tokens_dir: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("{}")
    start = ("launch", "slurm", "--config", str(config), *NODES, *TINY, f"run.dir={tmp_path}/run")
    for settings, reason in (
        ((f"data.path={tokens_dir}", "slurm.partition=gpu"), "invalid partition specified: gpu"),
        (("data.path=nowhere",), f"no token manifest at {Path.cwd()}/nowhere/manifest.json"),
        ((f"data.path={tokens_dir}", "parallel.tensor=4"), "parallel.tensor"),
        ((f"data.path={tokens_dir}", "slurm.time=5"), "slurm.save_before_limit_s 600"),
    ):
        done = notemill(slurm, *start, *settings, status=2)
        assert reason in done.stderr and "Traceback" not in done.stderr and done.stderr.count("\n") == 1, done.stderr
    missing = notemill(slurm, *start[:3], str(tmp_path / "none.yaml"), *start[4:], status=2)
    assert "none.yaml: No such file" in missing.stderr
    assert slurm.run("squeue", "--noheader", "--states=PENDING,RUNNING") == ""


@pytest.mark.slow
def test_a_pipeline_goes_from_notes_to_scores(slurm: Cluster, tokens_dir: Path, tmp_path: Path) -> None:
    made = tokens_dir.parent
    (tmp_path / "suite.yaml").write_text(
        "recipe: {seeds: [0], lr: 1e-3, batch_size: 16, max_length: 64, epochs: 1, hidden_dropout: 0.0}\n"
        "tasks: [{name: cls, task: cls, format: jsonl, path: cls}]\n"
    )
    (tmp_path / "train.yaml").write_text("{}")
    pipeline = {
        "out": str(tmp_path / "out"),
        "corpus": {
            "inputs": [f"noteevents:{made}/invented/noteevents.csv.gz"],
            "arguments": ["--key-file", f"{made}/key", "executor.tasks=2", "executor.memory_gb=2"],
        },
        "tokens": {"tokenizer_arguments": ["vocab_size=1024"], "workers": 1},
        "train": {
            "config": str(tmp_path / "train.yaml"),
            "nodes": 2,
            "gpus_per_node": 0,
            "settings": [*TINY, "train.steps=4", "train.valid_every=0"],
        },
        "eval": {
            "suite": str(tmp_path / "suite.yaml"),
            "data_root": f"{made}/invented/tasks",
            "gpus": 0,
            "settings": ["workers=1"],
        },
    }
    config = tmp_path / "pipeline.yaml"
    # JSON is YAML.
    config.write_text(json.dumps(pipeline))
    start = ("launch", "pipeline", "--config", str(config), "slurm.partition=debug", "slurm.preflight=false")
    submitted = dict(line.split() for line in notemill(slurm, *start).stdout.splitlines())
    assert list(submitted) == ["corpus", "tokens", "train", "export", "eval"]
    assert "are in the queue" in notemill(slurm, *start, status=2).stderr
    slurm.wait_for(lambda: slurm.state(submitted["eval"]) in ("COMPLETED", "FAILED", "CANCELLED", ""), 400)
    assert {stage: slurm.state(job) for stage, job in submitted.items()} == dict.fromkeys(submitted, "COMPLETED")
    results = json.loads((tmp_path / "out" / "results" / "results.json").read_text())
    assert [result["task"] for result in results] == ["cls"]
    # The same command, with everything there, does nothing again.
    assert notemill(slurm, "corpus", "verify", str(tmp_path / "out" / "corpus")).returncode == 0
