"""What was taken for what: gold classes against predicted ones, with a class of its own for "nothing there".

nli, cls   a text's class against the predicted one
re         a pair's relation; NOTHING where gold has none (invented) or the prediction has none (missed)
ner        a mention's type; same place first, then the longest overlap, one to one; NOTHING for the rest of either side
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypedDict, cast

from eval.examples import Document, Entity, Example, LabelledText, RelationCandidate, SentencePair, Task
from eval.scorers.relations import is_negative, relation_sets

NOTHING = ""
Cells = Counter[tuple[str, str]]
"""How often (gold class, predicted class) occurred."""


class Confusion(TypedDict):
    labels: list[str]
    """Classes by name; NOTHING is last where it occurs."""
    rows: list[list[float]]
    """By gold class, in the order of `labels`: how many were predicted to be each, the mean over seeds."""


def count_confusions(task: Task, gold: Sequence[Example], predictions: Any) -> Cells | None:
    """Cells of one seed's predictions, in the order of gold; None for tasks without classes."""
    if task in ("nli", "cls"):
        labels = [cast(SentencePair | LabelledText, example).label or "" for example in gold]
        return Counter(zip(labels, predictions, strict=True))
    if task == "re" and isinstance(gold[0], RelationCandidate):
        wanted = [_positive(cast(RelationCandidate, candidate).label) for candidate in gold]
        return Counter(zip(wanted, map(_positive, predictions), strict=True))
    if task not in ("re", "ner"):
        return None
    cells: Cells = Counter()
    for document, found in zip(cast(Sequence[Document], gold), predictions, strict=True):
        if task == "re":
            cells.update(relation_cells(document, found))
        else:
            cells.update(
                (left.label if left else NOTHING, right.label if right else NOTHING)
                for left, right in align(document.entities, found.entities)
            )
    return cells


def classes_of(seeds: Iterable[Cells]) -> list[str]:
    """Every class that occurs, NOTHING last."""
    found = {label for cells in seeds for pair in cells for label in pair}
    return sorted(found - {NOTHING}) + [NOTHING] * (NOTHING in found)


def mean_confusion(seeds: Sequence[Cells], labels: list[str]) -> Confusion:
    """The mean over seeds; models of one task have the same classes, so that their tables can be compared."""
    rows = [[sum(cells[wanted, found] for cells in seeds) / len(seeds) for found in labels] for wanted in labels]
    return {"labels": labels, "rows": rows}


def fold(confusion: Confusion, most: int) -> Confusion:
    """At most `most` classes: those with the most gold, the others together, and NOTHING."""
    labels, rows = confusion["labels"], confusion["rows"]
    if len(labels) <= most:
        return confusion
    named = [index for index, label in enumerate(labels) if label != NOTHING]
    kept = sorted(sorted(named, key=lambda index: -sum(rows[index]))[: most - 2])
    groups = [[index] for index in kept] + [[index for index in named if index not in kept]]
    names = [labels[index] for index in kept] + [f"{len(groups[-1])} other classes"]
    if labels[-1] == NOTHING:
        groups.append([len(labels) - 1])
        names.append(NOTHING)
    folded = [[sum(rows[i][j] for i in wanted for j in found) for found in groups] for wanted in groups]
    return {"labels": names, "rows": folded}


def align(gold: Sequence[Entity], predicted: Sequence[Entity]) -> list[tuple[Entity | None, Entity | None]]:
    """Every mention of either side once: same place and label, same place, longest overlap, then alone."""
    candidates = []
    for i, wanted in enumerate(gold):
        for j, found in enumerate(predicted):
            shared = min(wanted.end, found.end) - max(wanted.start, found.start)
            if shared > 0:
                is_same = (wanted.start, wanted.end) == (found.start, found.end)
                candidates.append((-is_same, -(wanted.label == found.label) if is_same else 0, -shared, i, j))
    left, right = set(range(len(gold))), set(range(len(predicted)))
    pairs: list[tuple[Entity | None, Entity | None]] = []
    for *_, i, j in sorted(candidates):
        if i in left and j in right:
            pairs.append((gold[i], predicted[j]))
            left.remove(i)
            right.remove(j)
    return pairs + [(gold[i], None) for i in sorted(left)] + [(None, predicted[j]) for j in sorted(right)]


def relation_cells(gold: Document, predicted: Document) -> Iterable[tuple[str, str]]:
    """The labels of each ordered pair of mentions; a pair of several labels gives a cell for each."""
    for wanted, found, _ in relation_pairs(gold, predicted):
        yield wanted, found


def relation_pairs(gold: Document, predicted: Document) -> list[tuple[str, str, tuple[str, str]]]:
    """(gold label, predicted label, (head, tail)) for each pair of mentions that either side relates."""
    sides: tuple[dict[tuple[str, str], list[str]], ...] = ({}, {})
    for side, relations in zip(sides, relation_sets(gold, predicted), strict=True):
        for label, head, tail in sorted(relations):
            side.setdefault((head, tail), []).append(label)
    found = []
    for ends in dict.fromkeys([*sides[0], *sides[1]]):
        wanted, given = (side.get(ends, []) for side in sides)
        both = [label for label in wanted if label in given]
        found += [(label, label, ends) for label in both]
        missed, invented = ([label for label in labels if label not in both] for labels in (wanted, given))
        length = max(len(missed), len(invented))
        padded = (labels + [NOTHING] * (length - len(labels)) for labels in (missed, invented))
        found += [(left, right, ends) for left, right in zip(*padded, strict=True)]
    return found


def _positive(label: str) -> str:
    return NOTHING if is_negative(label) else label
