"""Relation candidates: ordered pairs of mentions that could be related, with the sentences around them as context.

A pair is a candidate when its types are related somewhere in training and its mentions are at most so many sentences
apart. Gold relations beyond that cannot be found; they are returned with the reason, to be counted (eval/reach.py), and
score as missed.
"""

import bisect
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from eval.examples import Document, Entity, Relation, RelationCandidate, Span

NO_RELATION = "NONE"
MAX_CONTEXT = 2000
"""Characters of context beyond which sentences are cut around the two mentions."""
MOST_APART = 5
"""Relations further apart than this many sentences are counted together."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\[(0-9])|\n\s*\n|\n(?=\s*(?:\d+[.)]|[-*•])\s)")
_ABBREVIATED = re.compile(r"\b(?:Drs?|Mrs?|Ms|Prof|St|vs|Fig|[A-Z])\.\Z")
"""Full stops that end no sentence: titles, initials."""


@dataclass(frozen=True)
class OutOfReach:
    """A gold relation that no candidate carries, and why in plain words."""

    document_id: str
    relation: Relation
    reason: str


def related_types(documents: Sequence[Document]) -> set[tuple[str, str]]:
    """The (head label, tail label) combinations that some relation of `documents` joins."""
    pairs: set[tuple[str, str]] = set()
    for document in documents:
        label_of = {entity.id: entity.label for entity in document.entities}
        pairs |= {(label_of[r.head], label_of[r.tail]) for r in document.relations if {r.head, r.tail} <= set(label_of)}
    return pairs


def make_candidates(
    documents: Sequence[Document],
    allowed_type_pairs: Collection[tuple[str, str]] | None = None,
    max_sentence_distance: int = 1,
) -> tuple[list[RelationCandidate], list[OutOfReach]]:
    """Candidates of all documents in order, labelled NO_RELATION where there is none, and gold relations out of reach.

    `allowed_type_pairs` holds the (head label, tail label) combinations to pair; without it, those that relations of
    `documents` join. A pair carries one label: its first relation's; relations under another label are out of reach.
    """
    pairs = related_types(documents) if allowed_type_pairs is None else set(allowed_type_pairs)
    candidates: list[RelationCandidate] = []
    for document in documents:
        starts = _starts(document)
        gold = _first_labels(document)
        sentences = {entity.id: _sentences_of(entity, starts) for entity in document.entities}
        for head in document.entities:
            for tail in document.entities:
                if head.id == tail.id or (head.label, tail.label) not in pairs:
                    continue
                first, last = _around(sentences[head.id], sentences[tail.id])
                if last - first <= max_sentence_distance:
                    label = gold.get((head.id, tail.id), NO_RELATION)
                    context = _context(document.text, starts, first, last)
                    candidates.append(_candidate(document, head, tail, label, context))
    return candidates, out_of_reach(documents, pairs, max_sentence_distance)


def out_of_reach(
    documents: Sequence[Document], pairs: Collection[tuple[str, str]], max_sentence_distance: int
) -> list[OutOfReach]:
    """The gold relations that `make_candidates` makes no candidate of, without making any."""
    lost = []
    for document in documents:
        starts = _starts(document)
        gold = _first_labels(document)
        entities = {entity.id: entity for entity in document.entities}
        for relation in document.relations:
            head, tail = entities.get(relation.head), entities.get(relation.tail)
            reason = _why_never(head, tail, starts, pairs, max_sentence_distance)
            if reason is None and gold[relation.head, relation.tail] != relation.label:
                reason = "second label of a pair"
            if reason is not None:
                lost.append(OutOfReach(document.id, relation, reason))
    return lost


def sentence_starts(text: str) -> list[int]:
    """Offsets at which sentences begin, the first being 0."""
    ends = (match for match in _SENTENCE_END.finditer(text) if 0 < match.end() < len(text))
    return [0, *(end.end() for end in ends if not _ABBREVIATED.search(text, max(0, end.start() - 6), end.start()))]


def _starts(document: Document) -> list[int]:
    return list(document.sentences or ()) or sentence_starts(document.text)


def _first_labels(document: Document) -> dict[tuple[str, str], str]:
    """The label that a pair carries: its first relation's."""
    gold: dict[tuple[str, str], str] = {}
    for relation in document.relations:
        gold.setdefault((relation.head, relation.tail), relation.label)
    return gold


def _why_never(
    head: Entity | None,
    tail: Entity | None,
    starts: list[int],
    pairs: Collection[tuple[str, str]],
    max_sentence_distance: int,
) -> str | None:
    """Why a pair is no candidate, in plain words; None where it is one."""
    if head is None or tail is None:
        return "a mention is missing"
    if head.id == tail.id:
        return "of a mention with itself"
    if (head.label, tail.label) not in pairs:
        return "types never related in training"
    first, last = _around(_sentences_of(head, starts), _sentences_of(tail, starts))
    if last - first > max_sentence_distance:
        return f"{min(last - first, MOST_APART)}{'+' * (last - first >= MOST_APART)} sentences apart"
    return None


def _sentences_of(entity: Entity, starts: list[int]) -> tuple[int, int]:
    """The first and last sentence that a mention touches."""
    return bisect.bisect_right(starts, entity.start) - 1, bisect.bisect_right(starts, entity.end - 1) - 1


def _around(head: tuple[int, int], tail: tuple[int, int]) -> tuple[int, int]:
    """The first and last sentence of both mentions."""
    return min(head[0], tail[0]), max(head[1], tail[1])


def _context(text: str, starts: list[int], first: int, last: int) -> Span:
    return starts[first], starts[last + 1] if last + 1 < len(starts) else len(text)


def _candidate(document: Document, head: Entity, tail: Entity, label: str, context: Span) -> RelationCandidate:
    begin, end = context
    first, last = min(head.start, tail.start), max(head.end, tail.end)
    if end - begin > MAX_CONTEXT:
        spare = max(0, MAX_CONTEXT - (last - first)) // 2
        begin, end = max(begin, first - spare), min(end, last + spare)
    return RelationCandidate(
        id=f"{document.id}:{head.id}:{tail.id}",
        text=document.text[begin:end],
        head=(head.start - begin, head.end - begin),
        tail=(tail.start - begin, tail.end - begin),
        label=label,
        document_id=document.id,
        head_id=head.id,
        tail_id=tail.id,
    )
