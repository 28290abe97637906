"""`notemill corpus build` as SLURM job arrays on two nodes: the bytes of a local build, also after kills."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_pipeline.executors import UnfinishedError, slurm
from data_pipeline.files import make_private_folder, write_json
from data_pipeline.manifest import verify_corpus
from data_pipeline.readers.inputs import parse_inputs
from data_pipeline.work_folder import WorkFolder
from tests.data_pipeline.corpora import KEY, folder_hashes, noteevents_row, write_jsonl, write_noteevents

ROOT = Path(__file__).parents[2]
SLURM = ["executor.name=slurm", "executor.partition=debug", "executor.tasks=3", "executor.memory_gb=2"]
SETTINGS = ["shards.piece_rows=10", "shards.max_rows=40"]


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    rows = [noteevents_row(n, n % 9, f"Mr. Hill came on 4/{1 + n % 28}/2019 for visit {n // 2}.") for n in range(70)]
    write_noteevents(tmp_path / "notes.csv.gz", rows)
    lines = [{"id": f"j{n}", "text": f"Letter {n}: \udc80 doing well. {'x' * n}"} for n in range(25)]
    write_jsonl(tmp_path / "notes.jsonl", [*lines, "{broken"])
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o600)
    # Relative paths mean what they mean where the command was given.
    return ["--input", "noteevents:notes.csv.gz", "--input", "jsonl:notes.jsonl", "--key-file", "key", *SETTINGS]


def corpus(arguments: list[str], cwd: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "launch.main", "corpus", "build", *arguments],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return said


def test_the_bytes_of_a_local_build(cluster: dict[str, str], arguments: list[str], tmp_path: Path) -> None:
    finished(corpus([*arguments, "--out", "local"], tmp_path, cluster))
    out = tmp_path / "thére is 'one\" 5%A"
    said = finished(corpus([*arguments, "--out", str(out), *SLURM], tmp_path, cluster))
    assert "submitted notemill-cut as job" in said
    assert folder_hashes(out) == folder_hashes(tmp_path / "local")
    assert verify_corpus(out) == []
    assert len(json.loads((out / "manifest.json").read_text())["inputs"]) == len(
        parse_inputs([f"noteevents:{tmp_path}/notes.csv.gz", f"jsonl:{tmp_path}/notes.jsonl"])
    )


def test_the_waiting_command_and_a_job_are_killed(
    cluster: dict[str, str], arguments: list[str], tmp_path: Path
) -> None:
    finished(corpus([*arguments, "--out", "local"], tmp_path, cluster))
    command = [*arguments, "--out", "there", *SLURM]
    waiting = corpus(command, tmp_path, cluster)
    jobs_file = tmp_path / "there" / ".build" / "jobs.json"
    while waiting.poll() is None and not jobs_file.exists():
        time.sleep(0.05)
    os.killpg(waiting.pid, signal.SIGKILL)
    waiting.communicate()
    jobs = json.loads(jobs_file.read_text())
    # The second command finds the jobs of the first and submits none.
    again = corpus(command, tmp_path, cluster)
    time.sleep(3)
    subprocess.run(["scancel", jobs["notemill-make"]], env=cluster, check=True)
    _, said = again.communicate(timeout=240)
    if again.returncode != 0:
        # Cancelled in time: told in one sentence, and the third goes on from the pieces.
        assert "ended without a corpus" in said and "Traceback" not in said, said
    assert "waiting for them" in said and "submitted" not in said
    finished(corpus(command, tmp_path, cluster))
    assert folder_hashes(tmp_path / "there") == folder_hashes(tmp_path / "local")


def test_no_word_from_squeue_is_no_end_of_the_jobs(
    cluster: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", cluster["SLURM_CONF"])
    work = WorkFolder(tmp_path)
    write_json(make_private_folder(work.scratch) / "jobs.json", {"notemill-cut": "99999"})
    assert not slurm.is_running(work)
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "nowhere"))
    with pytest.raises(UnfinishedError, match="squeue gives no answer"):
        slurm.is_running(work)


def test_a_wrong_partition_and_a_damaged_input_are_told(
    cluster: dict[str, str], arguments: list[str], tmp_path: Path
) -> None:
    wrong = corpus([*arguments, "--out", "out", *SLURM, "executor.partition=gpu"], tmp_path, cluster)
    _, said = wrong.communicate(timeout=120)
    assert wrong.returncode != 0 and "check executor.partition=gpu" in said and "Traceback" not in said
    # Long enough that its head says nothing of its end.
    rows = [noteevents_row(n, 1, random.Random(n).randbytes(400).hex()) for n in range(4000)]
    path = write_noteevents(tmp_path / "notes.csv.gz", rows)
    path.write_bytes(path.read_bytes()[:-20])
    # Also where the manifest of the corpus that was to grow is there all the time.
    finished(corpus(["--input", "jsonl:notes.jsonl", *arguments[4:], "--out", "out2"], tmp_path, cluster))
    damaged = corpus(["--add", *arguments, "--out", "out2", *SLURM], tmp_path, cluster)
    _, said = damaged.communicate(timeout=240)
    assert damaged.returncode != 0 and "ends in the middle" in said and "Traceback" not in said
    # The logs are left to read, and the corpus is whole.
    assert all(problem.startswith(".build/") for problem in verify_corpus(tmp_path / "out2"))
