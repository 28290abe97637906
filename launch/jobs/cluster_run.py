"""A run under SLURM: written into its folder and submitted, and submitted again."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data_pipeline.files import make_private_folder, write_text
from launch.console import say
from launch.doctor import require_no_problem
from launch.errors import NotemillError
from launch.jobs import run_folder, slurm
from launch.jobs.run_folder import FOLDER, Record
from launch.jobs.sbatch import train_script
from launch.jobs.site import SiteConfig
from launch.revision import code_revision
from pretrain.config import PretrainConfig

SCRIPT = "train.sbatch"


def launch(
    config_file: Path,
    overrides: Sequence[str],
    site: SiteConfig,
    *,
    nodes: int,
    gpus_per_node: int,
    processes: int | None,
    dry_run: bool,
) -> str | None:
    """Write the run folder and submit; the job's number, or None where only the script was printed.

    `processes` a node are as many as GPUs, or one without GPUs, when None. Raises NotemillError.
    """
    config, record, script = plan(
        config_file, overrides, site, nodes=nodes, gpus_per_node=gpus_per_node, processes=processes
    )
    if dry_run:
        print(script, end="")
        return None
    run_dir = Path(config.run.dir)
    require_free(run_dir)
    require_no_problem(run_dir)
    write(config, record, script)
    return _submit(run_dir, record)


def plan(
    config_file: Path,
    overrides: Sequence[str],
    site: SiteConfig,
    *,
    nodes: int,
    gpus_per_node: int,
    processes: int | None,
    has_tokens: bool = True,
) -> tuple[PretrainConfig, Record, str]:
    """The resolved configuration, the record and the batch script; nothing is written. Raises NotemillError."""
    processes = processes or max(1, gpus_per_node)
    if gpus_per_node and processes > gpus_per_node:
        raise NotemillError(f"--processes-per-node {processes} is more than --gpus-per-node {gpus_per_node}.")
    config = run_folder.resolve(config_file, overrides)
    if "\n" in config.run.dir:
        raise NotemillError(f"run.dir {config.run.dir!r} holds a line break, which no batch script can name.")
    run_folder.require_fit(config, nodes * processes, has_tokens=has_tokens)
    record = Record("slurm", nodes, processes, gpus_per_node, code_revision=code_revision())
    script = train_script(Path(config.run.dir), site, nodes=nodes, gpus_per_node=gpus_per_node, processes=processes)
    return config, record, script


def write(config: PretrainConfig, record: Record, script: str) -> Path:
    """Write the run folder; the batch script's place."""
    run_dir = run_folder.write(config, record)
    path = make_private_folder(run_dir / FOLDER) / SCRIPT
    write_text(path, script)
    return path


def resume(run_dir: Path, record: Record, overrides: Sequence[str]) -> str:
    """Submit the run's own script again; the job's number. Raises NotemillError while a job of it is at work."""
    require_free(run_dir)
    _require_own_script(run_dir)
    config = run_folder.read_config(run_dir, overrides)
    run_folder.require_fit(config, record.nodes * record.processes_per_node)
    require_no_problem(run_dir)
    record = replace(record, code_revision=code_revision())
    run_folder.write(config, record)
    return _submit(run_dir, record)


def _submit(run_dir: Path, record: Record) -> str:
    job = slurm.submit(run_dir / FOLDER / SCRIPT)
    run_folder.write_record(run_dir, run_folder.with_job(record, job))
    say(f"submitted {run_dir} as job {job}; `notemill status {run_dir}` tells how it is.")
    return job


def _require_own_script(run_dir: Path) -> None:
    """Raise NotemillError where the run was moved or copied since: its batch script would train the other folder."""
    script = run_dir / FOLDER / SCRIPT
    lines = script.read_text(encoding="utf-8").splitlines() if script.is_file() else []
    for line in lines:
        if line.startswith("run=") and Path(shlex.split(line)[0].removeprefix("run=")).resolve() != run_dir.resolve():
            raise NotemillError(
                f"{run_dir} was moved or copied, and its batch script is of another folder; `notemill launch slurm "
                f"--config {run_dir / run_folder.CONFIG} run.dir={run_dir}` with its site goes on there."
            )


def require_free(run_dir: Path) -> None:
    """Raise NotemillError where the run is at work or waits."""
    record = run_folder.read_record(run_dir)
    if record is not None and record.jobs:
        states = slurm.states(record.jobs)
        if states is None:
            raise NotemillError(
                f"squeue gives no answer, so whether {run_dir} is at work is not known; try again later."
            )
        alive = {job: state for job, state in states.items() if not slurm.is_over(state)}
        for job, state in alive.items():
            raise NotemillError(f"job {job} of {run_dir} is {state}; wait for it, or scancel {job} first.")
    run_folder.require_not_held(run_dir)
