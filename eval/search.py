"""The settings that are best on dev, found by trials with one seed.

    OUT/search/trial-N/trial.json     written when a trial is done; a rerun skips finished trials

A trial is given no test split. It carries the fingerprint of everything that decides its score, as a seed does.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

from data_pipeline.files import make_private_folder, read_json, write_json
from eval.finetune.checkpoint import Checkpoint
from eval.finetune.processes import Processes
from eval.finetune.recipe import Recipe, trials_of
from eval.finetune.tuning import Tuned
from eval.results import SearchSummary, Trial, has_keys
from launch.console import say
from launch.errors import NotemillError

SEARCH_FOLDER = "search"
CHECKPOINT_FILE = "checkpoint.pt"


def search(
    recipe: Recipe,
    out_dir: Path,
    fingerprint_of: Callable[[Recipe], str],
    tune: Callable[[Recipe, int, Checkpoint], Tuned],
    processes: Processes,
) -> tuple[Recipe, SearchSummary]:
    """Run the trials of `recipe.search` that are not finished; `recipe` with the best one's settings, and all scores.

    Among equals the first wins. Raises NotemillError where `out_dir` holds trials of something else.
    """
    seed = recipe.seeds[0]
    trials: list[Trial] = []
    for number, (settings, trial_recipe) in enumerate(trials_of(recipe)):
        folder = out_dir / SEARCH_FOLDER / f"trial-{number}"
        fingerprint = fingerprint_of(trial_recipe)
        trial = _finished(folder, fingerprint)
        if trial is None:
            checkpoint = Checkpoint(folder / CHECKPOINT_FILE, fingerprint, processes)
            started = time.monotonic()
            tuned = tune(trial_recipe, seed, checkpoint)
            trial = {
                "fingerprint": fingerprint,
                "settings": settings,
                "dev_score": tuned.best.dev or 0.0,
                "best_epoch": tuned.fit.best_epoch,
                "seconds": round(time.monotonic() - started, 2),
            }
            if processes.is_main:
                make_private_folder(folder.parent)
                write_json(make_private_folder(folder) / "trial.json", trial)
                say(f"trial {number + 1}: {_told(trial)}")
            checkpoint.remove()
            processes.wait()
        trials.append(trial)
    best = max(trials, key=lambda trial: trial["dev_score"])
    if processes.is_main:
        say(f"chosen on dev among {len(trials)} trials: {_told(best)}")
    summary: SearchSummary = {"seed": seed, "trials": trials, "chosen": best["settings"]}
    return dataclasses.replace(recipe, **best["settings"]), summary


def _finished(folder: Path, fingerprint: str) -> Trial | None:
    path = folder / "trial.json"
    if not path.is_file():
        return None
    trial: Trial = read_json(path, "search trial")
    if not has_keys(trial, Trial):
        raise NotemillError(f"{path} is not a trial of a search; remove the folder {folder} and run again.")
    if trial["fingerprint"] != fingerprint:
        raise NotemillError(
            f"{folder} holds a trial of other data, another model or another recipe; choose a new --out or remove it."
        )
    (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
    return trial


def _told(trial: Trial) -> str:
    settings = " ".join(f"{key}={value}" for key, value in trial["settings"].items())
    return f"{settings} gives {trial['dev_score']:.4f} on dev"
