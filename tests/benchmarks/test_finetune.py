"""Both sides of the comparison of fine-tunings really train, and the results say what they did."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.finetune import copy_part
from benchmarks.run_ner import encode, read_sentences
from launch.errors import NotemillError
from tests.eval.finetune import toys

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sentences(tmp_path: Path) -> Path:
    written = toys.write_ner(tmp_path / "toy", sizes=(24, 6, 6))
    folder = tmp_path / "set"
    folder.mkdir()
    for split, names in (("train", "train"), ("devel", "dev*"), ("test", "test")):
        [file] = written.glob(f"{names}.*")
        (folder / f"{split}.tsv").write_text(file.read_text())
    return folder


def test_a_part_is_the_first_sentences_of_each_split(sentences: Path, tmp_path: Path) -> None:
    assert copy_part(sentences, tmp_path / "half", 0.5) == {"train": 12, "devel": 3, "test": 3}
    for name in ("train.tsv", "devel.tsv", "test.tsv"):
        whole, part = read_sentences(sentences / name), read_sentences(tmp_path / "half" / name)
        assert part == whole[: len(part)] and len(part) == len(whole) // 2
    with pytest.raises(NotemillError, match=r"no .*train.tsv"):
        copy_part(tmp_path, tmp_path / "none", 1.0)


def test_their_labels_stand_on_first_pieces(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(toys.write_model(tmp_path / "model"))
    [row] = encode([(["takes", "xyz", "today"], ["O", "B-D", "O"])], tokenizer, ["B-D", "O"])
    pieces = tokenizer.convert_ids_to_tokens(row["input_ids"])
    assert pieces == ["takes", "x", "##y", "##z", "today"]
    assert row["labels"] == [1, 0, -100, -100, 1]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="Hugging Face's Trainer needs accelerate")
def test_both_sides_train(sentences: Path, tmp_path: Path) -> None:
    model = toys.write_model(tmp_path / "model")
    results = tmp_path / "results.json"
    command = [
        *(sys.executable, "-m", "benchmarks.finetune", "--model", str(model), "--data", str(sentences)),
        *("--epochs", "2", "--rounds", "1", "--work", str(tmp_path), "--results", str(results)),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (measured,) = json.loads(results.read_text()).values()
    assert measured["sentences"] == {"train": 24, "devel": 6, "test": 6}
    for side in ("ours", "run_ner"):
        told = measured["sides"][side]
        assert told["whole_seconds"] > told["train_and_dev_seconds"] > 0 and 0 <= told["strict_f1"] <= 1
    assert measured["ours takes of run_ner's"]["cpu"] > 0
