"""One model on one task: fine-tune with every seed, choose the epoch on dev, score the test split once.

    OUT/seed-N/result.json, labels.json, predictions.*   written when a seed is done; a rerun skips finished seeds
    OUT/seed-N/probabilities.json                         of the classes, in nli and cls
    OUT/untrained/                                        the same from random weights, with baseline=untrained
    OUT/predictions.*, OUT/probabilities.json             of the seed that was best on dev
    OUT/model/                                            the same seed's model, with save_model=true (NER, CLS)
    OUT/results.json, OUT/report.html                     written last
    OUT/search/trial-N/trial.json                         with a search: written when a trial is done, before all seeds
    …/checkpoint.pt                                       while a seed or a trial is unfinished, after each epoch

A finished seed carries the fingerprint of everything that decides its numbers (data, model files, recipe); a folder
that holds seeds of something else is refused. Under torchrun all processes work on each seed; the first one writes.
"""

import dataclasses
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch

from data_pipeline.files import (
    atomic_write,
    make_private_folder,
    only_writer,
    read_json,
    sha256_json,
    whole_folder,
    write_json,
)
from eval.baselines import baseline_predictions
from eval.evaluation_folder import run_folder
from eval.examples import Dataset, Document, Task
from eval.finetune.batches import Batch
from eval.finetune.checkpoint import Checkpoint
from eval.finetune.encoder import count_parameters, load_config_of, model_hashes, require_positions
from eval.finetune.head import Head
from eval.finetune.loop import Trainer, resolve_device, resolve_precision
from eval.finetune.ner import NerHead
from eval.finetune.processes import Processes, joined, started_processes
from eval.finetune.recipe import ClsRecipe, NerRecipe, Recipe, trials_of
from eval.finetune.save_classifier import classifier_of, save_classifier
from eval.finetune.save_tagger import save_tagger, tagger_of
from eval.finetune.threshold import choose_threshold, judged_words
from eval.finetune.tuning import Tuned, fine_tune, sampled
from eval.formats import load_dataset, write_predictions
from eval.reach import ReachRow, count_out_of_reach, reach_rows, reach_table
from eval.results import (
    RESULTS_FILE,
    RESULTS_VERSION,
    Baseline,
    DatasetSummary,
    Estimate,
    ModelSummary,
    Result,
    SeedResult,
    best_seed,
    classes_over_seeds,
    estimate,
    has_keys,
    hash_data,
    over_seeds,
    versions,
)
from eval.scorers import score
from eval.scorers.probabilities import PROBABILITIES_FILE, write_probabilities
from eval.search import CHECKPOINT_FILE, search
from eval.splits import complete_splits
from launch.console import say
from launch.errors import NotemillError

MODEL_FOLDER = "model"
_NUMBERS_VERSION = 2
"""Goes up where the same data, model and recipe give other numbers."""
_NOT_NUMERIC = ("seeds", "baseline", "threads", "save_model", "search")
"""Recipe keys that do not change what one seed gives."""


def evaluate(model_dir: Path, task: Task, data: str, out_dir: Path, recipe: Recipe, name: str = "") -> Result:
    """Run and write everything below `out_dir`; returns what results.json holds. Raises NotemillError."""
    torch.set_num_threads(recipe.threads)
    if started_processes().is_main:
        run_folder(out_dir, model_dir, data)
    config = load_config_of(model_dir)
    parameters = count_parameters(model_dir, config)
    max_length = max([trial.max_length for _, trial in trials_of(recipe)] or [recipe.max_length])
    require_positions(model_dir, config, max_length)
    dataset = complete_splits(load_dataset(task, data))
    summary = _summarise_data(dataset, data, name)
    hashes = model_hashes(model_dir)
    with joined(resolve_device(recipe.device)) as processes:
        job = _Job(model_dir, hashes, config, parameters, dataset, summary, recipe, out_dir, processes)
        if not processes.is_main:
            return _evaluate(job)
        with only_writer(out_dir):
            return _evaluate(job)


@dataclasses.dataclass(frozen=True)
class _Job:
    model_dir: Path
    hashes: dict[str, str]
    config: Any
    parameters: int
    dataset: Dataset
    summary: DatasetSummary
    recipe: Recipe
    out_dir: Path
    processes: Processes

    @property
    def max_sentence_distance(self) -> int:
        return int(getattr(self.recipe, "max_sentence_distance", 1))

    @property
    def learnt(self) -> Dataset:
        """The data set with what the first seed learns from."""
        return sampled(self.dataset, self.recipe, self.recipe.seeds[0])

    @property
    def precision(self) -> str:
        return resolve_precision(self.recipe.precision, torch.device(resolve_device(self.recipe.device)))

    @property
    def fingerprint(self) -> str:
        recipe = {key: value for key, value in dataclasses.asdict(self.recipe).items() if key not in _NOT_NUMERIC}
        # From random weights the weight files decide nothing, but one rule is easier to explain than two.
        decisive = {"version": _NUMBERS_VERSION, "task": self.dataset.task, "data": self.summary["sha256"]}
        return sha256_json(
            decisive
            | {"format": self.summary["format"], "files": self.hashes, "recipe": recipe, "precision": self.precision}
        )


def _evaluate(job: _Job, told: Sequence[ReachRow] = ()) -> Result:
    """`told` is what stands on the console already."""
    started = time.monotonic()
    asked = job
    searched = None
    if job.recipe.search:
        chosen, searched = search(
            job.recipe,
            job.out_dir,
            lambda recipe: dataclasses.replace(job, recipe=recipe).fingerprint,
            partial(_tune_without_test, job),
            job.processes,
        )
        job = dataclasses.replace(job, recipe=chosen)
    reach = reach_rows(job.learnt, job.max_sentence_distance)
    if job.processes.is_main and reach != told:
        for line in reach_table(reach, job.max_sentence_distance):
            say(line)
    seeds = [_finished_seed(job, seed) or _run_seed(job, seed) for seed in job.recipe.seeds]
    result = _collect(job, seeds, reach)
    if searched is not None:
        result["search"] = searched
    if job.recipe.baseline == "untrained" and job.recipe.initial == "pretrained":
        # What was asked: weights of another kind may need other settings, so they are searched anew.
        random_recipe = dataclasses.replace(asked.recipe, initial="random", baseline="none")
        folder = job.out_dir / "untrained"
        if job.processes.is_main:
            make_private_folder(folder)
        result["untrained"] = _evaluate(dataclasses.replace(job, recipe=random_recipe, out_dir=folder), reach)
    result["seconds"] = round(sum(seed["seconds"] for seed in seeds) or time.monotonic() - started, 2)
    if job.processes.is_main:
        _copy_best_predictions(job.out_dir, seeds)
        write_json(job.out_dir / RESULTS_FILE, result)
    return result


def _tune_without_test(job: _Job, recipe: Recipe, seed: int, checkpoint: Checkpoint) -> Tuned:
    splits = {name: examples for name, examples in job.dataset.splits.items() if name != "test"}
    dataset = dataclasses.replace(job.dataset, splits=splits)
    prepare = _require_savable if _saves_model(recipe) else None
    return fine_tune(job.model_dir, dataset, recipe, seed, job.processes, checkpoint, prepare)


def _run_seed(job: _Job, seed: int) -> SeedResult:
    started = time.monotonic()
    dataset, task, processes = job.dataset, job.dataset.task, job.processes
    folder = job.out_dir / f"seed-{seed}"
    checkpoint = Checkpoint(folder / CHECKPOINT_FILE, job.fingerprint, processes)
    prepare = _require_savable if _saves_model(job.recipe) else None
    tuned = fine_tune(job.model_dir, dataset, job.recipe, seed, processes, checkpoint, prepare)
    head, fit, test = tuned.head, tuned.fit, dataset.splits["test"]
    items = head.windows(test, with_targets=False)
    reduced = tuned.trainer.read(items, partial(_reduce_finite, head, job.recipe))
    predictions = head.decode(test, items, reduced)
    probabilities = head.probabilities(len(test), items, reduced)
    scores = score(task, test, predictions, probabilities)
    if processes.is_main:
        write_predictions(dataset, "test", predictions, make_private_folder(folder))
        if probabilities is not None:
            write_probabilities(probabilities, folder)
    if _saves_model(job.recipe):
        _save_model(job, tuned, folder / MODEL_FOLDER)
    result: SeedResult = {
        "fingerprint": job.fingerprint,
        "seed": seed,
        "metrics": _estimates(scores),
        "per_class": _class_rows(scores),
        "best_epoch": fit.best_epoch,
        "dev_score": tuned.best.dev,
        "epochs": [{"epoch": e.epoch, "steps": e.steps, "loss": e.loss, "dev": e.dev} for e in fit.epochs],
        "steps": fit.steps,
        "tokens": fit.tokens,
        "train_seconds": round(fit.seconds, 2),
        "seconds": round(time.monotonic() - started, 2),
        "labels": list(head.labels),
        "notes": dict(head.notes),
    }
    if processes.is_main:
        write_json(folder / "labels.json", {str(index): label for index, label in enumerate(head.labels)})
        write_json(folder / "result.json", result)
        say(
            f"{job.summary['name']} ({job.recipe.initial}) seed {seed}: {scores.primary} "
            f"{scores.metrics[scores.primary]:.4f} on test, best epoch {fit.best_epoch}, {result['seconds']:.0f} s"
        )
    checkpoint.remove()
    processes.wait()
    return result


def _reduce_finite(head: Head[Any], recipe: Recipe, scores: torch.Tensor, batch: Batch) -> list[Any]:
    """Raises NotemillError where the model says nothing of a window of the test split."""
    if not bool(torch.isfinite(scores).all()):
        raise NotemillError(
            f"the fine-tuned model gives values for the test split that are not finite; lower lr (now {recipe.lr:g})."
        )
    return head.reduce(scores, batch)


def _require_savable(trainer: Trainer) -> None:
    """Raise NotemillError before training where its model could not be saved after it; draws nothing from torch."""
    with torch.random.fork_rng(devices=[]):
        if isinstance(trainer.head, NerHead):
            tagger_of(trainer.model, trainer.head)
        else:
            classifier_of(trainer, {})


def _save_model(job: _Job, tuned: Tuned, folder: Path) -> None:
    if job.dataset.task == "ner":
        _save_tagger(job, tuned, folder)
    elif job.processes.is_main:
        save_classifier(tuned.trainer, tuned.text, folder, {})


def _save_tagger(job: _Job, tuned: Tuned, folder: Path) -> None:
    tagger, dev = cast(NerHead, tuned.head), job.dataset.splits["dev"]
    outside = tagger.outside(dev, tuned.dev_items, tuned.trainer.read(tuned.dev_items, tagger.reduce_outside))
    threshold = choose_threshold(judged_words(cast(Sequence[Document], dev), outside))
    if job.processes.is_main:
        save_tagger(tuned.trainer.model, tagger, tuned.text, folder, threshold)
        say(f"a word is an identifier from a probability of {threshold:.4f} on, chosen on dev")


def _saves_model(recipe: Recipe) -> bool:
    # A model from random weights is a baseline and nothing to use.
    return isinstance(recipe, NerRecipe | ClsRecipe) and recipe.save_model and recipe.initial == "pretrained"


def _finished_seed(job: _Job, seed: int) -> SeedResult | None:
    path = job.out_dir / f"seed-{seed}" / "result.json"
    if not path.is_file():
        return None
    if _saves_model(job.recipe) and not (path.parent / MODEL_FOLDER).is_dir():
        return None
    result: SeedResult = read_json(path, "seed's result")
    if not has_keys(result, SeedResult):
        raise NotemillError(f"{path} is not the result of a seed; remove the folder {path.parent} and run again.")
    if result["fingerprint"] != job.fingerprint:
        raise NotemillError(
            f"{path.parent} holds a seed of other data, another model or another recipe; choose a new --out or "
            "remove it."
        )
    (path.parent / CHECKPOINT_FILE).unlink(missing_ok=True)
    return result


def _collect(job: _Job, seeds: list[SeedResult], reach: list[ReachRow]) -> Result:
    dataset, test = job.dataset, job.dataset.splits["test"]
    baselines: list[Baseline] = []
    primary = ""
    for name, predictions in baseline_predictions(job.learnt, test, job.max_sentence_distance).items():
        scores = score(dataset.task, test, predictions)
        primary = scores.primary
        baselines.append({"name": name, "metrics": _estimates(scores)})
    notes = dict(dataset.notes)
    notes |= count_out_of_reach(reach)
    for seed in seeds[:1]:
        notes |= seed["notes"]
    model: ModelSummary = {
        "name": job.model_dir.name,
        "path": str(job.model_dir),
        "initial": job.recipe.initial,
        "architecture": _architecture(job.config),
        "parameters": job.parameters,
        "files": job.hashes,
    }
    result: Result = {
        "version": RESULTS_VERSION,
        "task": dataset.task,
        "dataset": job.summary,
        "model": model,
        "primary": primary,
        "metrics": over_seeds(seeds),
        "per_class": classes_over_seeds(seeds),
        "n": len(test),
        "seeds": seeds,
        "baselines": baselines,
        "recipe": dataclasses.asdict(job.recipe),
        "precision": job.precision,
        "fingerprint": job.fingerprint,
        "versions": versions(),
        "seconds": 0.0,
        "notes": notes,
    }
    if reach:
        result["reach"] = reach
    return result


def _estimates(scores: Any) -> dict[str, Estimate]:
    return {name: estimate(value, scores.intervals.get(name)) for name, value in scores.metrics.items()}


def _class_rows(scores: Any) -> list[dict[str, Any]]:
    return [{"label": label, **values} for label, values in scores.per_class.items()]


def _copy_best_predictions(out_dir: Path, seeds: Sequence[SeedResult]) -> None:
    """Beside results.json: the predictions of the seed with the best dev score."""
    folder = out_dir / f"seed-{best_seed(seeds)['seed']}"
    kept = [folder / MODEL_FOLDER] if (folder / MODEL_FOLDER).is_dir() else []
    for source in sorted([*folder.glob("predictions*"), *folder.glob(PROBABILITIES_FILE)]) + kept:
        target = out_dir / source.name
        if source.is_dir():
            with whole_folder(target, replaces=True) as temporary:
                shutil.copytree(source, temporary, dirs_exist_ok=True)
        else:
            with atomic_write(target) as temporary:
                shutil.copyfile(source, temporary)


def _summarise_data(dataset: Dataset, data: str, name: str) -> DatasetSummary:
    path = Path(dataset.path)
    settings = data.partition("?")[2]
    files, sha256 = hash_data(path, settings)
    summary: DatasetSummary = {
        "name": name or path.stem,
        "format": data.partition(":")[0],
        "path": str(path),
        "splits": {split: len(examples) for split, examples in dataset.splits.items()},
        "files": files,
        "sha256": sha256,
    }
    if settings:
        summary["settings"] = settings
    return summary


def _architecture(config: Any) -> str:
    layers = getattr(config, "num_hidden_layers", "?")
    return f"{config.model_type} {layers} × {config.hidden_size}, vocabulary {config.vocab_size}"
