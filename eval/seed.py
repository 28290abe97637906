"""One seed of an evaluation: fine-tuned, scored on the test split once, written, and found again by a rerun."""

import dataclasses
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch

from data_pipeline.files import make_private_folder, read_json, sha256_json, write_json
from eval.examples import Dataset, Document
from eval.finetune.batches import Batch
from eval.finetune.checkpoint import Checkpoint
from eval.finetune.head import Head
from eval.finetune.loop import Trainer, resolve_device, resolve_precision
from eval.finetune.ner import NerHead
from eval.finetune.processes import Processes
from eval.finetune.recipe import ClsRecipe, NerRecipe, Recipe
from eval.finetune.save_classifier import require_savable, save_classifier
from eval.finetune.save_tagger import save_tagger, tagger_of
from eval.finetune.threshold import choose_threshold, judged_words
from eval.finetune.tuning import Tuned, fine_tune, sampled
from eval.formats import write_predictions
from eval.results import DatasetSummary, Estimate, SeedResult, estimate, has_keys
from eval.scorers import score
from eval.scorers.probabilities import write_probabilities
from eval.search import CHECKPOINT_FILE
from launch.console import say
from launch.errors import NotemillError

MODEL_FOLDER = "model"
_NUMBERS_VERSION = 2
"""Goes up where the same data, model and recipe give other numbers."""
_NOT_NUMERIC = ("seeds", "baseline", "threads", "save_model", "search")
"""Recipe keys that do not change what one seed gives."""


@dataclasses.dataclass(frozen=True)
class Job:
    """All that decides the numbers of a seed, and where they go."""

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


def finished_seed(job: Job, seed: int) -> SeedResult | None:
    """What an earlier run left, None where it did not end. Raises NotemillError for a seed of something else."""
    path = job.out_dir / f"seed-{seed}" / "result.json"
    if not path.is_file():
        return None
    if saves_model(job.recipe) and not (path.parent / MODEL_FOLDER).is_dir():
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


def run_seed(job: Job, seed: int) -> SeedResult:
    """Train, score and write one seed; goes on from the checkpoint of a run that was killed."""
    started = time.monotonic()
    dataset, task, processes = job.dataset, job.dataset.task, job.processes
    folder = job.out_dir / f"seed-{seed}"
    checkpoint = Checkpoint(folder / CHECKPOINT_FILE, job.fingerprint, processes)
    tuned = _tune(job, dataset, job.recipe, seed, checkpoint)
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
    if saves_model(job.recipe):
        _save_model(job, tuned, folder / MODEL_FOLDER)
    result: SeedResult = {
        "fingerprint": job.fingerprint,
        "seed": seed,
        "metrics": estimates_of(scores),
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


def tune_without_test(job: Job, recipe: Recipe, seed: int, checkpoint: Checkpoint) -> Tuned:
    """A trial of a search: the test split is not even handed on."""
    splits = {name: examples for name, examples in job.dataset.splits.items() if name != "test"}
    return _tune(job, dataclasses.replace(job.dataset, splits=splits), recipe, seed, checkpoint)


def _tune(job: Job, dataset: Dataset, recipe: Recipe, seed: int, checkpoint: Checkpoint) -> Tuned:
    prepare = _require_savable if saves_model(recipe) else None
    return fine_tune(job.model_dir, dataset, recipe, seed, job.processes, checkpoint, prepare)


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
            require_savable(trainer)


def _save_model(job: Job, tuned: Tuned, folder: Path) -> None:
    if job.dataset.task == "ner":
        _save_tagger(job, tuned, folder)
    elif job.processes.is_main:
        save_classifier(tuned.trainer, tuned.text, folder, {})


def _save_tagger(job: Job, tuned: Tuned, folder: Path) -> None:
    tagger, dev = cast(NerHead, tuned.head), job.dataset.splits["dev"]
    outside = tagger.outside(dev, tuned.dev_items, tuned.trainer.read(tuned.dev_items, tagger.reduce_outside))
    threshold = choose_threshold(judged_words(cast(Sequence[Document], dev), outside))
    if job.processes.is_main:
        save_tagger(tuned.trainer.model, tagger, tuned.text, folder, threshold)
        say(f"a word is an identifier from a probability of {threshold:.4f} on, chosen on dev")


def saves_model(recipe: Recipe) -> bool:
    # A model from random weights is a baseline and nothing to use.
    return isinstance(recipe, NerRecipe | ClsRecipe) and recipe.save_model and recipe.initial == "pretrained"


def estimates_of(scores: Any) -> dict[str, Estimate]:
    return {name: estimate(value, scores.intervals.get(name)) for name, value in scores.metrics.items()}


def _class_rows(scores: Any) -> list[dict[str, Any]]:
    return [{"label": label, **values} for label, values in scores.per_class.items()]
