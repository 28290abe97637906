"""Entity F1: strict (label and every span equal) and lenient (label equal, spans overlap), as n2c2 2018 counts them.

On CoNLL sentences strict micro F1 equals seqeval's. A mention that is annotated twice with one label counts once.
"""

from collections.abc import Sequence

import numpy as np

from eval.examples import Document, Entity
from eval.scorers.bootstrap import ratio
from eval.scorers.counts import evaluate, micro_metrics, per_class
from eval.scorers.scores import Scores


def score_entities(gold: Sequence[Document], predicted: Sequence[Document], *, resamples: int, seed: int) -> Scores:
    """Documents are matched by place; `eval.scorers.score` has checked that they are the same ones."""
    labels = sorted({entity.label for document in (*gold, *predicted) for entity in document.entities})
    index = {label: number for number, label in enumerate(labels)}
    strict = np.zeros((len(gold), len(labels), 3), dtype=np.int64)
    lenient_precision, lenient_recall = np.zeros_like(strict), np.zeros_like(strict)
    for row, (gold_document, predicted_document) in enumerate(zip(gold, predicted, strict=True)):
        wanted, found = _mentions(gold_document), _mentions(predicted_document)
        for label in {label for label, _ in wanted | found}:
            ours = [spans for name, spans in found if name == label]
            theirs = [spans for name, spans in wanted if name == label]
            column = index[label]
            strict[row, column] = (len(set(ours) & set(theirs)), len(ours), len(theirs))
            lenient_precision[row, column] = (sum(_overlaps(o, theirs) for o in ours), len(ours), len(ours))
            lenient_recall[row, column] = (sum(_overlaps(t, ours) for t in theirs), len(theirs), len(theirs))
    metrics, intervals = evaluate(strict, micro_metrics(strict), resamples=resamples, seed=seed)
    named = {"precision": "strict_precision", "recall": "strict_recall", "micro_f1": "strict_f1"}
    metrics = {named.get(name, name): value for name, value in metrics.items()}
    intervals = {named.get(name, name): value for name, value in intervals.items()}
    both = np.stack([lenient_precision, lenient_recall], axis=2)
    lenient, lenient_intervals = evaluate(both, {"lenient_f1": _lenient_f1}, resamples=resamples, seed=seed)
    return Scores(metrics | lenient, "strict_f1", len(gold), per_class(strict, labels), intervals | lenient_intervals)


def _lenient_f1(counts: np.ndarray) -> np.ndarray:
    """From [..., classes, (precision, recall), 3]: the harmonic mean, since either side may overlap several others."""
    totals = counts.sum(axis=-3)
    precision = ratio(1.0 * totals[..., 0, 0], totals[..., 0, 1])
    recall = ratio(1.0 * totals[..., 1, 0], totals[..., 1, 1])
    return ratio(2 * precision * recall, precision + recall)


def _mentions(document: Document) -> set[tuple[str, tuple[tuple[int, int], ...]]]:
    return {(entity.label, _merged(entity)) for entity in document.entities}


def _merged(entity: Entity) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(entity.spans))


def _overlaps(spans: tuple[tuple[int, int], ...], others: Sequence[tuple[tuple[int, int], ...]]) -> bool:
    return any(a < d and c < b for a, b in spans for other in others for c, d in other)
