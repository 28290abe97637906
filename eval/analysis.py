"""What a report says beyond scores, from gold and the predictions that a run left: who differs, what was confused.

    results.json + jobs/MODEL/TASK/seed-N/predictions.*  ─┬─> analysis.json: comparisons and confusions, no text
                         the task set at its path        ─┘   mistakes in their text, for --examples alone

Predictions are read back through the set's own format and scored again. A set that is gone or was changed since, or
predictions that are gone, leave their task without this; `missing` says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from data_pipeline.files import read_json, write_json
from eval.confusion import Cells, Confusion, classes_of, count_confusions, mean_confusion
from eval.examples import Dataset, Example
from eval.formats import load_dataset, read_predictions
from eval.mistakes import Mistake, find_mistakes
from eval.report.tables import UNTRAINED, by_task
from eval.results import Result, best_seed, hash_data
from eval.scorers import Scores, in_order, score
from eval.scorers.probabilities import PROBABILITIES_FILE, read_probabilities
from eval.significance import Comparison, SeedDraws, compare_models, mcnemar
from eval.splits import complete_splits
from launch.console import say
from launch.errors import NotemillError

ANALYSIS_FILE = "analysis.json"
_SAME = 5e-5
"""Scores closer than this print the same."""


class TaskAnalysis(TypedDict):
    """One of the objects of analysis.json, by name of the set."""

    primary: str
    comparisons: list[Comparison]
    """Of the primary metric; empty with a single model or a single source of test documents."""
    confusions: dict[str, Confusion]
    """By model; empty for tasks without classes."""
    rescored: dict[str, float]
    """Models whose predictions, as their format holds them, score otherwise than in the run, with the score."""
    missing: NotRequired[str]
    """Why there is none of this."""


@dataclass(frozen=True)
class Analysis:
    tasks: dict[str, TaskAnalysis]
    mistakes: dict[str, dict[str, list[Mistake]]] = field(default_factory=dict)
    """By set and model; they hold text of notes."""


def analyse(results: Sequence[Result], folder: Path, num_examples: int = 0) -> Analysis:
    """Analyse the run or suite that left `results` in `folder`, and write analysis.json there."""
    _require_place(folder / ANALYSIS_FILE)
    tasks: dict[str, TaskAnalysis] = {}
    mistakes: dict[str, dict[str, list[Mistake]]] = {}
    for group in by_task(results):
        first = next(iter(group.values()))
        name = first["dataset"]["name"]
        try:
            tasks[name], mistakes[name] = _analyse_task(group, folder, num_examples)
        except NotemillError as error:
            # The scores are worth a report without this, as on a machine to which only results.json was copied.
            say(f"{name} is reported without comparisons and confusions: {error}")
            nothing = "the test set or the predictions could not be read where the run had them"
            tasks[name] = _empty(first["primary"]) | {"missing": nothing}
    write_json(folder / ANALYSIS_FILE, tasks)
    return Analysis(tasks, mistakes if num_examples else {})


def _require_place(path: Path) -> None:
    """Raise NotemillError where analysis.json would replace a file that is none."""
    if not path.exists():
        return
    there = read_json(path, "analysis", "move it away")
    if not isinstance(there, dict) or not all(isinstance(row, dict) and "primary" in row for row in there.values()):
        raise NotemillError(f"{path} is no analysis of an evaluation and would be replaced; move it away.")


def _empty(primary: str) -> TaskAnalysis:
    return {"primary": primary, "comparisons": [], "confusions": {}, "rescored": {}}


def _analyse_task(
    group: dict[str, Result], folder: Path, num_examples: int
) -> tuple[TaskAnalysis, dict[str, list[Mistake]]]:
    first = next(iter(group.values()))
    dataset = _gold_of(first)
    gold, primary = dataset.splits["test"], first["primary"]
    analysis = _empty(primary)
    draws: dict[str, list[SeedDraws]] = {}
    confused: dict[str, list[Cells]] = {}
    mistakes: dict[str, list[Mistake]] = {}
    right: dict[str, list[bool]] = {}
    for name, result in group.items():
        if result["dataset"]["sha256"] != first["dataset"]["sha256"]:
            raise NotemillError(f"{name} was run on another version of {first['dataset']['path']}.")
        cells = []
        for seed in result["seeds"]:
            seed_folder = run_folder(folder, result) / f"seed-{seed['seed']}"
            predictions = in_order(gold, _predictions_of(dataset, gold, seed_folder), dataset.task)
            scores = _score(dataset, gold, predictions, seed_folder)
            value = scores.metrics[primary]
            if primary in scores.draws:
                draws.setdefault(name, []).append(SeedDraws(value, scores.draws[primary]))
            if abs(value - seed["metrics"][primary]["value"]) > _SAME:
                analysis["rescored"][f"{name}, seed {seed['seed']}"] = value
            found = count_confusions(dataset.task, gold, predictions)
            cells += [found] if found is not None else []
            if seed["seed"] != best_seed(result["seeds"])["seed"]:
                continue
            if num_examples:
                mistakes[name] = find_mistakes(dataset.task, gold, predictions, num_examples)
            if dataset.task in ("nli", "cls"):
                right[name] = [a.label == b for a, b in zip(cast(Any, gold), predictions, strict=True)]
        if cells:
            confused[name] = cells
    labels = classes_of(cells for seeds in confused.values() for cells in seeds)
    analysis["confusions"] = {name: mean_confusion(seeds, labels) for name, seeds in confused.items()}
    analysis["comparisons"] = compare_models(draws)
    for row in analysis["comparisons"]:
        if right:
            row["mcnemar"] = mcnemar(right[row["first"]], right[row["second"]])
    return analysis, mistakes


def _score(dataset: Dataset, gold: Sequence[Example], predictions: Any, folder: Path) -> Scores:
    path = folder / PROBABILITIES_FILE
    probabilities = read_probabilities(path, len(gold)) if path.is_file() else None
    return score(dataset.task, gold, predictions, probabilities)


def run_folder(root: Path, result: Result) -> Path:
    """Where the seeds of a result lie: a suite keeps them by model and task, an untrained run below its model's."""
    owner = result["model"].get("owner")
    in_suite = root / "jobs" / (owner or result["model"]["name"]) / result["dataset"]["name"]
    folder = in_suite if in_suite.is_dir() else root
    return folder if owner is None else folder / UNTRAINED


def _gold_of(result: Result) -> Dataset:
    summary = result["dataset"]
    settings = summary.get("settings", "")
    path = Path(summary["path"])
    if not path.exists():
        raise NotemillError(f"the task set is no longer at {path}.")
    if hash_data(path, settings)[1] != summary["sha256"]:
        raise NotemillError(f"the task set at {path} has changed since, or was read with settings that are not known.")
    spec = f"{summary['format']}:{path}" + (f"?{settings}" if settings else "")
    return complete_splits(load_dataset(result["task"], spec))


def _predictions_of(dataset: Dataset, gold: Sequence[Example], folder: Path) -> Any:
    found = sorted(folder.glob("predictions*"))
    if not found:
        raise NotemillError(f"no predictions in {folder}.")
    return read_predictions(dataset.task, dataset.format, found[0], gold, dataset.options)
