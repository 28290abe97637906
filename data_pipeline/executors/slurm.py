"""A build as three SLURM job arrays in a row, through datatrove's executor: cut, make, finish.

    notemill corpus build … ── submits and waits ──> array "cut", each some inputs ──> array "make" ──> job "finish"

The jobs read the plan and the key files, so the corpus folder and the inputs must lie on a file system that all nodes
see. Killing the command that waits stops nothing: the same command finds the jobs and waits again. One that does not
wait (`--no-wait`) leaves the folder as the jobs do, and the same command without it, at any time after, tidies up.
"""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from loguru import logger

import data_pipeline
from data_pipeline.config import ExecutorConfig
from data_pipeline.executors import UnfinishedError
from data_pipeline.executors.raw_pieces import waiting_pieces
from data_pipeline.executors.tasks import Phase, cut_here, first_error, run_phase
from data_pipeline.files import make_private_folder, read_json, write_json
from data_pipeline.manifest import MANIFEST_NAME
from data_pipeline.plan import PLAN_NAME, BuildPlan, Secrets, save_plan
from data_pipeline.work_folder import WorkFolder
from launch.console import say

_JOBS = "jobs.json"
_POLL_S = 2.0
_SAY_EVERY_S = 60.0


class CorpusPhase(PipelineStep):
    """One phase of a build as a datatrove step. It is pickled into the job's folder and holds two names."""

    name = "notemill corpus"
    type = "corpus"

    def __init__(self, out: Path, phase: Phase) -> None:
        super().__init__()
        self.out, self.phase = out, phase

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> None:
        """The share of this task."""
        run_phase(self.out, self.phase, rank, world_size)


class _Array(SlurmPipelineExecutor):
    def launch_merge_stats(self) -> None:
        """No job that adds up datatrove's statistics: the counts are in the pieces, and a failed array would leave it
        waiting for ever."""

    def get_launch_file_contents(self, sbatch_args: dict[str, Any], run_script: str) -> str:
        """datatrove's, for folders whose names hold spaces, quotes or percent signs too."""
        logs = self.slurm_logs_folder
        escaped = logs.replace("%", "%%").replace('"', '\\"')
        quoted = {
            key: f'"{escaped}{value.removeprefix(logs)}"'
            if key in ("output", "error") and value.startswith(logs)
            else value
            for key, value in sbatch_args.items()
        }
        pickled = self.logging_dir.resolve_paths("executor.pik")
        return super().get_launch_file_contents(quoted, run_script.replace(pickled, shlex.quote(pickled)))


def is_running(work: WorkFolder) -> bool:
    """Whether jobs of an earlier command are still at work on this corpus; UnfinishedError where squeue is silent."""
    alive = _alive(_jobs(work))
    if alive is None:
        raise UnfinishedError(
            f"squeue gives no answer, so whether jobs are still at work on {work.out} is not known; run the same "
            "command again when it does."
        )
    return bool(alive)


def jobs_of(work: WorkFolder) -> list[str]:
    """SLURM's numbers of the jobs that were submitted, those first that the others wait for."""
    return list(_jobs(work).values())


def submit(plan: BuildPlan, secrets: Secrets) -> None:
    """Submit what is left of the build."""
    # What datatrove tells of its jobs is told by `say` below.
    logger.disable("datatrove")
    save_plan(plan, secrets)
    cut_here(plan)
    out, config = plan.out.absolute(), plan.config.executor
    cut = _array(out, "cut", min(config.tasks, len(plan.inputs)), config, None)
    make = _array(out, "make", config.tasks, config, cut)
    last = _array(out, "finish", 1, config, make)
    try:
        # Submits those that it depends on first.
        last.launch_job()
    except subprocess.CalledProcessError as error:
        raise UnfinishedError(
            f"sbatch refused the job (exit {error.returncode}); check executor.partition={config.partition} and "
            "executor.sbatch."
        ) from None
    except FileNotFoundError:
        raise UnfinishedError("sbatch is not on the PATH; run this where jobs are submitted.") from None
    jobs = {array.job_name: str(array.job_id) for array in (cut, make, last)}
    write_json(plan.work.scratch / _JOBS, jobs)
    say("submitted " + ", ".join(f"{name} as job {job}" for name, job in jobs.items()) + ".")


def wait(work: WorkFolder) -> None:
    """Return when the corpus is there. Raises UnfinishedError when the jobs have ended without it."""
    jobs, planned = _jobs(work), _build_sha256(work.scratch / PLAN_NAME)
    said = time.monotonic()
    while (alive := _alive(jobs)) is None or alive:
        time.sleep(_POLL_S)
        if time.monotonic() - said > _SAY_EVERY_S:
            said = time.monotonic()
            made = sum(1 for _ in work.pieces.glob("*/0*.json"))
            say(f"{made} pieces are made, {sum(1 for _ in waiting_pieces(work))} wait.")
    # The manifest may still be that of a corpus that was to grow; without a plan the last job was through before.
    if planned is not None and _build_sha256(work.out / MANIFEST_NAME) != planned:
        told = first_error(work) or (
            f"they left no word; their logs are in {work.scratch / 'slurm'}; the same command goes on."
        )
        raise UnfinishedError(f"the jobs {', '.join(jobs.values())} ended without a corpus: {told}")


def _array(out: Path, phase: Phase, tasks: int, config: ExecutorConfig, depends: _Array | None) -> _Array:
    folder = make_private_folder(WorkFolder(out).scratch / "slurm" / phase)
    return _Array(
        pipeline=[CorpusPhase(out, phase)],
        tasks=tasks,
        time=config.time,
        partition=config.partition,
        mem_per_cpu_gb=config.memory_gb,
        job_name=f"notemill-{phase}",
        qos=None,
        env_command=_environment(config),
        # A job whose predecessor failed would wait for ever.
        sbatch_args={"kill-on-invalid-dep": "yes", **config.sbatch},
        depends=depends,
        logging_dir=str(folder),
        # The pieces say what is done.
        skip_completed=False,
    )


def _environment(config: ExecutorConfig) -> str:
    """Shell lines before each job: private files, this interpreter, and no values of variables in logged errors."""
    root = Path(data_pipeline.__file__).parents[1]
    lines = [
        "umask 077",
        f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH",
        f"export PYTHONPATH={shlex.quote(str(root))}${{PYTHONPATH:+:$PYTHONPATH}}",
        "export LOGURU_DIAGNOSE=NO OMP_NUM_THREADS=1",
    ]
    return "\n".join([*lines, *([config.setup] if config.setup else [])])


def _jobs(work: WorkFolder) -> dict[str, str]:
    path = work.scratch / _JOBS
    return read_json(path, "list of jobs") if path.exists() else {}


def _build_sha256(path: Path) -> str | None:
    return read_json(path, "manifest or plan").get("build_sha256") if path.exists() else None


def _alive(jobs: dict[str, str]) -> list[str] | None:
    """Those that SLURM has not done with, or None where it gives no answer; it forgets a job some minutes after its
    end."""
    if not jobs:
        return []
    command = ["squeue", "--noheader", "--format=%A", f"--jobs={','.join(jobs.values())}"]
    found = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    has_answered = found.returncode == 0 or "Invalid job id" in found.stderr
    return found.stdout.split() if has_answered else None
