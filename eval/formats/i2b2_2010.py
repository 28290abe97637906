"""i2b2 2010: concepts, assertions and relations beside plain notes of a sentence a line, words apart by spaces.

    .con    c="chest pain" 12:3 12:4||t="problem"
    .ast    c="chest pain" 12:3 12:4||t="problem"||a="absent"
    .rel    c="aspirin" 12:7 12:7||r="TrAP"||c="chest pain" 12:3 12:4

Places are line:word, lines from 1 and words from 0, the last word included. NER reads concepts, RE relations between
them, and CLS assertions: each problem between marks in its line.

    concept_assertion_relation_training_data/{beth,partners}/{txt,concept,ast,rel}
    reference_standard_for_test_data/{concepts,ast,rel} and test_data/*.txt
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipeline.files import make_private_folder, write_text
from eval.examples import Document, Entity, Example, LabelledText, Relation, Span, Task
from eval.formats.base import Reading, count_others, read_text
from eval.formats.mentions import mark_mention, marked_mention
from eval.formats.places import squeeze
from eval.formats.releases import Released, files_below, predicted_file, require_predictions
from launch.errors import NotemillError

_PLACE = r'c="(.*)" (\d+):(\d+) (\d+):(\d+)'
_CONCEPT = re.compile(rf'{_PLACE}\|\|t="([^"]*)"')
_ASSERTION = re.compile(rf'{_PLACE}\|\|t="([^"]*)"\|\|a="([^"]*)"')
_RELATION = re.compile(rf'{_PLACE}\|\|r="([^"]*)"\|\|{_PLACE}')
_WORD = re.compile(r"[^ \t\r\n\f\v]+")
_FOLDERS = {".con": ("concept", "concepts"), ".ast": ("ast",), ".rel": ("rel",)}
"""Where the release and predictions keep files of each kind."""
_TEXT_FOLDERS = ("txt", "test_data", "text")
_TYPES_OF = {"Tr": ("treatment", "problem"), "Te": ("test", "problem"), "PI": ("problem", "problem")}
"""Types that a relation joins, in either order, by the first letters of its name."""


@dataclass(frozen=True)
class _Note:
    id: str
    text: str
    lines: tuple[tuple[Span, ...], ...]
    """The words of each line."""

    @property
    def starts(self) -> tuple[int, ...]:
        return tuple(match.start() for match in re.finditer(r"^", self.text, re.MULTILINE)) or (0,)


class Concepts2010(Released):
    name = "i2b2_2010"
    tasks: tuple[Task, ...] = ("ner", "re", "cls")
    patterns = ("*.con",)

    def files_by_split(self, path: Path, reading: Reading) -> dict[str, list[Path]]:
        """As of any release; notes, assertions and relations without concepts are counted."""
        found = super().files_by_split(path, reading)
        annotated = {file.stem for file in files_below(path, self.patterns)} if path.is_dir() else set()
        for suffix, what in ((".txt", "texts"), (".ast", "assertion files"), (".rel", "relation files")):
            bare = [file for file in files_below(path, [f"*{suffix}"]) if file.stem not in annotated]
            reading.notes[f"{what} without concepts left"] += len(bare) if path.is_dir() else 0
        return found

    def read(self, path: Path, reading: Reading) -> tuple[Example, ...]:
        note = _note(path.stem, read_text(_text_of(path)))
        if reading.task == "cls":
            return _assertions(note, _beside(path, ".ast"), reading)
        entities = _concepts(note, path, reading)
        relations = _relations(note, entities, _beside(path, ".rel"), reading) if reading.task == "re" else ()
        return (_document(note, entities, relations),)

    def write(self, folder: Path, examples: Sequence[Example], predictions: Any) -> Path:
        out = make_private_folder(folder / "predictions")
        if examples and isinstance(examples[0], LabelledText):
            _write_assertions(out, examples, predictions)
            return out
        with_relations = any(document.relations for document in predictions)
        for document in predictions:
            note = _note(document.id, document.text)
            _write(out / "concept" / f"{document.id}.con", [_concept_line(note, e) for e in document.entities])
            if with_relations:
                _write(out / "rel" / f"{document.id}.rel", _relation_lines(note, document))
        return out

    def read_predictions(self, path: Path, examples: Sequence[Example], reading: Reading) -> Any:
        """Files by document, in folders as the release has them or side by side; relations are those of gold concepts.

        A document without relations need not have a .rel.
        """
        if reading.task == "cls":
            return _read_assertions(path, examples, reading)
        documents = [example for example in examples if isinstance(example, Document)]
        suffix = ".con" if reading.task == "ner" else ".rel"
        files = [predicted_file(path, d, suffix, _FOLDERS[suffix]) for d in documents]
        if reading.task == "ner" or not any(file.is_file() for file in files):
            known = files
            if reading.task == "re":
                known = [predicted_file(path, d, ".con", _FOLDERS[".con"]) for d in documents]
            require_predictions(path, documents, known)
        count_others(path, suffix, documents, reading)
        predicted = []
        for document, file in zip(documents, files, strict=True):
            note = _note(document.id, document.text)
            if reading.task == "ner":
                predicted.append(_document(note, _concepts(note, file, reading), ()))
            else:
                relations = _relations(note, document.entities, file, reading, predicted=True)
                predicted.append(_document(note, document.entities, relations))
        return predicted


def _note(key: str, text: str) -> _Note:
    lines = []
    position = 0
    for line in text.split("\n"):
        words = (match.span() for match in _WORD.finditer(line))
        lines.append(tuple((position + start, position + end) for start, end in words))
        position += len(line) + 1
    return _Note(key, text, tuple(lines))


def _document(note: _Note, entities: Sequence[Entity], relations: Sequence[Relation]) -> Document:
    words = tuple(word for line in note.lines for word in line)
    return Document(note.id, note.text, tuple(entities), tuple(relations), words, sentences=note.starts)


def _text_of(concepts: Path) -> Path:
    name = f"{concepts.stem}.txt"
    places = [concepts.parent / name]
    places += [folder / sub / name for folder in list(concepts.parents)[1:3] for sub in _TEXT_FOLDERS]
    for place in places:
        if place.is_file():
            return place
    raise NotemillError(
        f"{concepts} has no {name} beside it, in ../txt or in test_data; unpack the notes next to their annotations."
    )


def _beside(concepts: Path, suffix: str) -> Path:
    places = [concepts.parent.parent / folder for folder in _FOLDERS[suffix]] + [concepts.parent]
    files = [place / f"{concepts.stem}{suffix}" for place in places]
    return next((file for file in files if file.is_file()), files[0])


def _rows(path: Path, form: re.Pattern[str], example: str) -> list[tuple[int, re.Match[str]]]:
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        match = form.fullmatch(line.strip())
        if match is None:
            raise NotemillError(f"{path} line {number} is not in the form {example}.")
        rows.append((number, match))
    return rows


def _span(note: _Note, path: Path, number: int, numbers: Sequence[str]) -> Span:
    first_line, first_word, last_line, last_word = map(int, numbers)
    try:
        if not 1 <= first_line <= last_line:
            raise IndexError
        start = note.lines[first_line - 1][first_word][0]
        end = note.lines[last_line - 1][last_word][1]
        if start >= end:
            raise IndexError
    except IndexError:
        raise NotemillError(
            f"{path} line {number} points at {first_line}:{first_word} {last_line}:{last_word}, and the text has no "
            "such words; the annotations belong to another version of it."
        ) from None
    return start, end


def _concepts(note: _Note, path: Path, reading: Reading) -> list[Entity]:
    entities: dict[tuple[Span, str], Entity] = {}
    for number, match in _rows(path, _CONCEPT, 'c="…" line:word line:word||t="…"'):
        span = _span(note, path, number, match.groups()[1:5])
        if squeeze(note.text[slice(*span)]).lower() != squeeze(match[1]).lower():
            reading.notes["concepts kept whose text differs from their place"] += 1
        if (span, match[6]) in entities:
            reading.notes["concepts given twice, left once"] += 1
            continue
        entities[span, match[6]] = Entity(f"T{len(entities) + 1}", match[6], (span,))
    return list(entities.values())


def _relations(
    note: _Note, entities: Sequence[Entity], path: Path, reading: Reading, predicted: bool = False
) -> list[Relation]:
    """Relations of `entities`; a predicted one of something else stays, to be scored as wrong."""
    if not path.is_file():
        return []
    by_span: dict[Span, list[Entity]] = {}
    for entity in entities:
        by_span.setdefault((entity.start, entity.end), []).append(entity)
    relations: dict[tuple[str, str, str], Relation] = {}
    for number, match in _rows(path, _RELATION, 'c="…" line:word line:word||r="…"||c="…" line:word line:word'):
        label = match[6]
        types = _TYPES_OF.get(label[:2], ())
        places = [_span(note, path, number, match.groups()[first : first + 4]) for first in (1, 7)]
        head, tail = (_concept_at(by_span, place, types) for place in places)
        if head is None or tail is None:
            reading.notes[f"relations without both concepts {'counted as wrong' if predicted else 'left'}"] += 1
            if not predicted:
                continue
            head, tail = head or f"no concept at {places[0]}", tail or f"no concept at {places[1]}"
        key = label, head, tail
        if key in relations:
            reading.notes["relations given twice, left once"] += 1
            continue
        relations[key] = Relation(f"R{len(relations) + 1}", *key)
    return list(relations.values())


def _concept_at(by_span: dict[Span, list[Entity]], span: Span, types: Sequence[str]) -> str | None:
    """The concept there; where several stand, one of a type that the relation joins."""
    standing = by_span.get(span, [])
    fitting = [entity for entity in standing if entity.label in types] or standing
    return fitting[0].id if fitting else None


def _assertions(note: _Note, path: Path, reading: Reading) -> tuple[LabelledText, ...]:
    if not path.is_file():
        raise NotemillError(f"{path.stem}.con has no {path.name} in {path.parent}; assertions are read from there.")
    found: dict[str, LabelledText] = {}
    for number, match in _rows(path, _ASSERTION, 'c="…" line:word line:word||t="problem"||a="…"'):
        span = _span(note, path, number, match.groups()[1:5])
        key = _key(note.id, match.groups()[1:5])
        if key in found:
            reading.notes["assertions given twice, left once"] += 1
            continue
        marked = mark_mention(note.text, span, (_line_start(note, span), _line_end(note, span)))
        found[key] = LabelledText(key, marked, match[7], note.id)
    return tuple(found.values())


def _read_assertions(path: Path, examples: Sequence[Example], reading: Reading) -> list[str]:
    texts = [example for example in examples if isinstance(example, LabelledText)]
    labels: dict[str, str] = {}
    for key in dict.fromkeys(text.document_id for text in texts):
        file = predicted_file(path, Document(key, ""), ".ast", _FOLDERS[".ast"])
        rows = _rows(file, _ASSERTION, 'c="…" line:word line:word||t="problem"||a="…"') if file.is_file() else []
        labels |= {_key(key, match.groups()[1:5]): match[7] for _, match in rows}
    missing = [text.id for text in texts if text.id not in labels]
    if missing:
        raise NotemillError(
            f"{path} lacks assertions for {len(missing)} of {len(texts)} problems, the first is {missing[0]}."
        )
    reading.notes["mentions that gold does not have left"] += len(labels) - len(texts)
    return [labels[text.id] for text in texts]


def _write_assertions(out: Path, examples: Sequence[Example], predictions: Sequence[str]) -> None:
    lines: dict[str, list[str]] = {}
    for example, label in zip(examples, predictions, strict=True):
        assert isinstance(example, LabelledText), "assertions are labelled texts"
        place = example.id.removeprefix(f"{example.document_id} ")
        surface = squeeze(marked_mention(example.text)).lower()
        lines.setdefault(example.document_id, []).append(f'c="{surface}" {place}||t="problem"||a="{label}"')
    for key, rows in lines.items():
        _write(out / "ast" / f"{key}.ast", rows)


def _write(path: Path, lines: Sequence[str]) -> None:
    make_private_folder(path.parent)
    write_text(path, "".join(f"{line}\n" for line in lines))


def _concept_line(note: _Note, entity: Entity) -> str:
    return f'{_place(note, entity)}||t="{entity.label}"'


def _relation_lines(note: _Note, document: Document) -> list[str]:
    place_of = {entity.id: _place(note, entity) for entity in document.entities}
    return [f'{place_of[r.head]}||r="{r.label}"||{place_of[r.tail]}' for r in document.relations]


def _place(note: _Note, entity: Entity) -> str:
    """`c="…" line:word line:word` of the words that an entity touches."""
    touched = [
        (number, index)
        for number, words in enumerate(note.lines, start=1)
        for index, (start, end) in enumerate(words)
        if start < entity.end and end > entity.start
    ]
    (first_line, first_word), (last_line, last_word) = touched[0], touched[-1]
    surface = squeeze(note.text[entity.start : entity.end]).lower()
    return f'c="{surface}" {first_line}:{first_word} {last_line}:{last_word}'


def _key(document: str, numbers: Sequence[str]) -> str:
    first_line, first_word, last_line, last_word = map(int, numbers)
    return f"{document} {first_line}:{first_word} {last_line}:{last_word}"


def _line_start(note: _Note, span: Span) -> int:
    return note.text.rfind("\n", 0, span[0]) + 1


def _line_end(note: _Note, span: Span) -> int:
    end = note.text.find("\n", span[1])
    return end if end >= 0 else len(note.text)
