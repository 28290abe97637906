"""Fine-tune a classifier of notes with the project's own loop and save it as a sequence-classification folder."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data_pipeline.files import read_json
from eval.examples import Dataset
from eval.finetune.checkpoint import Checkpoint
from eval.finetune.loop import Trainer
from eval.finetune.processes import ALONE
from eval.finetune.recipe import ClsRecipe
from eval.finetune.save_classifier import require_savable, save_classifier
from eval.finetune.tuning import fine_tune
from launch.console import say
from launch.errors import NotemillError

FINGERPRINT_KEY = "notemill_fingerprint"
"""In config.json: the hash of all that decides the weights."""
_NOT_NUMERIC = ("seeds", "baseline", "threads", "save_model", "search")


def train_classifier(
    model_dir: Path,
    dataset: Dataset,
    recipe: ClsRecipe,
    seed: int,
    folder: Path,
    fingerprint: str,
    told: Mapping[str, Any] | None = None,
    prepare: Callable[[Trainer], None] | None = None,
    add: Callable[[Path], None] | None = None,
) -> None:
    """Write `folder`, unless it holds what `fingerprint` names already. `told` goes into its config.json.

    Raises NotemillError where `folder` holds a model of other data or another recipe.
    """
    if is_finished(folder, fingerprint):
        say(f"{folder.name} is there already")
        return
    checkpoint = Checkpoint(checkpoint_of(folder), fingerprint)

    def before(trainer: Trainer) -> None:
        require_savable(trainer)
        if prepare is not None:
            prepare(trainer)

    tuned = fine_tune(model_dir, dataset, recipe, seed, ALONE, checkpoint, before)
    save_classifier(tuned.trainer, tuned.text, folder, {**(told or {}), FINGERPRINT_KEY: fingerprint}, add)
    checkpoint.remove()
    say(f"{folder.name}: best epoch {tuned.fit.best_epoch} of {len(tuned.fit.epochs)}, {tuned.fit.seconds:.0f} s")


def checkpoint_of(folder: Path) -> Path:
    """The file of an unfinished training of `folder`."""
    return folder.with_name(f".{folder.name}.checkpoint.pt")


def decisive(recipe: ClsRecipe) -> dict[str, Any]:
    """What of a recipe decides the weights, the seed apart."""
    return {key: value for key, value in asdict(recipe).items() if key not in _NOT_NUMERIC}


def is_finished(folder: Path, fingerprint: str) -> bool:
    """Whether `folder` holds the model that `fingerprint` names. Raises NotemillError where it holds another."""
    if not (folder / "config.json").is_file():
        return False
    if read_json(folder / "config.json", "model configuration").get(FINGERPRINT_KEY) == fingerprint:
        return True
    raise NotemillError(
        f"{folder} holds a model of other data, another start or another recipe; choose a new --out or remove it."
    )
