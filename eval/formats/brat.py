"""BRAT standoff: a .txt and an .ann a document (MACCROBAT, n2c2 2018 track 2).

Entities `T`, discontinuous ones with `;` between spans; events `E`, which stand for their trigger as arguments of
relations `R`. Equivalence lines `*`, attributes `A`/`M`, notes `#` and normalisations `N` are counted and left.
Offsets count characters of the .txt as it is, carriage returns included.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import make_private_folder, write_text
from eval.examples import Document, Entity, Example, Relation, Task
from eval.formats.base import Format, Reading, read_text
from launch.errors import NotemillError

_ENTITY = re.compile(r"(\S+) (\d+ \d+(?:;\d+ \d+)*)")
_LEFT = {
    "*": "equivalence lines left",
    "A": "attributes left",
    "M": "attributes left",
    "#": "notes left",
    "N": "normalisations left",
}


class Brat(Format):
    name = "brat"
    tasks: tuple[Task, ...] = ("ner", "re")
    suffixes: tuple[str, ...] = ()

    def read(self, path: Path, reading: Reading) -> tuple[Document, ...]:
        texts = sorted(path.glob("*.txt")) if path.is_dir() else [path.with_suffix(".txt")]
        if not texts or not texts[0].is_file():
            raise NotemillError(f"{path} holds no .txt files; BRAT wants a .txt and an .ann for each document.")
        documents = []
        for text in texts:
            annotations = text.with_suffix(".ann")
            if not annotations.is_file():
                raise NotemillError(f"{text} has no {annotations.name} beside it.")
            documents.append(read_brat_document(text, annotations, reading))
        return tuple(documents)

    def write(self, folder: Path, examples: Sequence[Example], predictions: Sequence[Document]) -> Path:
        out = make_private_folder(folder / "predictions")
        for document in predictions:
            write_text(out / f"{document.id}.txt", document.text)
            write_text(out / f"{document.id}.ann", "".join(f"{line}\n" for line in _lines(document)))
        return out

    def read_predictions(self, path: Path, examples: Sequence[Example], reading: Reading) -> Any:
        """Predictions are .ann files by document; they are placed in the gold texts, so no .txt is needed."""
        documents = [example for example in examples if isinstance(example, Document)]
        missing = [document.id for document in documents if not (path / f"{document.id}.ann").is_file()]
        if missing:
            raise NotemillError(
                f"{path} lacks .ann files for {len(missing)} of {len(documents)} documents, the first is "
                f"'{missing[0]}.ann'; write an empty one where nothing was found."
            )
        return [_read_document(d.id, d.text, path / f"{d.id}.ann", reading) for d in documents]


def read_brat_document(text: Path, annotations: Path, reading: Reading) -> Document:
    """One document of a .txt and an .ann, under the name of the .txt."""
    return _read_document(text.stem, read_text(text), annotations, reading)


def _read_document(key: str, text: str, annotations: Path, reading: Reading) -> Document:
    entities: dict[str, Entity] = {}
    triggers: dict[str, str] = {}
    relation_lines: list[tuple[str, str]] = []
    # Not splitlines: a mention may hold U+2028 and other characters that it takes for line ends.
    for line in read_text(annotations).split("\n"):
        mark, _, body = line.rstrip("\r").partition("\t")
        if not mark.strip():
            continue
        if mark.startswith("T"):
            entity = _entity(mark, body, len(text))
            if entity is None:
                reading.notes["broken entity lines left"] += 1
            else:
                entities[mark] = entity
        elif mark.startswith("E"):
            trigger, *arguments = body.split() or [""]
            triggers[mark] = trigger.rpartition(":")[2]
            reading.notes["event arguments left"] += len(arguments)
        elif mark.startswith("R"):
            relation_lines.append((mark, body))
        else:
            reading.notes[_LEFT.get(mark[0], "unknown lines left")] += 1
    reading.notes["events without their trigger left"] += sum(trigger not in entities for trigger in triggers.values())
    relations = [_relation(mark, body, entities, triggers) for mark, body in relation_lines]
    reading.notes["relations without both mentions left"] += relations.count(None)
    if reading.task == "ner":
        reading.notes["discontinuous entities"] += sum(len(entity.spans) > 1 for entity in entities.values())
    return Document(
        id=key,
        text=text,
        entities=tuple(entities.values()),
        relations=tuple(relation for relation in relations if relation is not None),
    )


def _entity(mark: str, body: str, text_length: int) -> Entity | None:
    match = _ENTITY.match(body)
    if not match:
        return None
    spans = [tuple(int(number) for number in part.split()) for part in match[2].split(";")]
    if any(not 0 <= start < end <= text_length for start, end in spans):
        return None
    return Entity(mark, match[1], tuple(sorted((start, end) for start, end in spans)))


def _relation(mark: str, body: str, entities: dict[str, Entity], triggers: dict[str, str]) -> Relation | None:
    parts = body.split()
    if len(parts) < 3:
        return None
    arguments = [part.rpartition(":")[2] for part in parts[1:3]]
    head, tail = (triggers.get(argument, argument) for argument in arguments)
    if head not in entities or tail not in entities:
        return None
    return Relation(mark, parts[0], head, tail)


def _lines(document: Document) -> list[str]:
    lines = []
    for entity in document.entities:
        spans = ";".join(f"{start} {end}" for start, end in entity.spans)
        surface = " ".join(document.text[start:end] for start, end in entity.spans)
        lines.append(f"{entity.id}\t{entity.label} {spans}\t{' '.join(surface.splitlines())}")
    lines += [f"{r.id}\t{r.label} Arg1:{r.head} Arg2:{r.tail}" for r in document.relations]
    return lines
