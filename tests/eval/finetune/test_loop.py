"""An update is the same however many forward passes it takes, and a fine-tuning goes on exactly where it stopped."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from eval.examples import Task
from eval.finetune.checkpoint import Checkpoint
from eval.finetune.encoder import load_encoder
from eval.finetune.loop import Classifier, Trainer
from eval.finetune.processes import Processes
from eval.finetune.recipe import load_recipe
from eval.finetune.tasks import make_head
from eval.finetune.text import TextEncoder
from eval.formats import load_dataset
from launch.errors import NotemillError
from tests.eval.finetune import toys

SETTINGS = ["lr=1e-3", "batch_size=8", "max_length=32", "precision=fp32", "epochs=3"]


def trainer_of(model: Path, data: Path, task: Task, *settings: str) -> tuple[Trainer, list[Any]]:
    dataset = load_dataset(task, f"{'conll' if task == 'ner' else 'jsonl'}:{data}")
    recipe = load_recipe(task, None, [*SETTINGS, *settings])
    torch.manual_seed(0)
    text = TextEncoder(model)
    head = make_head(task, dataset, text, recipe)
    encoder = load_encoder(model, "pretrained", len(text.tokenizer), recipe.hidden_dropout)
    trainer = Trainer(Classifier(encoder, head.network(encoder.hidden_size, recipe.head_dropout)), head, recipe)
    return trainer, head.windows(dataset.splits["train"][:40], with_targets=True)


@pytest.mark.parametrize("task", ["ner", "cls"])
def test_splitting_an_update_changes_nothing(tiny_model: Path, tmp_path: Path, task: Task) -> None:
    data = getattr(toys, f"write_{task}")(tmp_path / "data")
    weights = []
    plain = ("hidden_dropout=0", "head_dropout=0", "epochs=1", "class_weights=balanced")
    for budget in (8192, 40):
        trainer, items = trainer_of(tiny_model, data, task, *plain, f"max_batch_tokens={budget}")
        fit = trainer.fit(items, 0, None)
        weights.append((fit.epochs[0].loss, trainer.model.network.scores.weight.detach()))
    (whole_loss, whole), (split_loss, split) = weights
    assert split_loss == pytest.approx(whole_loss, rel=1e-5)
    torch.testing.assert_close(split, whole, rtol=1e-3, atol=1e-5)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("scores", [[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.1, 0.3, 0.2]])
@pytest.mark.parametrize("killed_in", [2, 3])
def test_a_fine_tuning_goes_on_exactly(tiny_model: Path, tmp_path: Path, scores: list[float], killed_in: int) -> None:
    data = toys.write_cls(tmp_path / "data")

    def fit(file: Path, dies: bool) -> tuple[Any, dict[str, torch.Tensor]]:
        trainer, items = trainer_of(tiny_model, data, "cls", "train_windows=1")
        asked: list[int] = []

        def dev_score() -> float:
            asked.append(1)
            done = 3 - len(remaining)
            if dies and done + 1 == killed_in:
                raise KilledError
            return remaining.pop(0)

        result = trainer.fit(items, 0, dev_score, Checkpoint(file, "f"))
        result.seconds = 0.0
        return result, copy.deepcopy(trainer.model.state_dict())

    remaining = list(scores)
    straight = fit(tmp_path / "a.pt", dies=False)
    remaining = list(scores)
    with pytest.raises(KilledError):
        fit(tmp_path / "b.pt", dies=True)
    assert len(remaining) == 4 - killed_in
    assert (tmp_path / "b.pt").stat().st_mode & 0o077 == 0
    torch.rand(7)
    resumed = fit(tmp_path / "b.pt", dies=False)
    assert not remaining
    assert resumed[0] == straight[0]
    assert all(torch.equal(value, resumed[1][name]) for name, value in straight[1].items())


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    assert Checkpoint(path, "a").load() is None
    Checkpoint(path, "a").save({"x": torch.ones(1)})
    assert Checkpoint(path, "a").load() == {"x": torch.ones(1)}
    with pytest.raises(NotemillError, match="another recipe"):
        Checkpoint(path, "b").load()
    with pytest.raises(NotemillError, match="written by 1 processes and this run has 2"):
        Checkpoint(path, "a", Processes(0, 2)).load()
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(NotemillError, match="cannot be read; remove it"):
        Checkpoint(path, "a").load()
