"""What is outside of `train_fraction` teaches nothing."""

from pathlib import Path
from typing import Any

import pytest

import eval.run
from eval.examples import Dataset, LabelledText
from eval.finetune.checkpoint import Checkpoint
from eval.finetune.processes import ALONE
from eval.finetune.recipe import load_recipe
from eval.finetune.tuning import fine_tune, sampled
from tests.eval.finetune import toys

SETTINGS = ["max_length=32", "max_steps=1", "train_fraction=0.5", "seeds=[3]"]


def test_labels_weights_and_words_are_those_of_the_share(tiny_model: Path, tmp_path: Path) -> None:
    recipe = load_recipe("cls", None, [*SETTINGS, "class_weights=balanced", "added_words=5"])
    notes = tuple(LabelledText(str(i), f"felt well {i}", "ab"[i % 2]) for i in range(20))
    chosen = {note.id for note in sampled(Dataset("cls", "x", "x", {"train": notes}), recipe, 3).splits["train"]}
    assert len(chosen) == 10
    outside = tuple(note if note.id in chosen else LabelledText(note.id, "carditis carditis", "rare") for note in notes)
    dataset = Dataset("cls", "x", "x", {"train": outside, "dev": notes, "test": notes})
    tuned = fine_tune(tiny_model, dataset, recipe, 3, ALONE, Checkpoint(tmp_path / "c.pt", "f"))
    assert tuned.head.labels == ("a", "b")
    assert tuned.head.class_weights is not None and len(tuned.head.class_weights) == 2  # type: ignore[attr-defined]
    assert not tuned.text.added
    whole = load_recipe("cls", None, [*SETTINGS, "added_words=5", "train_fraction=1"])
    tuned = fine_tune(tiny_model, dataset, whole, 3, ALONE, Checkpoint(tmp_path / "d.pt", "f"))
    assert tuned.head.labels == ("a", "b", "rare") and len(tuned.text.added) == 1


def test_baselines_have_the_same_share(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = toys.write_sts(tmp_path / "data", (20, 5, 5))
    shares: list[Any] = []
    real = eval.run.baseline_predictions

    def seen(dataset: Dataset, *rest: Any) -> Any:
        shares.append(dataset)
        return real(dataset, *rest)

    monkeypatch.setattr(eval.run, "baseline_predictions", seen)
    result = eval.run.evaluate(tiny_model, "sts", f"tsv:{data}", tmp_path / "out", load_recipe("sts", None, SETTINGS))
    [share] = shares
    assert [len(share.splits[name]) for name in ("train", "dev", "test")] == [10, 5, 5]
    assert result["dataset"]["splits"]["train"] == 20
