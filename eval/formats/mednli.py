"""MedNLI: mli_train_v1.jsonl, mli_dev_v1.jsonl and mli_test_v1.jsonl, a premise, a hypothesis and a label a line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import write_text
from eval.examples import Example, SentencePair, Task
from eval.formats.base import Reading
from eval.formats.pairs import Pairs
from eval.formats.releases import Released
from eval.formats.tables import to_jsonl


class MedNli(Released):
    name = "mednli"
    tasks: tuple[Task, ...] = ("nli",)
    patterns = ("mli_*.jsonl",)
    one_each = False

    def read(self, path: Path, reading: Reading) -> tuple[SentencePair, ...]:
        return Pairs("jsonl").read(path, reading)

    def write(self, folder: Path, examples: Sequence[Example], predictions: Sequence[str]) -> Path:
        path = folder / "predictions.jsonl"
        pairs = [example for example in examples if isinstance(example, SentencePair)]
        rows = [
            {"pairID": pair.id, "sentence1": pair.first, "sentence2": pair.second, "gold_label": label}
            for pair, label in zip(pairs, predictions, strict=True)
        ]
        write_text(path, to_jsonl(rows))
        return path

    def read_predictions(self, path: Path, examples: Sequence[Example], reading: Reading) -> Any:
        return Pairs("jsonl").read_predictions(path, examples, reading)
