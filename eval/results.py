"""results.json: what a run of one task says, readable without this project.

A metric's `low` and `high` are the means, over the seeds, of each seed's 95% bootstrap bounds (documents resampled):
they speak of the test set's size. `sd` is the standard deviation over the seeds: it speaks of the training's chance.
`eval suite` writes a list of these objects.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from data_pipeline.files import read_json, sha256_file, sha256_json
from eval.examples import Task
from eval.reach import ReachRow
from launch.errors import NotemillError

RESULTS_VERSION = 1
RESULTS_FILE = "results.json"
_PACKAGES = ("notemill", "torch", "transformers", "tokenizers", "scikit-learn", "seqeval")


class Estimate(TypedDict):
    """One score on the test split with its 95% interval; the bounds are None where a metric has none."""

    value: float
    low: float | None
    high: float | None


class Metric(Estimate):
    """Over the seeds: `value` is the mean."""

    sd: float
    values: list[float]


class Baseline(TypedDict):
    name: str
    metrics: dict[str, Estimate]


class EpochRow(TypedDict):
    epoch: int
    steps: int
    loss: float
    dev: float | None


class SeedResult(TypedDict):
    """seed-N/result.json, and one of `seeds` in results.json."""

    fingerprint: str
    seed: int
    metrics: dict[str, Estimate]
    per_class: list[dict[str, Any]]
    best_epoch: int
    dev_score: float | None
    epochs: list[EpochRow]
    steps: int
    tokens: int
    """Real pieces trained on."""
    train_seconds: float
    seconds: float
    labels: list[str]
    notes: dict[str, int]


class Trial(TypedDict):
    """search/trial-N/trial.json, and one of the trials in results.json."""

    fingerprint: str
    settings: dict[str, Any]
    dev_score: float
    best_epoch: int
    seconds: float


class SearchSummary(TypedDict):
    seed: int
    """Of every trial."""
    trials: list[Trial]
    chosen: dict[str, Any]
    """Settings of the trial that was best on dev; `recipe` has them."""


class DatasetSummary(TypedDict):
    name: str
    format: str
    path: str
    splits: dict[str, int]
    files: int
    sha256: str
    """Of the list of the data files' names and hashes."""
    settings: NotRequired[str]
    """What followed `?` in FORMAT:PATH."""


class ModelSummary(TypedDict):
    name: str
    path: str
    initial: str
    architecture: str
    parameters: int
    """Of the encoder, without a task head."""
    files: dict[str, str]
    """SHA-256 by file name."""
    owner: NotRequired[str]
    """In tables: of an untrained run, the model that it is the baseline of."""


class Result(TypedDict):
    version: int
    task: Task
    dataset: DatasetSummary
    model: ModelSummary
    primary: str
    """The metric that dev selection used and that tables show first."""
    metrics: dict[str, Metric]
    per_class: list[dict[str, Any]]
    """Rows of the classes, each value the mean over the seeds."""
    n: int
    """Test examples."""
    seeds: list[SeedResult]
    baselines: list[Baseline]
    recipe: dict[str, Any]
    precision: str
    """What `auto` came to on the machine that ran it."""
    fingerprint: str
    """Of everything that decides the numbers: data, model files, recipe."""
    versions: dict[str, str]
    seconds: float
    notes: dict[str, int]
    """Plain-word counts of all that formats and heads could not hold."""
    reach: NotRequired[list[ReachRow]]
    """RE on documents: gold relations by split and label, and those that no candidate reaches with the reasons."""
    search: NotRequired[SearchSummary]
    untrained: NotRequired["Result"]


def hash_data(path: Path, settings: str) -> tuple[int, str]:
    """How many files a data set has, and the hash of their names, contents and the settings they are read with."""
    files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
    root = path if path.is_dir() else path.parent
    return len(files), sha256_json([{str(file.relative_to(root)): sha256_file(file) for file in files}, settings])


def best_seed(seeds: Sequence[SeedResult]) -> SeedResult:
    """The seed with the best dev score, the first among equals."""
    return max(seeds, key=lambda seed: seed["dev_score"] if seed["dev_score"] is not None else 0.0)


def estimate(value: float, interval: Sequence[float] | None) -> Estimate:
    return {
        "value": float(value),
        "low": float(interval[0]) if interval is not None else None,
        "high": float(interval[1]) if interval is not None else None,
    }


def over_seeds(seeds: Sequence[SeedResult]) -> dict[str, Metric]:
    """Mean, standard deviation (0 for one seed) and mean bounds of every metric that all of them have."""
    metrics: dict[str, Metric] = {}
    for name in [name for name in seeds[0]["metrics"] if all(name in seed["metrics"] for seed in seeds)]:
        estimates = [seed["metrics"][name] for seed in seeds]
        values = [e["value"] for e in estimates]
        metrics[name] = {
            "value": statistics.fmean(values),
            "low": _mean(e["low"] for e in estimates),
            "high": _mean(e["high"] for e in estimates),
            "sd": statistics.stdev(values) if len(values) > 1 else 0.0,
            "values": values,
        }
    return metrics


def classes_over_seeds(seeds: Sequence[SeedResult]) -> list[dict[str, Any]]:
    """Rows by label; numbers are means over the seeds that have the row."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for seed in seeds:
        for row in seed["per_class"]:
            rows.setdefault(str(row["label"]), []).append(row)
    merged = []
    for label, group in rows.items():
        means: dict[str, Any] = {"label": label}
        for name, value in group[0].items():
            if name != "label" and isinstance(value, int | float):
                mean = statistics.fmean(float(other.get(name, 0.0)) for other in group)
                means[name] = round(mean) if isinstance(value, int) and mean == round(mean) else mean
        merged.append(means)
    return merged


def load_results(path: Path) -> list[Result]:
    """The results of a run or a suite: a results.json or the folder that holds it. Raises NotemillError."""
    file = path / RESULTS_FILE if path.is_dir() else path
    content = read_json(file, "results")
    results = content if isinstance(content, list) else [content]
    if not holds_results(content):
        raise NotemillError(f"{file} is no results file of version {RESULTS_VERSION}; run `notemill eval run` again.")
    return results


def holds_results(content: Any) -> bool:
    """Whether it is what a results.json holds: a result, or a list of them."""
    results = content if isinstance(content, list) else [content]
    return all(
        isinstance(result, dict)
        and result.get("version") == RESULTS_VERSION
        and Result.__required_keys__ <= result.keys()
        and has_keys(result["dataset"], DatasetSummary)
        and has_keys(result["model"], ModelSummary)
        and isinstance(result["metrics"], dict)
        and all(has_keys(metric, Metric) for metric in result["metrics"].values())
        and result["primary"] in result["metrics"]
        and all(isinstance(result[key], list) for key in ("seeds", "baselines", "per_class"))
        and all(has_keys(seed, SeedResult) for seed in result["seeds"])
        and all(has_keys(baseline, Baseline) for baseline in result["baselines"])
        and holds_results(result.get("untrained", []))
        for result in results
    )


def has_keys(value: Any, shape: Any) -> bool:
    """Whether it is a mapping with all keys of a TypedDict."""
    return isinstance(value, dict) and shape.__required_keys__ <= value.keys()


def versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _mean(values: Iterable[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return statistics.fmean(numbers) if numbers else None
