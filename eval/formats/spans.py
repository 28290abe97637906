"""Spans of characters as JSON lines {"id", "text", "spans": [{"start", "end", "label"}]}: gold of de-identification.

"found", a list of [start, end], may say what other detectors find in the text.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import write_text
from eval.examples import Document, Entity, Example, Task
from eval.formats.base import Format, Reading, of_gold
from eval.formats.tables import read_objects
from launch.errors import NotemillError


class Spans(Format):
    name = "spans"
    tasks: tuple[Task, ...] = ("ner",)
    suffixes: tuple[str, ...] = (".jsonl",)

    def read(self, path: Path, reading: Reading) -> tuple[Document, ...]:
        rows = enumerate(read_objects(path), start=1)
        return tuple(_document(path, line, str(number), row) for number, (line, row) in rows)

    def write(self, folder: Path, examples: Sequence[Example], predictions: Sequence[Document]) -> Path:
        path = folder / "predictions.jsonl"
        write_text(path, "".join(f"{_line(document)}\n" for document in predictions))
        return path

    def read_predictions(self, path: Path, examples: Sequence[Example], reading: Reading) -> Any:
        return of_gold(self.read(path, reading), examples, reading)


def _document(path: Path, line: int, key: str, parsed: dict[str, Any]) -> Document:
    try:
        text = parsed["text"]
        spans = sorted((span["start"], span["end"], span["label"]) for span in parsed["spans"])
        found = tuple((start, end) for start, end in parsed.get("found", ()))
        bounds = [*((start, end) for start, end, _ in spans), *found]
        are_kinds = isinstance(text, str) and all(isinstance(label, str) and label for _, _, label in spans)
        if not are_kinds or not all(type(bound) is int for pair in bounds for bound in pair):
            raise TypeError
        if not all(0 <= start < end <= len(text) for start, end in bounds):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise NotemillError(
            f"{path} line {line} has no 'text' with 'spans' in it, each a whole start and end and a label."
        ) from None
    entities = tuple(Entity(f"T{i}", label, ((start, end),)) for i, (start, end, label) in enumerate(spans, start=1))
    return Document(str(parsed.get("id", key)), text, entities, found=found)


def _line(document: Document) -> str:
    spans = [{"start": entity.start, "end": entity.end, "label": entity.label} for entity in document.entities]
    return json.dumps({"id": document.id, "text": document.text, "spans": spans}, ensure_ascii=False)
