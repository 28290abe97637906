"""Sentence pairs with a score (STS) or a label (NLI) as TSV, CSV, JSONL or JSON (n2c2 2019 STS, MedNLI, EHR-RelB)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import write_text
from eval.examples import Example, SentencePair, Task
from eval.formats.base import Format, Reading, predictions_of
from eval.formats.tables import SUFFIXES, cell, find_columns, identifier, read_rows, to_delimited, to_jsonl
from launch.errors import NotemillError


class Pairs(Format):
    tasks: tuple[Task, ...] = ("sts", "nli")

    def __init__(self, kind: str) -> None:
        self.name = kind
        self.suffixes = SUFFIXES[kind]

    def read(self, path: Path, reading: Reading) -> tuple[SentencePair, ...]:
        rows = read_rows(path, self.name)
        target = "score" if reading.task == "sts" else "label"
        columns = find_columns(path, rows, ("first", "second", target), reading, may_be_null=("label",))
        examples = []
        for number, row in enumerate(rows, start=1):
            value = row[columns[target]]
            if target == "label" and (value is None or str(value).strip() in ("", "-")):
                reading.notes["pairs without a gold label left"] += 1
                continue
            examples.append(
                SentencePair(
                    id=identifier(row, number, reading),
                    first=cell(path, row, number, columns["first"]),
                    second=cell(path, row, number, columns["second"]),
                    score=_number(path, number, value) if target == "score" else None,
                    label=cell(path, row, number, columns[target]).strip() if target == "label" else None,
                )
            )
        return tuple(examples)

    def write(self, folder: Path, examples: Sequence[Example], predictions: Sequence[float | str]) -> Path:
        pairs = [example for example in examples if isinstance(example, SentencePair)]
        target = "score" if pairs and pairs[0].score is not None else "gold_label"
        rows = [
            {"id": pair.id, "sentence1": pair.first, "sentence2": pair.second, target: prediction}
            for pair, prediction in zip(pairs, predictions, strict=True)
        ]
        delimiter = {"tsv": "\t", "csv": ","}.get(self.name)
        path = folder / f"predictions{'.jsonl' if delimiter is None else self.suffixes[0]}"
        write_text(path, to_jsonl(rows) if delimiter is None else to_delimited(rows, delimiter))
        return path

    def read_predictions(self, path: Path, examples: Sequence[Example], reading: Reading) -> Any:
        kind = "jsonl" if path.suffix == ".jsonl" else self.name
        return predictions_of(examples, Pairs(kind).read(path, reading), reading.task)


def _number(path: Path, number: int, value: Any) -> float:
    try:
        score = float(value)
    except (TypeError, ValueError):
        score = math.nan
    if not math.isfinite(score):
        raise NotemillError(f"{path} row {number} has no number for a score.")
    return score
