"""Spans of characters as JSON lines {"id", "text", "spans": [{"start", "end", "label"}]}: gold of de-identification.

"found", a list of [start, end], may say what other detectors find in the text.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import write_text
from eval.examples import Document, Entity, Example, Task
from eval.formats.base import Format, Reading, read_text
from launch.errors import NotemillError


class Spans(Format):
    name = "spans"
    tasks: tuple[Task, ...] = ("ner",)
    suffixes: tuple[str, ...] = (".jsonl",)

    def read(self, path: Path, reading: Reading) -> tuple[Document, ...]:
        lines = [line for line in read_text(path).split("\n") if line.strip()]
        return tuple(_document(path, number, line) for number, line in enumerate(lines, start=1))

    def write(self, folder: Path, examples: Sequence[Example], predictions: Sequence[Document]) -> Path:
        path = folder / "predictions.jsonl"
        write_text(path, "".join(f"{_line(document)}\n" for document in predictions))
        return path

    def read_predictions(self, path: Path, examples: Sequence[Example], reading: Reading) -> Any:
        return list(self.read(path, reading))


def _document(path: Path, number: int, line: str) -> Document:
    try:
        parsed = json.loads(line)
        text = parsed["text"]
        spans = sorted((int(span["start"]), int(span["end"]), str(span["label"])) for span in parsed["spans"])
        found = tuple((int(start), int(end)) for start, end in parsed.get("found", ()))
        if not all(0 <= start < end <= len(text) for start, end in (*((a, b) for a, b, _ in spans), *found)):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise NotemillError(
            f"{path} line {number} is not an object with 'text' and 'spans' of start, end and label within it."
        ) from None
    entities = tuple(Entity(f"T{i}", label, ((start, end),)) for i, (start, end, label) in enumerate(spans, start=1))
    return Document(str(parsed.get("id", number)), text, entities, found=found)


def _line(document: Document) -> str:
    spans = [{"start": entity.start, "end": entity.end, "label": entity.label} for entity in document.entities]
    return json.dumps({"id": document.id, "text": document.text, "spans": spans}, ensure_ascii=False)
