"""PubTator: abstracts with mentions (BC5CDR, NCBI Disease, BioRED as distributed).

    227508|t|title
    227508|a|abstract
    227508	0	8	Naloxone	Chemical	D009270

Offsets count characters of the title, one more, and the abstract. Relation lines join concepts, not mentions; they are
counted and left, as are what concepts and parts a mention stands for.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import write_text
from eval.examples import Document, Entity, Example, Task
from eval.formats.base import Reading, of_gold, read_text
from eval.formats.places import nearest, squeeze, whole_number
from eval.formats.releases import Released
from launch.errors import NotemillError

_TEXT = re.compile(r"([^|\t]+)\|([ta])\|(.*)")


class PubTator(Released):
    name = "pubtator"
    tasks: tuple[Task, ...] = ("ner",)
    patterns = ("*.PubTator.txt", "*.PubTator", "*.pubtator", "*.pubtator.txt", "*corpus.txt")
    one_each = False

    def read(self, path: Path, reading: Reading) -> tuple[Document, ...]:
        documents = tuple(_document(path, block, reading) for block in _blocks(path))
        if not documents:
            raise NotemillError(f"{path} holds no abstracts.")
        return documents

    def write(self, folder: Path, examples: Sequence[Example], predictions: Sequence[Document]) -> Path:
        path = folder / "predictions.PubTator"
        write_text(path, "\n".join(_block(document) for document in predictions))
        return path

    def read_predictions(self, path: Path, examples: Sequence[Example], reading: Reading) -> Any:
        return of_gold(self.read(path, reading), examples, reading)


def _blocks(path: Path) -> Iterator[list[tuple[int, str]]]:
    block: list[tuple[int, str]] = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        line = line.rstrip("\r")
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _document(path: Path, block: list[tuple[int, str]], reading: Reading) -> Document:
    parts: dict[str, str] = {}
    key = ""
    entities: list[Entity] = []
    for number, line in block:
        match = _TEXT.fullmatch(line)
        if match and not entities:
            if match[2] in parts or (parts and match[1] != key):
                raise NotemillError(f"{path} line {number}: another abstract begins; put an empty line before it.")
            key, parts[match[2]] = match[1], match[3]
            continue
        if set(parts) != {"t", "a"}:
            raise NotemillError(f"{path} line {number}: annotations begin before ID|t|title and ID|a|abstract.")
        if "\t" in line and line.partition("\t")[0].strip() != key.strip():
            raise NotemillError(f"{path} line {number} is about another document than the abstract '{key}' above it.")
        text = f"{parts['t']}\n{parts['a']}"
        entity = _entity(path, number, line.split("\t"), text, len(entities) + 1, reading)
        entities += [entity] if entity is not None else []
    if set(parts) != {"t", "a"}:
        raise NotemillError(f"{path} line {block[0][0]}: an abstract lacks its ID|t| or its ID|a| line.")
    return Document(key, f"{parts['t']}\n{parts['a']}", tuple(entities))


def _entity(path: Path, number: int, fields: list[str], text: str, index: int, reading: Reading) -> Entity | None:
    if len(fields) in (4, 5) and fields[1].replace("_", "").isalpha():
        reading.notes["relations between concepts left"] += 1
        return None
    if len(fields) < 5 or (start := whole_number(fields[1])) is None or (end := whole_number(fields[2])) is None:
        raise NotemillError(f"{path} line {number} is neither ID, start, end, mention, type nor a relation, by tabs.")
    if not 0 <= start < end <= len(text):
        raise NotemillError(
            f"{path} line {number} points at {start} to {end} of a title and abstract of {len(text)} characters."
        )
    span = start, end
    if squeeze(text[start:end]) != squeeze(fields[3]):
        moved = nearest(text, fields[3], start)
        what = "kept whose text differs from their place" if moved is None else "moved to the nearest occurrence"
        reading.notes[f"mentions {what}"] += 1
        span = moved or span
    reading.notes["concepts and parts of mentions left"] += len(fields) > 5
    return Entity(f"T{index}", fields[4].strip(), (span,))


def _block(document: Document) -> str:
    title, _, abstract = document.text.partition("\n")
    lines = [f"{document.id}|t|{title}", f"{document.id}|a|{abstract}"]
    for entity in document.entities:
        surface = squeeze(document.text[entity.start : entity.end])
        lines.append(f"{document.id}\t{entity.start}\t{entity.end}\t{surface}\t{entity.label}")
    return "".join(f"{line}\n" for line in lines)
