"""BRAT standoff: a .txt and an .ann a document (MACCROBAT, n2c2 2018 track 2).

Entities `T`, discontinuous ones with `;` between spans; relations `R`; events `E`, which stand for their trigger
wherever another annotation names them. Each argument of an event is a relation from its trigger, labelled with the role
without its number (Theme2 is Theme). Equivalence lines `*`, attributes `A`/`M`, notes `#` and normalisations `N` are
counted and left.
Offsets count characters of the .txt as it is, carriage returns included.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import make_private_folder, write_text
from eval.examples import Document, Entity, Example, Relation, Task
from eval.formats.base import Format, Reading, read_text
from launch.errors import NotemillError

_ENTITY = re.compile(r"(\S+) (\d+ \d+(?:;\d+ \d+)*)")
_EVENT_ROLE = re.compile(r"E[^.]*\.\d+")
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
    arguments_of: dict[str, list[str]] = {}
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
            arguments_of[mark] = arguments
        elif mark.startswith("R"):
            relation_lines.append((mark, body))
        else:
            reading.notes[_LEFT.get(mark[0], "unknown lines left")] += 1
    reading.notes["events without their trigger left"] += sum(trigger not in entities for trigger in triggers.values())
    relations = [_relation(mark, body, entities, triggers) for mark, body in relation_lines]
    reading.notes["relations without both mentions left"] += relations.count(None)
    if reading.task == "re":
        roles = [
            _role(mark, number, argument, entities, triggers)
            for mark, arguments in arguments_of.items()
            for number, argument in enumerate(arguments, start=1)
        ]
        reading.notes["event arguments without both mentions left"] += roles.count(None)
        relations += roles
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


def _role(
    mark: str, number: int, argument: str, entities: dict[str, Entity], triggers: dict[str, str]
) -> Relation | None:
    """An argument of an event as a relation from its trigger, with an id that tells the event again."""
    role, _, filler = argument.partition(":")
    head, tail = triggers[mark], triggers.get(filler, filler)
    if head not in entities or tail not in entities:
        return None
    return Relation(f"{mark}.{number}", role.rstrip("0123456789") or role, head, tail)


def _lines(document: Document) -> list[str]:
    lines = []
    for entity in document.entities:
        spans = ";".join(f"{start} {end}" for start, end in entity.spans)
        surface = " ".join(document.text[start:end] for start, end in entity.spans)
        lines.append(f"{entity.id}\t{entity.label} {spans}\t{' '.join(surface.splitlines())}")
    roles = [relation for relation in document.relations if _EVENT_ROLE.fullmatch(relation.id)]
    lines += [f"{r.id}\t{r.label} Arg1:{r.head} Arg2:{r.tail}" for r in document.relations if r not in roles]
    return lines + _event_lines(document, roles)


def _event_lines(document: Document, roles: Sequence[Relation]) -> list[str]:
    """Events again from their arguments; a role that comes several times is numbered, as BRAT wants it."""
    label_of = {entity.id: entity.label for entity in document.entities}
    lines: dict[str, str] = {}
    seen: Counter[tuple[str, str]] = Counter()
    for relation in roles:
        event = relation.id.partition(".")[0]
        seen[event, relation.label] += 1
        number = seen[event, relation.label]
        lines.setdefault(event, f"{event}\t{label_of[relation.head]}:{relation.head}")
        lines[event] += f" {relation.label}{number if number > 1 else ''}:{relation.tail}"
    return list(lines.values())
