"""The commands of docs/operations.md, one after another, on a cluster of two nodes with one core each."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.pretrain.launching import TINY, rows
from tests.slurm.cluster import Cluster

ROOT = Path(__file__).parents[2]
SMALLER = {
    # No GPUs here.
    "--nodes 16 --write": "--nodes 2 --gpus-per-node 1 --write",
    "--nodes 16 --gpus-per-node 8": "--nodes 2 --gpus-per-node 0",
    "--processes 8": "--processes 2",
}


def commands() -> list[str]:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    lines = [line.strip() for line in page.splitlines() if line.startswith("    ")]
    found = [line for line in lines if line.startswith(("notemill ", "scancel "))]
    for ours, here in SMALLER.items():
        found = [line.replace(ours, here) for line in found]
    return found


def prepare(folder: Path, tokens: Path) -> None:
    """What the page assumes: settings, tokens, and `notemill` on the PATH."""
    (folder / "tokens").symlink_to(tokens)
    (folder / "configs").mkdir()
    tiny: dict[str, dict[str, str]] = {}
    for setting in TINY:
        key, _, value = setting.partition("=")
        section, _, name = key.partition(".")
        tiny.setdefault(section, {})[name] = value
    # JSON is YAML.
    (folder / "configs" / "tiny.yaml").write_text(json.dumps(tiny))
    forever = tiny | {"train": tiny["train"] | {"steps": "100000", "valid_every": "0"}}
    (folder / "configs" / "gatortron-base.yaml").write_text(json.dumps(forever))
    (folder / "site.yaml").write_text("slurm: {partition: debug, preflight: false}\n")
    made, train = tokens.parent, {"config": "configs/tiny.yaml", "nodes": 2, "gpus_per_node": 0}
    corpus = {
        "inputs": [f"noteevents:{made}/invented/noteevents.csv.gz"],
        "arguments": ["--key-file", f"{made}/key", "executor.tasks=2", "executor.memory_gb=2"],
    }
    (folder / "pipeline.yaml").write_text(json.dumps({"out": str(folder / "first"), "corpus": corpus, "train": train}))
    (folder / "bin").mkdir()
    command = folder / "bin" / "notemill"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m launch.main "$@"\n')
    command.chmod(0o700)


def test_the_commands_of_the_page(slurm: Cluster, tokens_dir: Path, tmp_path: Path) -> None:
    prepare(tmp_path, tokens_dir)
    environment = {
        **slurm.environment,
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    run_dir, job = tmp_path / "runs" / "base", ""

    def is_training() -> bool:
        step = max((row["step"] for row in rows(run_dir)), default=0)
        text = subprocess.run(
            ["notemill", "status", str(run_dir)], env=environment, capture_output=True, text=True, check=True
        ).stdout
        return step >= 3 and text.startswith(f"{run_dir}: running")

    seen = []
    for line in commands():
        if "JOB" in line or line.startswith("notemill status"):
            slurm.wait_for(is_training)
        done = subprocess.run(
            line.replace("JOB", job),
            shell=True,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (line, done.stderr[-2000:])
        seen.append(line.split(" --")[0].split(" runs")[0])
        if line.startswith(("notemill launch slurm", "notemill resume")) and "--dry-run" not in line:
            job = done.stdout.strip()
        elif "--signal=USR2" in line:
            log = run_dir / "launch" / f"job-{job}.log"
            slurm.wait_for(lambda log=log: "resumed from" in log.read_text())
            assert log.read_text().count("start 2, on n[1-2]") == 1
        elif line == "scancel JOB":
            slurm.wait_for(lambda job=job: slurm.state(job) == "CANCELLED")
        if line.startswith("notemill resume"):
            slurm.wait_for(is_training)
            # One core a node: it would keep those behind it waiting.
            slurm.run("scancel", job)
        elif line.startswith("notemill launch pipeline") and "--dry-run" not in line:
            # What comes of it has a test of its own.
            stages = dict(text.split() for text in done.stdout.splitlines())
            assert list(stages) == ["corpus", "tokens", "train", "export"]
            slurm.run("scancel", *stages.values())
    assert {"notemill doctor", "notemill plan", "notemill launch local", "notemill resume"} <= set(seen)
