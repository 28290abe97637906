"""SLURM's commands: submit, ask, tell what it refused in one sentence."""

import os
import shutil
import subprocess
from pathlib import Path

from launch.errors import NotemillError

_FORGOTTEN = "Invalid job id"


def submit(script: Path, *, after: list[str] | None = None) -> str:
    """Hand a batch script over and give the job's number; it starts when all jobs of `after` have ended well.

    Raises NotemillError with SLURM's own words when it refuses.
    """
    waits = [f"--dependency=afterok:{':'.join(after)}", "--kill-on-invalid-dep=yes"] if after else []
    if shutil.which("sbatch") is None:
        raise NotemillError("sbatch is not on the PATH; run this where jobs are submitted.")
    found = subprocess.run(
        ["sbatch", "--parsable", *waits, str(script)], capture_output=True, text=True, env=_environment(), check=False
    )
    if found.returncode:
        said = " ".join(found.stderr.replace("sbatch: error:", " ").split())
        raise NotemillError(f"sbatch refused {script}: {said}; check the slurm section of --site.")
    return found.stdout.strip().partition(";")[0]


def cancel(jobs: list[str]) -> None:
    """Take jobs off the queue."""
    if jobs:
        subprocess.run(["scancel", *jobs], check=False)


def states(jobs: list[str]) -> dict[str, str] | None:
    """Those of the jobs that SLURM has not done with, with their state in its words; None where it gives no answer."""
    if not jobs:
        return {}
    if shutil.which("squeue") is None:
        return None
    command = ["squeue", "--noheader", "--states=all", "--format=%A %T %r", f"--jobs={','.join(jobs)}"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode and _FORGOTTEN not in found.stderr:
        return None
    rows = [line.split(maxsplit=2) for line in found.stdout.splitlines()]
    return {row[0]: f"{row[1]} ({row[2]})" if row[2:] and row[2] != "None" else row[1] for row in rows if len(row) > 1}


def is_over(state: str) -> bool:
    """Whether a job in this state comes back by itself no more."""
    return state.partition(" ")[0] in {
        *("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY"),
        *("DEADLINE", "BOOT_FAIL", "REVOKED", "NODE_FAIL", "PREEMPTED"),
    }


def _environment() -> dict[str, str]:
    """Without what sbatch reads over the script's own options, and without what a job that submits was given."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("SBATCH_", "SLURM_JOB"))}
