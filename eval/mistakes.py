"""Test examples that a model got wrong, in their text: for `--examples`, and nothing else. They hold text of notes.

Which ones are shown is drawn with a fixed seed among all mistakes; of graded pairs, the furthest off.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from eval.confusion import align, relation_pairs
from eval.examples import Document, Example, LabelledText, Question, RelationCandidate, SentencePair, Span, Task
from eval.scorers.answers import token_f1

CONTEXT = 160
"""Characters shown on each side of what a mistake is about, and of texts without such a place twice as many."""


@dataclass(frozen=True)
class Mistake:
    parts: tuple[tuple[str, bool], ...]
    """The text in pieces, each with whether it is marked."""
    gold: str
    predicted: str


def find_mistakes(task: Task, gold: Sequence[Example], predictions: Any, most: int) -> list[Mistake]:
    """At most `most` of the mistakes in one seed's predictions, which are in the order of gold."""
    if task == "sts":
        pairs = cast(Sequence[SentencePair], gold)
        return _furthest(pairs, predictions)[:most]
    found = list(_mistakes(task, gold, predictions))
    return found if len(found) <= most else random.Random(0).sample(found, most)


def _mistakes(task: Task, gold: Sequence[Example], predictions: Any) -> Iterable[Mistake]:
    if task == "mqa":
        yield from _wrong_answers(cast(Sequence[Question], gold), predictions)
    elif task in ("ner", "re") and isinstance(gold[0], Document):
        of_document = _wrong_mentions if task == "ner" else _wrong_relations
        for document, found in zip(cast(Sequence[Document], gold), predictions, strict=True):
            yield from of_document(document, found)
    else:
        for example, found in zip(gold, predictions, strict=True):
            wanted = cast(SentencePair | LabelledText | RelationCandidate, example).label
            if wanted != found:
                yield Mistake(_parts_of(example), str(wanted), found)


def _parts_of(example: Example) -> tuple[tuple[str, bool], ...]:
    match example:
        case SentencePair():
            return ((_clip(example.first), False), (" / ", True), (_clip(example.second), False))
        case RelationCandidate():
            return excerpt(example.text, [example.head, example.tail])
        case LabelledText():
            return ((_clip(example.text), False),)
    raise TypeError(type(example))


def _furthest(pairs: Sequence[SentencePair], predictions: Sequence[float]) -> list[Mistake]:
    scored = sorted(zip(pairs, predictions, strict=True), key=lambda pair: -abs(cast(float, pair[0].score) - pair[1]))
    return [Mistake(_parts_of(pair), f"{pair.score:g}", f"{found:.2f}") for pair, found in scored]


def _wrong_answers(questions: Sequence[Question], predictions: Mapping[str, str]) -> Iterable[Mistake]:
    for question in questions:
        given, answers = predictions[question.id], [answer.text for answer in question.answers]
        if max(token_f1(given, answer) for answer in answers or [""]) < 1:
            wanted = " | ".join(dict.fromkeys(map(_clip, answers))) or "no answer"
            yield Mistake(((_clip(question.question), False),), wanted, _clip(given) or "no answer")


def _wrong_mentions(gold: Document, predicted: Document) -> Iterable[Mistake]:
    for wanted, found in align(gold.entities, predicted.entities):
        if wanted and found and (wanted.label, wanted.start, wanted.end) == (found.label, found.start, found.end):
            continue
        shown = [(entity.start, entity.end) for entity in (wanted, found) if entity]
        place = min(start for start, _ in shown), max(end for _, end in shown)
        sides = [
            f"{entity.label}: {_clip(gold.text[entity.start : entity.end])}" if entity else "no mention"
            for entity in (wanted, found)
        ]
        yield Mistake(excerpt(gold.text, [place]), *sides)


def _wrong_relations(gold: Document, predicted: Document) -> Iterable[Mistake]:
    places = {entity.id: (entity.start, entity.end) for entity in gold.entities}
    for wanted, found, (head, tail) in relation_pairs(gold, predicted):
        if wanted == found:
            continue
        spans = [places[key] for key in (head, tail) if key in places]
        yield Mistake(excerpt(gold.text, spans), *(label or "no relation" for label in (wanted, found)))


def excerpt(text: str, spans: Sequence[Span]) -> tuple[tuple[str, bool], ...]:
    """The text around `spans`, which are marked; a long stretch between two of them is left out."""
    parts: list[tuple[str, bool]] = []
    end = 0
    for start, stop in sorted(spans):
        between = text[end:start]
        if not parts:
            between = between if len(between) <= CONTEXT else f"…{between[-CONTEXT:]}"
        elif len(between) > 2 * CONTEXT:
            between = f"{between[:CONTEXT]} … {between[-CONTEXT:]}"
        parts += [(between, False), (text[max(start, end) : stop], True)]
        end = max(end, stop)
    rest = text[end:]
    parts.append((rest if len(rest) <= CONTEXT else f"{rest[:CONTEXT]}…", False))
    return tuple((part, is_marked) for part, is_marked in parts if part)


def _clip(text: str) -> str:
    return text if len(text) <= 2 * CONTEXT else f"{text[: 2 * CONTEXT]}…"
