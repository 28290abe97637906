"""What `notemill launch` writes into a run folder, so that the run can be started again from the folder alone.

RUN/config.yaml              the resolved configuration, its paths absolute; the run reads it at every start
RUN/launch/launch.json       how it was started: machines, code revision, jobs
RUN/launch/train.sbatch      the batch script (SLURM)
RUN/launch/job-%j.log        what each job said, over all its starts (SLURM)
"""

import contextlib
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from data_pipeline.files import LOCK_NAME, make_private_folder, read_json, write_json, write_text
from launch.config import to_yaml
from launch.errors import NotemillError
from pretrain.checkpoint.folder import complete_checkpoints, step_of
from pretrain.config import PretrainConfig, load_pretrain_config
from pretrain.model.same_shape import require_same_model
from pretrain.parallel.layout import layout_problems

CONFIG, FOLDER, RECORD = "config.yaml", "launch", "launch.json"
VERSION = 1


@dataclass(frozen=True)
class Record:
    """launch.json."""

    kind: Literal["local", "slurm"]
    nodes: int
    processes_per_node: int
    gpus_per_node: int
    command: list[str] = field(default_factory=lambda: sys.argv)
    code_revision: str | None = None
    """Commit of the checkout, with `+changes` where its files differ; None outside of a checkout."""
    jobs: list[str] = field(default_factory=list)
    """SLURM's numbers, the newest last."""
    version: int = VERSION


def resolve(config_file: Path, overrides: Sequence[str]) -> PretrainConfig:
    """The run's configuration with absolute paths, as a job on another machine needs it. Raises NotemillError."""
    config = load_pretrain_config(str(config_file), list(overrides))
    config.data.path = str(Path(config.data.path).absolute())
    config.run.dir = str(Path(config.run.dir).absolute())
    if config.checkpoint.resume == "none":
        # Whoever asks for a new run wants it to go on from its own checkpoints later.
        if complete_checkpoints(Path(config.run.dir)):
            raise NotemillError(
                f"{config.run.dir} holds checkpoints and checkpoint.resume=none would write over them; choose another "
                "run.dir or checkpoint.resume=auto."
            )
        config.checkpoint.resume = "auto"
    elif config.checkpoint.resume != "auto":
        config.checkpoint.resume = str(Path(config.checkpoint.resume).absolute())
    return config


def require_fit(config: PretrainConfig, world_size: int, *, has_tokens: bool = True) -> None:
    """Raise NotemillError where the tokens are missing (unless they are yet to be built), the layout does not fit, or
    the run that is there cannot go on so."""
    from pretrain.data.index import read_tokens_manifest

    vocab_size = read_tokens_manifest(Path(config.data.path)).vocab_size if has_tokens else None
    problems = layout_problems(config, world_size=world_size, vocab_size=vocab_size)
    if problems:
        raise NotemillError("the layout does not fit: " + "; ".join(problems) + ".")
    _require_continues(config)
    resume = config.checkpoint.resume
    if resume != "auto" and not Path(resume).is_dir():
        raise NotemillError(f"no checkpoint at {resume}; check checkpoint.resume.")


def _require_continues(config: PretrainConfig) -> None:
    """Raise NotemillError where the run that is there is of another model, or further than this one is to go.

    Before anything is written, so that the run that is there can still go on as it was.
    """
    for checkpoint in reversed(complete_checkpoints(Path(config.run.dir))):
        if (checkpoint / CONFIG).is_file():
            require_same_model(checkpoint, config)
            if step_of(checkpoint) > config.train.steps:
                raise NotemillError(
                    f"{config.run.dir} is at step {step_of(checkpoint)}, beyond train.steps {config.train.steps}; "
                    "raise train.steps or choose another run.dir."
                )
            return


def write(config: PretrainConfig, record: Record) -> Path:
    """Write the run folder and return it."""
    run_dir = make_private_folder(Path(config.run.dir))
    write_text(run_dir / CONFIG, to_yaml(config))
    write_record(run_dir, record)
    return run_dir


def write_record(run_dir: Path, record: Record) -> None:
    write_json(make_private_folder(run_dir / FOLDER) / RECORD, asdict(record))


def with_job(record: Record, job: str) -> Record:
    """The record of a run that was submitted once more."""
    return replace(record, jobs=[*record.jobs, job])


def read_record(run_dir: Path) -> Record | None:
    """How the run was started; None where it was not by `notemill launch`. Raises NotemillError for a damaged file."""
    path = run_dir / FOLDER / RECORD
    if not path.exists():
        return None
    found: dict[str, Any] = read_json(path, "record of the launch", remedy="launch the run again")
    try:
        record = Record(**found)
        if record.kind in ("local", "slurm") and all(isinstance(job, str) for job in record.jobs):
            return record
    except TypeError:
        pass
    raise NotemillError(f"{path} is not of this version of notemill; launch the run again.")


def read_config(run_dir: Path, overrides: Sequence[str] = ()) -> PretrainConfig:
    """The configuration in a run folder, which may have been moved or copied since. Raises NotemillError for no run."""
    if not (run_dir / CONFIG).is_file():
        raise NotemillError(f"{run_dir} is no run: there is no {CONFIG} in it; check the folder's name.")
    _require_whole(run_dir / CONFIG)
    if any(override.startswith("run.dir=") for override in overrides):
        raise NotemillError(f"run.dir is {run_dir}, where the run goes on; launch another run to train elsewhere.")
    config = load_pretrain_config(str(run_dir / CONFIG), list(overrides))
    config.run.dir = str(run_dir.absolute())
    return config


def _require_whole(path: Path) -> None:
    """Raise NotemillError where the file of a run lacks a section, as one that a copy cut short does: what is missing
    would be read as defaults."""
    text = path.read_text(encoding="utf-8", errors="replace")
    missing = [section.name for section in fields(PretrainConfig) if not re.search(f"(?m)^{section.name}:", text)]
    if missing:
        raise NotemillError(
            f"{path} is cut off, there is no section {missing[0]}; copy it anew, or take config.yaml of the newest "
            "checkpoint below it."
        )


def last_saved_step(run_dir: Path) -> int | None:
    """The step of the newest complete checkpoint."""
    complete = complete_checkpoints(run_dir)
    return step_of(complete[-1]) if complete else None


def is_finished(run_dir: Path, config: PretrainConfig) -> bool:
    """Whether the last step is saved."""
    return (last_saved_step(run_dir) or 0) >= config.train.steps


def require_not_held(run_dir: Path) -> None:
    """Raise NotemillError where a process of this machine trains the run."""
    if is_held(run_dir):
        raise NotemillError(f"{run_dir} is being trained by another process; wait for it, or stop it with SIGTERM.")


def is_held(run_dir: Path) -> bool:
    """Whether a process of this machine has the run folder open for writing.

    The kernel's list is read, as trying the lock would keep out a run that starts at that moment.
    """
    try:
        lock = (run_dir / LOCK_NAME).stat()
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return False
    holders = [line.split()[4] for line in locks.splitlines() if "FLOCK" in line and f":{lock.st_ino} " in line]
    return any(_has_open(process, lock) for process in holders)


def _has_open(process: str, file: os.stat_result) -> bool:
    """Whether the process has that file open, not one of the same number elsewhere; yes where that is unknown."""
    try:
        descriptors = list(Path("/proc", process, "fd").iterdir())
    except OSError:
        return True
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            if os.path.samestat(descriptor.stat(), file):
                return True
    return False
