"""A class that is told past a model's positions: chance for the model, learnt by the same one extended."""

import json
import random
from pathlib import Path

import pytest
import torch

from data_pipeline.invented.tasks.long_cls import (
    DECISIONS,
    MARKS_BEFORE,
    NUM_SENTENCES,
    make_long_documents,
    num_marks,
    write_long_documents,
)
from eval.finetune.added_words import frequent_words
from eval.finetune.encoder import load_encoder
from eval.finetune.recipe import load_recipe
from eval.finetune.text import TextEncoder
from eval.run import evaluate
from eval.suite import load_suite
from launch.errors import NotemillError
from pretrain.huggingface.extend import extend
from tests.eval.finetune.toys import FILLER, write_model

POSITIONS, LONG, WINDOW = 64, 160, 32
FAST = ["lr=3e-3", "batch_size=16", "epochs=10", "precision=fp32", "seeds=[0]", "head_dropout=0", "hidden_dropout=0"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The tiny model and the same extended."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    return write_model(folder / "hf"), extend(folder / "hf", folder / "hf-long", LONG, WINDOW)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words that say nothing up to the model's positions and beyond, then the one that tells."""
    folder = tmp_path_factory.mktemp("data")
    for split, size in (("train", 240), ("dev", 60), ("test", 100)):
        rng = random.Random(split)
        rows = []
        for number in range(size):
            label = rng.choice(["surgery", "xray"])
            before, behind = rng.choices(FILLER, k=rng.randint(POSITIONS, 120)), rng.choices(FILLER, k=20)
            text = " ".join([*before, *[label] * 4, *behind])
            rows.append(json.dumps({"id": f"{split}{number}", "text": text, "label": label}))
        (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n")
    return folder


def accuracy(model: Path, data: Path, out: Path, *settings: str) -> float:
    result = evaluate(model, "cls", f"jsonl:{data}", out, load_recipe("cls", None, [*FAST, *settings]))
    return result["metrics"]["accuracy"]["value"]


def test_chance_for_a_short_model_and_over_90_percent_for_the_long_one(
    models: tuple[Path, Path], data: Path, tmp_path: Path
) -> None:
    short, long = models
    blind = accuracy(short, data, tmp_path / "short", f"max_length={POSITIONS}", "max_windows=1", "epochs=3")
    assert blind < 0.65
    notes = json.loads((tmp_path / "short" / "results.json").read_text())["notes"]
    assert notes["texts of which only the first 1 windows are read"] > 0
    assert accuracy(long, data, tmp_path / "long", f"max_length={LONG}") > 0.9


def test_a_length_beyond_the_positions_names_the_limit(models: tuple[Path, Path], data: Path, tmp_path: Path) -> None:
    with pytest.raises(NotemillError, match="reads at most 64"):
        accuracy(models[0], data, tmp_path / "out", f"max_length={LONG}")


def test_fine_tuning_takes_the_window(models: tuple[Path, Path]) -> None:
    short, long = (load_encoder(folder, "pretrained", 0) for folder in models)
    assert short.model.config._attn_implementation == "notemill"
    assert long.model.config._attn_implementation == "notemill_sliding_window"
    assert long.max_positions == LONG


def test_search_goes_over_length_rate_epochs_and_words(models: tuple[Path, Path], data: Path, tmp_path: Path) -> None:
    grid = ["search.max_length=[64,160]", "search.lr=[1e-3]", "search.epochs=[1]", "search.added_words=[0,3]"]
    settings = [*FAST, *grid, "train_fraction=0.1"]
    result = evaluate(models[1], "cls", f"jsonl:{data}", tmp_path / "out", load_recipe("cls", None, settings))
    trials = result["search"]["trials"]
    assert [(t["settings"]["max_length"], t["settings"]["added_words"]) for t in trials] == [
        (64, 0),
        (64, 3),
        (160, 0),
        (160, 3),
    ]
    assert {key: result["recipe"][key] for key in result["search"]["chosen"]} == result["search"]["chosen"]


def test_frequent_words_of_many_pieces_are_chosen(models: tuple[Path, Path]) -> None:
    text = TextEncoder(models[0])
    texts = ["carditis and carditis nephritis in the", "nephritis carditis xy rare 1234 nephritis carditis"] * 2
    assert len(text.word_pieces(["carditis"])[0]) == 8
    assert frequent_words(texts, text, 5) == ["carditis", "nephritis"]
    assert frequent_words(texts, text, 1) == ["carditis"]


def test_an_added_word_is_one_piece_and_the_mean_of_those_before(models: tuple[Path, Path]) -> None:
    text = TextEncoder(models[0])
    [before] = text.word_pieces(["carditis"])
    text.add_words(["carditis"])
    [pieces] = text.pieces(["the carditis, pancarditis felt"])
    added = text.tokenizer.convert_tokens_to_ids("carditis")
    assert pieces.ids.count(added) == 1, "inside another word it is no word"
    assert pieces.offsets[pieces.ids.index(added)] == (4, 12)
    assert text.word_pieces(["carditis"]) == [[added]]
    encoder = load_encoder(models[0], "pretrained", len(text.tokenizer), added=text.added)
    weight = encoder.model.get_input_embeddings().weight
    torch.testing.assert_close(weight[added], weight[before].mean(0))


def test_the_shipped_suite_holds_together() -> None:
    suite = load_suite(Path("configs/eval/long_cls.yaml"))
    assert {model.recipe["max_length"] for model in suite.models.values()} == {512, 1024}


def test_invented_long_documents_tell_their_class_past_piece_512(tmp_path: Path) -> None:
    splits = make_long_documents(1, (20, 5, 5))
    assert splits == make_long_documents(1, (20, 5, 5))
    for row in (row for rows in splits.values() for row in rows):
        start = min(row.text.find(told) for told in DECISIONS[row.label] if told in row.text)
        assert num_marks(row.text[:start]) >= MARKS_BEFORE > 512
        assert sum(told in row.text for told in DECISIONS[row.label]) == NUM_SENTENCES
        assert not any(
            told in row.text for label, all_told in DECISIONS.items() if label != row.label for told in all_told
        )
    assert {row.label for row in splits["train"]} == set(DECISIONS)
    folder = write_long_documents(tmp_path / "data", 1, (20, 5, 5))
    assert len((folder / "train.jsonl").read_text().splitlines()) == 20
