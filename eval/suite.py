"""Several models on several tasks from one YAML file, a process a job, resumable.

    data_root: .                        # folder that `path` is relative to; --data-root wins
    workers: 2                          # jobs at a time, each on one thread
    models:                             # columns of the table; without `path` it is --model
      pretrained: {}
      untrained: {initial: random}
      faster: {recipe: {lr: 1e-3}}      # recipe keys of one column, such as a rate chosen for it on dev
    recipe: {seeds: [0, 1, 2]}          # for every task that knows the key; a model's and then a task's own win
    tasks:                              # rows, in this order; long ones first fill the workers best
      - {name: ncbi_disease, task: ner, format: conll, path: ncbi_disease, recipe: {epochs: 4}}

    OUT/jobs/MODEL/TASK/                what `notemill eval run` writes, and log.txt
    OUT/results.json                    a list; OUT/results.md, OUT/report.html

A job that fails does not stop the others; the suite then ends non-zero and names it. A rerun skips finished seeds.
"""

import ctypes
import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from data_pipeline.files import make_private_folder, write_json
from eval.evaluation_folder import place_of, suite_folder
from eval.examples import TASKS, Task
from eval.finetune.recipe import RECIPES, load_recipe
from eval.formats import formats_of
from eval.results import RESULTS_FILE, Result, load_results
from launch.config import known_keys, load_config, overrides_of
from launch.console import say
from launch.errors import NotemillError

_POLL_S = 0.2
_PR_SET_PDEATHSIG = 1
_LOG_TAIL_BYTES = 4000


@dataclass(frozen=True)
class SuiteModel:
    path: str = ""
    """A Hugging Face folder; empty stands for --model."""
    initial: Literal["pretrained", "random"] = "pretrained"
    """`random` re-initialises the same architecture: what pretraining is compared with."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """Recipe keys of this model, for every task that knows them; they win over the suite's."""


@dataclass(frozen=True)
class SuiteTask:
    name: str = ""
    """Row of the table and name of the folder; letters, digits, - and _."""
    task: str = ""
    """ner, re, sts, nli, mqa or cls."""
    format: str = ""
    """FORMAT of --data."""
    path: str = ""
    """PATH of --data, relative to data_root."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """Recipe keys of this task; they win over the suite's and the model's."""


@dataclass(frozen=True)
class Suite:
    tasks: list[SuiteTask] = field(default_factory=list)
    """What is run, in order."""
    models: dict[str, SuiteModel] = field(default_factory=dict)
    """Columns of the table, by name; when none is given, --model under the name "pretrained"."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """Recipe keys for every task that knows them."""
    data_root: str = "."
    """Folder that the tasks' paths are relative to."""
    workers: int = 1
    """Jobs at a time; each uses one thread and, where there are GPUs, one of them in turn."""

    def validate(self) -> list[str]:
        problems = []
        names = [task.name for task in self.tasks]
        if not self.tasks:
            problems.append("tasks is empty")
        if self.workers < 1:
            problems.append(f"workers is {self.workers} but must be at least 1")
        problems += [
            f"the name '{name}' is needed for a folder; use letters, digits, - and _"
            for name in [*names, *self.models]
            if not re.fullmatch(r"[\w-][\w.-]*", name)
        ]
        problems += [f"two tasks are named '{name}'" for name in sorted({n for n in names if names.count(n) > 1})]
        problems += [
            f"task '{task.task}' of '{task.name}' is unknown; there are {', '.join(TASKS)}"
            for task in self.tasks
            if task.task not in TASKS
        ]
        problems += [f"'{task.name}' needs format and path" for task in self.tasks if not (task.format and task.path)]
        return problems


@dataclass(frozen=True)
class Job:
    model_name: str
    task_name: str
    folder: Path
    command: list[str]


def load_suite(file: Path, overrides: list[str] | None = None) -> Suite:
    """Read a suite and check every recipe in it. Raises NotemillError."""
    suite = load_config(Suite, file, overrides or [])
    for task in suite.tasks:
        for model in suite.models.values() or [SuiteModel()]:
            load_recipe(cast(Task, task.task), None, recipe_overrides(suite, model, task))
        if task.format not in formats_of(cast(Task, task.task)):
            known = ", ".join(formats_of(cast(Task, task.task)))
            raise NotemillError(f"'{task.name}' in {file} names format '{task.format}'; {task.task} has {known}.")
    given = set(suite.recipe).union(*(model.recipe for model in suite.models.values()))
    unused = given - {key for task in suite.tasks for key in known_keys(RECIPES[cast(Task, task.task)])}
    if unused:
        raise NotemillError(f"recipe key '{min(unused)}' in {file} is known to none of the suite's tasks.")
    return suite


def recipe_overrides(suite: Suite, model: SuiteModel, task: SuiteTask) -> list[str]:
    known = set(known_keys(RECIPES[cast(Task, task.task)]))
    merged = {key: value for key, value in (suite.recipe | model.recipe).items() if key in known} | task.recipe
    return overrides_of(merged)


def run_suite(model_dir: Path, suite: Suite, out_dir: Path) -> tuple[list[Result], str | None]:
    """Run what is not finished, then write results.json.

    Returns its rows by task, then model, and one sentence about the evaluations that failed, if any did: the others are
    worth a table all the same, and so is what one that failed had finished in an earlier run.
    """
    places = [place_of(f"{task.format}:{Path(suite.data_root) / task.path}") for task in suite.tasks]
    models = [Path(model.path) for model in suite.models.values() if model.path]
    suite_folder(out_dir, [model_dir, *models], places)
    jobs = _plan(model_dir, suite, out_dir)
    failures = _run_all(jobs, suite.workers)
    results: list[Result] = []
    num_kept = 0
    for job in jobs:
        if job.folder in failures and not (job.folder / RESULTS_FILE).is_file():
            continue
        # What failed now may have been finished before, as with a mistyped --data-root: that result still stands.
        num_kept += job.folder in failures
        [result] = load_results(job.folder)
        result["dataset"]["name"], result["model"]["name"] = job.task_name, job.model_name
        results.append(result)
    order = {task.name: index for index, task in enumerate(suite.tasks)}
    results.sort(key=lambda result: order[result["dataset"]["name"]])
    if results or not (out_dir / RESULTS_FILE).exists():
        write_json(out_dir / RESULTS_FILE, results)
    if failures:
        told = "; ".join(f"{folder.parent.name}/{folder.name}: {reason}" for folder, reason in failures.items())
        kept = f"for {num_kept} of them the results of before still stand, " if num_kept else ""
        return results, (
            f"{len(failures)} of {len(jobs)} evaluations failed ({told}); "
            f"{kept}the others are kept, and the same command goes on from there."
        )
    return results, None


def _plan(model_dir: Path, suite: Suite, out_dir: Path) -> list[Job]:
    jobs = []
    for task in suite.tasks:
        for name, model in (suite.models or {"pretrained": SuiteModel()}).items():
            folder = out_dir / "jobs" / name / task.name
            path = Path(suite.data_root) / task.path
            command = [sys.executable, "-m", "launch.main", "eval", "run"]
            command += ["--model", model.path or str(model_dir), "--task", task.task, "--name", task.name]
            command += ["--data", f"{task.format}:{path}", "--out", str(folder)]
            command += [*recipe_overrides(suite, model, task), f"initial={model.initial}", "threads=1"]
            jobs.append(Job(name, task.name, folder, command))
    return jobs


def _run_all(jobs: list[Job], workers: int) -> dict[Path, str]:
    """Run all jobs, `workers` at a time; returns the last line of the log of each that failed."""
    waiting = list(jobs)
    running: dict[subprocess.Popen[bytes], tuple[Job, float, int]] = {}
    gpus = visible_gpus()
    failures: dict[Path, str] = {}
    finished = 0
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.pop(0)
                worker = min(set(range(workers)) - {taken for _, _, taken in running.values()})
                running[_start(job, job_environment(worker, gpus))] = (job, time.monotonic(), worker)
            time.sleep(_POLL_S)
            for process in [p for p in running if p.poll() is not None]:
                job, started, _ = running.pop(process)
                finished += 1
                if process.returncode:
                    failures[job.folder] = _last_line(job.folder / "log.txt") or f"exit status {process.returncode}"
                state = "failed" if process.returncode else "done"
                seconds = time.monotonic() - started
                say(f"[{finished}/{len(jobs)}] {job.task_name} with {job.model_name}: {state} in {seconds:.0f} s")
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
    return failures


def visible_gpus() -> list[str]:
    """GPUs by the names that CUDA_VISIBLE_DEVICES takes: those it names already, or all."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name.strip()]
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]


def job_environment(worker: int, gpus: Sequence[str]) -> dict[str, str]:
    """One thread a job, and a GPU of the worker's own where there are several; workers beyond them share."""
    own = {"CUDA_VISIBLE_DEVICES": gpus[worker % len(gpus)]} if gpus else {}
    return {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", **own}


def _start(job: Job, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    make_private_folder(job.folder.parent)
    make_private_folder(job.folder)
    descriptor = os.open(job.folder / "log.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            job.command,
            stdout=descriptor,
            stderr=descriptor,
            env=os.environ | environment,
            preexec_fn=_end_with_parent(),
        )
    finally:
        os.close(descriptor)


def _end_with_parent() -> Callable[[], None] | None:
    """On Linux a job ends when the suite is killed; otherwise it would hold its folder against the rerun."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return ask


def _last_line(log: Path) -> str:
    lines = log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1].removeprefix("notemill: ").rstrip(".") if lines else ""


def with_data_root(suite: Suite, data_root: Path | None) -> Suite:
    return dataclasses.replace(suite, data_root=str(data_root)) if data_root is not None else suite
