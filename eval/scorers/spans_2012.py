"""Span and type scores of i2b2 2012's events and times, as its script counts them (Sun et al., JAMIA 2013).

EVENT and TIMEX3 are scored apart. A mention is matched by the first one of the other side, in document order, whose
characters overlap with its own; precision asks this of the system's mentions, recall of gold's. `exact_span_` counts a
match where both have the same words, single punctuation marks apart. `type_accuracy` is the share of gold's matched
mentions whose match has the same type; events have `polarity_accuracy` and `modality_accuracy` too where predictions
say them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from eval.clusters import cluster_of
from eval.examples import Document, Entity
from eval.scorers.bootstrap import by_source, ratio, resample

_PUNCTUATION = frozenset(",.?!\"'<>;:/\\~_-+=()[]{}|@#$%^&*`")
_ATTRIBUTES = ("polarity", "modality")
GOLD, SYSTEM, GOLD_FOUND, SYSTEM_FOUND, GOLD_EXACT, SYSTEM_EXACT, SAME_TYPE, FIRST_ATTRIBUTE = range(8)


def released_kinds(
    gold: Sequence[Document], predicted: Sequence[Document]
) -> dict[str, tuple[list[Document], list[Document]]]:
    """Both sides by the tag that the release has mentions under (EVENT, TIMEX3); empty for other releases.

    A predicted mention without a tag has the one of gold's mentions with its label.
    """
    tags = {entity.label: _attribute(entity, "tag") for document in gold for entity in document.entities}
    kinds = sorted({tag for tag in tags.values() if tag})

    def only(documents: Sequence[Document], kind: str) -> list[Document]:
        return [
            replace(
                document,
                entities=tuple(
                    entity
                    for entity in document.entities
                    if (_attribute(entity, "tag") or tags.get(entity.label, "EVENT")) == kind
                ),
            )
            for document in documents
        ]

    return {kind: (only(gold, kind), only(predicted, kind)) for kind in kinds}


def score_spans(
    gold: Sequence[Document], predicted: Sequence[Document], *, resamples: int, seed: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Metrics of one kind of mention, micro over the documents, and their values over the draws."""
    counts = np.array([_count(*sides) for sides in zip(gold, predicted, strict=True)], dtype=np.float64)
    sums = by_source(counts, [cluster_of(document) for document in gold])
    functions = _span_functions("span", GOLD_FOUND, SYSTEM_FOUND) | _span_functions(
        "exact_span", GOLD_EXACT, SYSTEM_EXACT
    )
    # Where labels are the tags themselves, nothing is said of types.
    if any(entity.label != _attribute(entity, "tag") for document in gold for entity in document.entities):
        functions["type_accuracy"] = partial(_accuracy, SAME_TYPE)
    for column, name in enumerate(_ATTRIBUTES, start=FIRST_ATTRIBUTE):
        if any(_attribute(entity, name) for document in predicted for entity in document.entities):
            functions[f"{name}_accuracy"] = partial(_accuracy, column)
    metrics = {name: float(function(sums.sum(axis=0))) for name, function in functions.items()}
    draws = {
        name: resample(sums, function, resamples=resamples, seed=seed)
        for name, function in functions.items()
        if resamples
    }
    return metrics, draws


def overlaps(first: Entity, second: Entity) -> bool:
    """The script's test: where the second starts earlier, it must hold more than one character of the first."""
    if first.start <= second.start:
        return first.end > second.start
    return second.end > first.start + 1


def _count(gold: Document, predicted: Document) -> list[int]:
    found = [(mention, _match(mention, predicted)) for mention in gold.entities]
    matched = [(mention, match) for mention, match in found if match is not None]
    back = [(mention, _match(mention, gold)) for mention in predicted.entities]
    matched_back = [(mention, match) for mention, match in back if match is not None]
    return [
        len(gold.entities),
        len(predicted.entities),
        len(matched),
        len(matched_back),
        sum(_words(gold, mention) == _words(predicted, match) for mention, match in matched),
        sum(_words(predicted, mention) == _words(gold, match) for mention, match in matched_back),
        sum(mention.label == match.label for mention, match in matched),
        *(
            sum(_attribute(mention, name).upper() == _attribute(match, name).upper() for mention, match in matched)
            for name in _ATTRIBUTES
        ),
    ]


def _match(mention: Entity, other: Document) -> Entity | None:
    return next((candidate for candidate in other.entities if overlaps(mention, candidate)), None)


def _words(document: Document, mention: Entity) -> list[str]:
    return [word for word in document.text[mention.start : mention.end].split() if word not in _PUNCTUATION]


def _attribute(entity: Entity, name: str) -> str:
    return dict(entity.attributes).get(name, "")


def _accuracy(column: int, sums: np.ndarray) -> np.ndarray:
    return ratio(sums[..., column], sums[..., GOLD_FOUND])


def _span_functions(prefix: str, gold_column: int, system_column: int) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    def precision(sums: np.ndarray) -> np.ndarray:
        return ratio(sums[..., system_column], sums[..., SYSTEM])

    def recall(sums: np.ndarray) -> np.ndarray:
        return ratio(sums[..., gold_column], sums[..., GOLD])

    def f1(sums: np.ndarray) -> np.ndarray:
        return ratio(2 * precision(sums) * recall(sums), precision(sums) + recall(sums))

    return {f"{prefix}_precision": precision, f"{prefix}_recall": recall, f"{prefix}_f1": f1}
