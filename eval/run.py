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
from typing import Any

import torch

from data_pipeline.files import (
    atomic_write,
    make_private_folder,
    only_writer,
    whole_folder,
    write_json,
)
from eval.baselines import baseline_predictions
from eval.evaluation_folder import run_folder
from eval.examples import Dataset, Task
from eval.finetune.encoder import count_parameters
from eval.finetune.loop import resolve_device
from eval.finetune.model_config import load_config_of, model_hashes, require_positions
from eval.finetune.processes import joined, started_processes
from eval.finetune.recipe import Recipe, trials_of
from eval.formats import load_dataset
from eval.reach import ReachRow, count_out_of_reach, reach_rows, reach_table
from eval.results import (
    RESULTS_FILE,
    RESULTS_VERSION,
    Baseline,
    DatasetSummary,
    ModelSummary,
    Result,
    SeedResult,
    best_seed,
    classes_over_seeds,
    hash_data,
    over_seeds,
    versions,
)
from eval.scorers import score
from eval.scorers.probabilities import PROBABILITIES_FILE
from eval.search import search
from eval.seed import MODEL_FOLDER, Job, estimates_of, finished_seed, run_seed, saves_model, tune_without_test
from eval.splits import complete_splits
from launch.console import say
from launch.poisoned import refuse_stamped


def evaluate(model_dir: Path, task: Task, data: str, out_dir: Path, recipe: Recipe, name: str = "") -> Result:
    """Run and write everything below `out_dir`; returns what results.json holds. Raises NotemillError."""
    torch.set_num_threads(recipe.threads)
    if started_processes().is_main:
        run_folder(out_dir, model_dir, data)
    config = load_config_of(model_dir)
    if saves_model(recipe):
        refuse_stamped(model_dir, ", or leave save_model out")
    parameters = count_parameters(model_dir, config)
    max_length = max([trial.max_length for _, trial in trials_of(recipe)] or [recipe.max_length])
    require_positions(model_dir, config, max_length)
    dataset = complete_splits(load_dataset(task, data))
    summary = _summarise_data(dataset, data, name)
    hashes = model_hashes(model_dir)
    with joined(resolve_device(recipe.device)) as processes:
        job = Job(model_dir, hashes, config, parameters, dataset, summary, recipe, out_dir, processes)
        if not processes.is_main:
            return _evaluate(job)
        with only_writer(out_dir):
            return _evaluate(job)


def _evaluate(job: Job, told: Sequence[ReachRow] = ()) -> Result:
    """`told` is what stands on the console already."""
    started = time.monotonic()
    asked = job
    searched = None
    if job.recipe.search:
        chosen, searched = search(
            job.recipe,
            job.out_dir,
            lambda recipe: dataclasses.replace(job, recipe=recipe).fingerprint,
            partial(tune_without_test, job),
            job.processes,
        )
        job = dataclasses.replace(job, recipe=chosen)
    reach = reach_rows(job.learnt, job.max_sentence_distance)
    if job.processes.is_main and reach != told:
        for line in reach_table(reach, job.max_sentence_distance):
            say(line)
    seeds = [finished_seed(job, seed) or run_seed(job, seed) for seed in job.recipe.seeds]
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


def _collect(job: Job, seeds: list[SeedResult], reach: list[ReachRow]) -> Result:
    dataset, test = job.dataset, job.dataset.splits["test"]
    baselines: list[Baseline] = []
    primary = ""
    for name, predictions in baseline_predictions(job.learnt, test, job.max_sentence_distance).items():
        scores = score(dataset.task, test, predictions)
        primary = scores.primary
        baselines.append({"name": name, "metrics": estimates_of(scores)})
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
