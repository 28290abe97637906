"""Documents with one label each, as JSONL, TSV or CSV.

Where a column names the patient, a patient's documents stay together in splits and in the bootstrap's draws.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import write_text
from eval.examples import Example, LabelledText, Task
from eval.formats.base import Format, Reading, predictions_of
from eval.formats.tables import (
    SUFFIXES,
    cell,
    find_columns,
    has_column,
    identifier,
    read_rows,
    to_delimited,
    to_jsonl,
)


class Labelled(Format):
    tasks: tuple[Task, ...] = ("cls",)

    def __init__(self, kind: str) -> None:
        self.name = kind
        self.suffixes = SUFFIXES[kind]

    def read(self, path: Path, reading: Reading) -> tuple[LabelledText, ...]:
        rows = read_rows(path, self.name)
        has_patient = not reading.is_predicted and has_column(rows, "patient", reading)
        wanted = ("text", "label", "patient") if has_patient else ("text", "label")
        columns = find_columns(path, rows, wanted, reading, may_be_null=("label",))
        texts = []
        for number, row in enumerate(rows, start=1):
            label = cell(path, row, number, columns["label"]).strip()
            if row[columns["label"]] is None or not label:
                reading.notes["texts without a label left"] += 1
                continue
            text = cell(path, row, number, columns["text"])
            patient = cell(path, row, number, columns["patient"]) if has_patient else ""
            texts.append(LabelledText(identifier(row, number, reading), text, label, patient))
        return tuple(texts)

    def write(self, folder: Path, examples: Sequence[Example], predictions: Sequence[str]) -> Path:
        texts = [example for example in examples if isinstance(example, LabelledText)]
        rows = [
            {"id": text.id, "text": text.text, "label": label} for text, label in zip(texts, predictions, strict=True)
        ]
        path = folder / f"predictions{self.suffixes[0]}"
        delimiter = {"tsv": "\t", "csv": ","}.get(self.name)
        write_text(path, to_jsonl(rows) if delimiter is None else to_delimited(rows, delimiter))
        return path

    def read_predictions(self, path: Path, examples: Sequence[Example], reading: Reading) -> Any:
        return predictions_of(examples, self.read(path, reading), reading.task)
