"""CoNLL columns: a token and its tag a line, sentences apart by blank lines (NCBI-disease).

The first column is the token and the last its tag, in BIO, IOB1 or IOBES. A sentence is a document whose text is its
tokens joined by one space.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import write_text
from eval.examples import Document, Entity, Example, Span, Task
from eval.formats.base import Format, Reading, read_text
from launch.errors import NotemillError

_SPACES = re.compile(" +")
"""Not those of str.split(): a token may be or hold a no-break space."""
_OPENING = "BSU"
_PREFIXES = frozenset("BIESLU")


class Conll(Format):
    name = "conll"
    tasks: tuple[Task, ...] = ("ner",)
    suffixes: tuple[str, ...] = (".tsv", ".conll", ".txt", ".iob", ".bio")

    def read(self, path: Path, reading: Reading) -> tuple[Document, ...]:
        return tuple(_document(number, tokens, tags) for number, (tokens, tags) in enumerate(_sentences(path)))

    def write(self, folder: Path, examples: Sequence[Example], predictions: Sequence[Document]) -> Path:
        path = folder / "predictions.tsv"
        write_text(path, "\n".join(_block(document) for document in predictions))
        return path

    def read_predictions(self, path: Path, examples: Sequence[Example], reading: Reading) -> Any:
        return list(self.read(path, reading))


def _sentences(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    tokens: list[str] = []
    tags: list[str] = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        columns = line.rstrip("\r").split("\t") if "\t" in line else _SPACES.split(line.strip(" \r"))
        if not line.strip() or columns[0] == "-DOCSTART-":
            if tokens:
                yield tokens, tags
                tokens, tags = [], []
            continue
        if len(columns) < 2:
            raise NotemillError(f"{path} line {number} has one column; CoNLL wants a token and its tag.")
        tag = columns[-1].strip()
        if tag != "O" and (len(tag) < 3 or tag[0] not in _PREFIXES or tag[1] not in "-_"):
            raise NotemillError(f"{path} line {number}: the last column is no tag such as O, B-Disease or I-Disease.")
        tokens.append(columns[0])
        tags.append(tag)
    if tokens:
        yield tokens, tags


def _document(number: int, tokens: list[str], tags: list[str]) -> Document:
    bounds: list[Span] = []
    position = 0
    for token in tokens:
        bounds.append((position, position + len(token)))
        position += len(token) + 1
    entities: list[Entity] = []
    previous = "O"
    for (start, end), tag in zip(bounds, tags, strict=True):
        if tag != "O":
            # IOB1 opens an entity with I, and a change of type always does.
            if tag[0] in _OPENING or previous == "O" or previous[2:] != tag[2:] or previous[0] in "ESLU":
                entities.append(Entity(f"T{len(entities) + 1}", tag[2:], ((start, end),)))
            else:
                last = entities[-1]
                entities[-1] = Entity(last.id, last.label, ((last.start, end),))
        previous = tag
    return Document(f"s{number}", " ".join(tokens), tuple(entities), tokens=tuple(bounds))


def _block(document: Document) -> str:
    assert document.tokens is not None, "a CoNLL document has tokens"
    tags = ["O"] * len(document.tokens)
    for entity in document.entities:
        inside = [i for i, (start, end) in enumerate(document.tokens) if start < entity.end and end > entity.start]
        for i in inside:
            tags[i] = f"{'B' if i == inside[0] else 'I'}-{entity.label}"
    return "".join(
        f"{document.text[start:end]}\t{tag}\n" for (start, end), tag in zip(document.tokens, tags, strict=True)
    )
