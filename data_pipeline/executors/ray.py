"""Pieces made by the workers of a Ray cluster: inputs are cut in parallel, and every piece is a task of its own.

Plain Ray tasks are used and not datatrove's Ray executor, which runs each task in a pool of its own inside an actor and
waits for ever for a process of that pool that was killed; Ray itself starts a task again whose worker died.
"""

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data_pipeline.executors import UnfinishedError
from data_pipeline.executors.raw_pieces import waiting_pieces
from data_pipeline.executors.tasks import cut_here, first_error, mark_inputs, run_make, run_phase
from data_pipeline.plan import BuildPlan, Secrets, save_plan
from launch.console import track
from launch.errors import NotemillError

_MAX_RETRIES = 3


def make_pieces(plan: BuildPlan, secrets: Secrets) -> None:
    """Make what is missing of the pieces of all inputs."""
    # Ray reads these when it is imported or started.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_DISABLE_IMPORT_WARNING", "1")
    try:
        import ray
    except ImportError:
        raise NotemillError("executor.name=ray needs the package ray; pip install 'notemill[ray]'.") from None
    save_plan(plan, secrets)
    cut_here(plan)
    config, out = plan.config.executor, plan.out.absolute()
    started_here = not ray.is_initialized()
    if started_here:
        try:
            ray.init(
                address=config.ray_address or None,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, ValueError) as error:
            raise UnfinishedError(f"no Ray cluster at {config.ray_address}: {type(error).__name__}.") from None
    try:
        task = ray.remote(num_cpus=1, max_retries=_MAX_RETRIES)
        cut = task(run_phase)
        places = range(len(plan.inputs))
        _run(ray, (cut.remote(out, "cut", place, len(places)) for place in places), config.tasks, plan, "inputs")
        waiting = list(waiting_pieces(plan.work))
        make = task(run_make)
        _run(ray, (make.remote(out, Path(path).absolute()) for path in waiting), config.tasks, plan, "pieces of notes")
    finally:
        if started_here:
            ray.shutdown()
    mark_inputs(plan)


def _run(ray: Any, tasks: Iterable[Any], at_a_time: int, plan: BuildPlan, what: str) -> None:
    """Run tasks, at most `at_a_time` of them at a time."""
    running: list[Any] = []

    def take() -> None:
        done, running[:] = ray.wait(running, num_returns=1)
        try:
            ray.get(done)
        except ray.exceptions.RayError as error:
            told = first_error(plan.work) or f"{type(error).__name__}."
            raise UnfinishedError(f"a Ray task failed: {told}") from None

    for task in track(tasks, what):
        running.append(task)
        if len(running) >= at_a_time:
            take()
    while running:
        take()
