"""A run on this machine: the same run folder as under SLURM, with torchrun in the foreground."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from launch.console import say
from launch.doctor import require_no_problem
from launch.errors import NotemillError
from launch.jobs import run_folder
from launch.jobs.node import CUT_SHORT, STOPPED, run_node
from launch.jobs.run_folder import Record
from launch.revision import code_revision


def launch(config_file: Path, overrides: Sequence[str], *, processes: int | None, dry_run: bool) -> int:
    """Write the run folder and run to the end; the exit status. Raises NotemillError."""
    config = run_folder.resolve(config_file, overrides)
    gpus = _num_gpus(config.train.device)
    processes = processes or max(1, gpus)
    if gpus and processes > gpus:
        raise NotemillError(f"--processes {processes}, and this machine has {gpus} GPUs; take no more than that.")
    run_folder.require_fit(config, processes)
    run_folder.require_not_held(Path(config.run.dir))
    record = Record("local", 1, processes, min(gpus, processes), code_revision=code_revision())
    if dry_run:
        print(f"would train {config.train.steps} steps in {config.run.dir} with {processes} processes")
        return 0
    require_no_problem(Path(config.run.dir))
    return start(run_folder.write(config, record), record)


def resume(run_dir: Path, record: Record, overrides: Sequence[str]) -> int:
    """Go on with a run that `launch` began; the exit status."""
    run_folder.require_not_held(run_dir)
    config = run_folder.read_config(run_dir, overrides)
    run_folder.require_fit(config, record.processes_per_node)
    require_no_problem(run_dir)
    run_folder.write(config, replace(record, code_revision=code_revision()))
    return start(run_dir, record)


def start(run_dir: Path, record: Record) -> int:
    """Run to the end and say how it ended; the exit status of the command."""
    before = run_folder.last_saved_step(run_dir)
    status = run_node("train", run_dir, nodes=1, processes=record.processes_per_node)
    if status == 0:
        return 0
    step = run_folder.last_saved_step(run_dir)
    further = f"`notemill resume {run_dir}` " + ("begins anew" if step is None else f"goes on from step {step}")
    if status == STOPPED:
        say(f"{'saved' if step != before else 'stopped before anything new was saved'}; {further}.")
        return 0
    if status == CUT_SHORT:
        say(f"ended at once; {further}.")
        return CUT_SHORT
    say(f"the run ended with status {status}; what it said stands above. {further}.")
    return status


def _num_gpus(device: str) -> int:
    import torch

    return 0 if device == "cpu" else torch.cuda.device_count()
