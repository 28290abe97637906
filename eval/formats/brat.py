"""BRAT standoff: a .txt and an .ann a document (MACCROBAT, n2c2 2018 track 2).

Entities `T`, discontinuous ones with `;` between spans; relations `R`; events `E`, which stand for their trigger
wherever another annotation names them. Each argument of an event is a relation from its trigger, labelled with the role
without its number (Theme2 is Theme). Equivalence lines `*`, attributes `A`/`M`, notes `#` and normalisations `N` are
counted and left.
Offsets count characters of the .txt as it is, carriage returns included; where it is plain that they leave those out,
as when line ends were changed afterwards, mentions are moved. An id names one annotation.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_pipeline.files import make_private_folder, write_text
from eval.examples import Document, Entity, Example, Relation, Task
from eval.formats.base import Format, Reading, count_others, find_splits, read_text
from eval.formats.releases import files_below
from launch.errors import NotemillError

_ENTITY = re.compile(r"(\S+) ([0-9]{1,12} [0-9]{1,12}(?:;[0-9]{1,12} [0-9]{1,12})*)(?![0-9])")
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

    def read_splits(self, path: Path, reading: Reading) -> dict[str, tuple[Example, ...]]:
        found = find_splits(path, self.suffixes)
        if path.is_dir():
            others = [file for file in files_below(path, ["*.ann"]) if file.parent not in found.values()]
            reading.notes["annotation files outside of the splits' folders left"] += len(others)
        return {split: self.read(each, reading) for split, each in found.items()}

    def read(self, path: Path, reading: Reading) -> tuple[Document, ...]:
        texts = sorted(path.glob("*.txt")) if path.is_dir() else [path.with_suffix(".txt")]
        bare = sorted(path.glob("*.ann")) if path.is_dir() else []
        if lonely := [file for file in bare if not file.with_suffix(".txt").is_file()]:
            raise NotemillError(f"{lonely[0]} has no {lonely[0].stem}.txt beside it.")
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
        count_others(path, ".ann", documents, reading)
        return [_read_document(d.id, d.text, path / f"{d.id}.ann", reading) for d in documents]


def read_brat_document(text: Path, annotations: Path, reading: Reading) -> Document:
    """One document of a .txt and an .ann, under the name of the .txt."""
    return _read_document(text.stem, read_text(text), annotations, reading)


def _read_document(key: str, text: str, annotations: Path, reading: Reading) -> Document:
    quoted: dict[str, tuple[Entity, str]] = {}
    triggers: dict[str, str] = {}
    arguments_of: dict[str, list[str]] = {}
    relation_lines: list[tuple[str, str]] = []
    lines: dict[str, str] = {}
    # Not splitlines: a mention may hold U+2028 and other characters that it takes for line ends.
    for number, line in enumerate(read_text(annotations).split("\n"), start=1):
        mark, _, body = line.rstrip("\r").partition("\t")
        if not mark.strip():
            continue
        if mark[0] in "TE" and lines.setdefault(mark, body) != body:
            raise NotemillError(f"{annotations} line {number}: {mark} is there already, and is another annotation.")
        if mark.startswith("T"):
            entity, surface = _entity(mark, body)
            if entity is None:
                reading.notes["broken entity lines left"] += 1
            elif mark in quoted:
                reading.notes["entities given twice, left once"] += 1
            else:
                quoted[mark] = entity, surface
        elif mark.startswith("E"):
            trigger, *arguments = body.split() or [""]
            triggers[mark] = trigger.rpartition(":")[2]
            arguments_of[mark] = arguments
        elif mark.startswith("R"):
            relation_lines.append((mark, body))
        else:
            reading.notes[_LEFT.get(mark[0], "unknown lines left")] += 1
    entities = {entity.id: entity for entity in _placed(text, list(quoted.values()), reading)}
    reading.notes["events without their trigger left"] += sum(trigger not in entities for trigger in triggers.values())
    relations = [_relation(mark, body, entities, triggers) for mark, body in relation_lines]
    reading.notes["relations without both mentions left"] += relations.count(None)
    reading.notes["relations' arguments after the second left"] += sum(len(b.split()) > 3 for _, b in relation_lines)
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


def _entity(mark: str, body: str) -> tuple[Entity | None, str]:
    """The mention of a line, whose offsets may be no places of the text, and the text that the line quotes."""
    match = _ENTITY.match(body)
    if not match:
        return None, ""
    spans = [tuple(int(number) for number in part.split()) for part in match[2].split(";")]
    if any(not 0 <= start < end for start, end in spans):
        return None, ""
    return Entity(mark, match[1], tuple(sorted((start, end) for start, end in spans))), body.partition("\t")[2]


def _placed(text: str, quoted: Sequence[tuple[Entity, str]], reading: Reading) -> list[Entity]:
    """The mentions that lie within the text, where their offsets have them.

    Where offsets do not count the carriage returns that the text has, which shows in that all mentions then stand on
    their quoted text, they are moved.
    """
    wrong = sum(not _fits(text, entity, surface) for entity, surface in quoted)
    if wrong and "\r\n" in text:
        places = [place for place, _ in enumerate(text) if not text.startswith("\r\n", place)]
        moved = [(_moved(entity, places), surface) for entity, surface in quoted]
        if all(_fits(text, entity, surface) for entity, surface in moved):
            reading.notes["texts whose carriage returns no offset counts, mentions moved"] += 1
            return [entity for entity, _ in moved]
    inside = [(entity, surface) for entity, surface in quoted if entity.end <= len(text)]
    reading.notes["broken entity lines left"] += len(quoted) - len(inside)
    differing = sum(not _fits(text, entity, surface) for entity, surface in inside)
    reading.notes["mentions kept whose text differs from their place"] += differing
    return [entity for entity, _ in inside]


def _fits(text: str, entity: Entity, surface: str) -> bool:
    """Whether a mention lies in the text and on what its line quotes, white space apart; a line need not quote."""
    if max(end for _, end in entity.spans) > len(text):
        return False
    found = "".join(text[start:end] for start, end in entity.spans)
    return not surface.strip() or "".join(found.split()) == "".join(surface.split())


def _moved(entity: Entity, places: Sequence[int]) -> Entity:
    """The mention where `places` tells the offset of each character that was counted."""
    spans = [(places[start], places[end - 1] + 1) for start, end in entity.spans if end <= len(places)]
    return replace(entity, spans=tuple(spans)) if len(spans) == len(entity.spans) else entity


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
