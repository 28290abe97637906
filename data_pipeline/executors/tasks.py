"""The parts of a build that processes on other machines do, each a function of the corpus folder alone.

    cut_inputs ──> .build/raw/*   make_waiting ──> pieces/*   finish_build ──> shards/, manifest.json

All may be run again at any time, by anyone, in any number: what is there is not made again. What goes wrong is written
to .build/errors/ in one sentence, since an executor's own log is no place for values of notes.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from data_pipeline.executors.raw_pieces import cut_to_disk, num_pieces_cut, read_piece, waiting_pieces
from data_pipeline.files import make_private_folder, read_json, write_json
from data_pipeline.finish import finish
from data_pipeline.pieces import run_piece
from data_pipeline.plan import BuildPlan, Secrets, is_readable_anywhere, load_plan
from data_pipeline.private_process import keep_memory_private, without_values
from data_pipeline.work_folder import WorkFolder, input_key
from launch.errors import NotemillError

Phase = Literal["cut", "make", "finish"]


class TaskFailedError(Exception):
    """A task wrote its error; this one says only where."""


def cut_inputs(plan: BuildPlan, places: range) -> None:
    """Cut those inputs of the list that are not cut and that any process can read."""
    for item in plan.inputs[places.start : places.stop : places.step]:
        is_cut = plan.work.cut_input(input_key(item)) or num_pieces_cut(item, plan.work) is not None
        if not is_cut and is_readable_anywhere(item):
            cut_to_disk(item, plan.work, plan.config)


def cut_here(plan: BuildPlan) -> None:
    """Cut the inputs that only this process can read: databases, and addresses with a password."""
    for item in plan.inputs:
        if not is_readable_anywhere(item) and plan.work.cut_input(input_key(item)) is None:
            cut_to_disk(item, plan.work, plan.config)


def make_piece(plan: BuildPlan, secrets: Secrets, path: Path) -> None:
    """Make the piece whose rows lie at `path`, and remove those."""
    run_piece(read_piece(path), plan.context(secrets))
    path.unlink(missing_ok=True)


def mark_inputs(plan: BuildPlan) -> None:
    """Mark every input as cut whose pieces are all there. Raises NotemillError where some are missing."""
    for item in plan.inputs:
        if plan.work.cut_input(input_key(item)) is not None:
            continue
        num_pieces = num_pieces_cut(item, plan.work)
        made = plan.work.pieces / input_key(item)
        if num_pieces is None or any(not (made / f"{index:07d}.json").exists() for index in range(num_pieces)):
            raise NotemillError(f"some pieces of {item.path} were not made; run the same command again to go on.")
        plan.work.set_cut(item, num_pieces)


def run_phase(out: Path, phase: Phase, rank: int, num_tasks: int) -> None:
    """The share of one of `num_tasks` tasks in a phase. Raises TaskFailedError; the error itself is in a file."""
    name = f"{phase}-{rank:05d}"
    _reporting(out, name, lambda: _run_phase(out, phase, rank, num_tasks))


def run_make(out: Path, path: Path) -> None:
    """Make one piece, for executors that hand out single pieces. Raises TaskFailedError as `run_phase` does."""
    _reporting(out, f"make-{path.parent.name}-{path.stem}", lambda: make_piece(*_plan(out), path))


def first_error(work: WorkFolder) -> str | None:
    """What went wrong first, by the names of the tasks; None where nothing did."""
    paths = sorted((work.scratch / "errors").glob("*.json"))
    return read_json(paths[0], "error of a task")["error"] if paths else None


def _run_phase(out: Path, phase: Phase, rank: int, num_tasks: int) -> None:
    plan, secrets = _plan(out)
    if phase == "cut":
        cut_inputs(plan, range(rank, len(plan.inputs), num_tasks))
    elif phase == "make":
        for path in waiting_pieces(plan.work, rank, num_tasks):
            make_piece(plan, secrets, path)
    else:
        mark_inputs(plan)
        finish(plan, secrets)


def _reporting(out: Path, name: str, task: Callable[[], None]) -> None:
    keep_memory_private()
    path = WorkFolder(out).scratch / "errors" / f"{name}.json"
    path.unlink(missing_ok=True)
    try:
        task()
        return
    except (NotemillError, OSError) as error:
        told = str(error)
    except Exception as error:
        told = f"unexpected {without_values(error)}; its message is left out because it may hold note text."
    # Outside of the handlers, so that no executor logs the frames of what went wrong.
    make_private_folder(path.parent)
    write_json(path, {"error": told})
    raise TaskFailedError(f"see {path}")


@functools.lru_cache(maxsize=1)
def _plan(out: Path) -> tuple[BuildPlan, Secrets]:
    return load_plan(out)
