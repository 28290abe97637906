"""A saved classifier of notes is what stock transformers loads: the same logits, the same labels."""

import json
from pathlib import Path

import pytest
import torch

from eval.examples import Dataset, LabelledText
from eval.finetune.checkpoint import Checkpoint
from eval.finetune.load_classifier import load_classifier
from eval.finetune.processes import ALONE
from eval.finetune.recipe import load_recipe
from eval.finetune.save_classifier import save_classifier
from eval.finetune.tuning import Tuned, fine_tune
from eval.formats import load_dataset
from eval.run import evaluate
from launch.errors import NotemillError
from tests.eval.finetune import toys


def tuned(model: Path, data: Path, *settings: str) -> Tuned:
    recipe = load_recipe("cls", None, ["max_length=32", "max_steps=3", "lr=1e-2", "precision=fp32", *settings])
    checkpoint = Checkpoint(data / f"{len(settings)}.pt", "")
    return fine_tune(model, load_dataset("cls", f"jsonl:{data}"), recipe, 0, ALONE, checkpoint)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return toys.write_cls(tmp_path / "notes")


def other_start(tiny_model: Path, folder: Path, kind: str) -> Path:
    import shutil

    import transformers

    shutil.copytree(tiny_model, folder)
    (folder / "model.safetensors").unlink()
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=size, max_position_embeddings=70, type_vocab_size=2, pad_token_id=0, **sizes
    )
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["MegatronBert", "Bert", "Roberta"])
def test_stock_transformers_gives_the_same_logits(kind: str, tiny_model: Path, data: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    start = tiny_model if kind == "MegatronBert" else other_start(tiny_model, tmp_path / "start", kind)
    one = tuned(start, data)
    assert save_classifier(one.trainer, one.text, tmp_path / "saved", {"told": 3}) < 1e-4
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved", local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved", local_files_only=True)
    assert stock.config.told == 3 and tokenizer.model_max_length == 32
    assert [stock.config.id2label[i] for i in range(2)] == list(one.head.labels)
    note = load_dataset("cls", f"jsonl:{data}").splits["test"][0]
    [first, *_] = one.head.windows([note], with_targets=False)
    [[*ours]] = one.trainer.read([first], one.head.reduce)
    with torch.no_grad():
        theirs = stock(input_ids=torch.tensor([first.input_ids])).logits[0]
    assert torch.allclose(torch.tensor(ours), theirs, atol=1e-5)
    recipe = load_recipe("cls", None, ["precision=fp32"])
    loaded = load_classifier(tmp_path / "saved", load_dataset("cls", f"jsonl:{data}"), recipe)
    assert loaded.head.recipe.max_length == 32
    probabilities = loaded.probabilities([note.text])
    mean = one.head.mean_scores(1, items := one.head.windows([note], False), one.trainer.read(items, one.head.reduce))
    assert probabilities[0] == pytest.approx(torch.softmax(torch.tensor(mean[0]), -1).tolist(), abs=1e-5)


def test_heads_of_another_kind_are_refused(tiny_model: Path, data: Path, tmp_path: Path) -> None:
    electra = tuned(other_start(tiny_model, tmp_path / "start", "Electra"), data)
    with pytest.raises(NotemillError, match="a electra model cannot be saved as a sequence classifier"):
        save_classifier(electra.trainer, electra.text, tmp_path / "saved", {})
    mean = tuned(tiny_model, data, "pooling=mean")
    with pytest.raises(NotemillError, match="pooling=mean has no counterpart"):
        save_classifier(mean.trainer, mean.text, tmp_path / "saved", {})
    assert not (tmp_path / "saved").exists()


def test_a_run_keeps_the_best_seeds_classifier(tiny_model: Path, data: Path, tmp_path: Path) -> None:
    settings = ["max_length=32", "max_steps=3", "seeds=[0,1]", "save_model=true", "precision=fp32"]
    evaluate(tiny_model, "cls", f"jsonl:{data}", tmp_path / "out", load_recipe("cls", None, settings))
    assert {path.name for path in (tmp_path / "out").glob("**/model")} == {"model"}
    loaded = load_classifier(tmp_path / "out" / "model", load_dataset("cls", f"jsonl:{data}"), load_recipe("cls"))
    assert loaded.labels == ("surgery", "xray")


def test_a_loaded_classifier_adds_no_words_that_it_has_no_rows_for(tiny_model: Path, tmp_path: Path) -> None:
    notes = tuple(LabelledText(str(i), f"felt well {i}", "ab"[i % 2]) for i in range(8))
    before = Dataset("cls", "x", "x", {"train": notes, "dev": notes, "test": notes})
    recipe = load_recipe("cls", None, ["max_length=32", "max_steps=1", "added_words=5", "precision=fp32"])
    one = fine_tune(tiny_model, before, recipe, 0, ALONE, Checkpoint(tmp_path / "c.pt", ""))
    save_classifier(one.trainer, one.text, tmp_path / "saved", {})
    new = tuple(LabelledText(str(i), "carditis carditis", "ab"[i % 2]) for i in range(8))
    loaded = load_classifier(tmp_path / "saved", Dataset("cls", "x", "x", {"train": new}), recipe)
    assert loaded.probabilities(["carditis"]).shape == (1, 2)
