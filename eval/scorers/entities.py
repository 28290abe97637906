"""Entity F1: strict (same label and place) and lenient (same label, overlapping), as n2c2 2018's track 2 script counts.

A discontinuous mention is the stretch from its first to its last character. Predictions are read in order and a gold
mention is found once: a further prediction that reaches for one already found is left out, neither right nor wrong. On
CoNLL sentences, where no mention stands twice, strict scores equal seqeval's.

Beside micro precision, recall and F1: `macro_` is the mean over labels (seqeval's macro), `document_` the mean over
documents (what that script prints as macro). Documents without a mention on either side are left out of the latter, or
the sentences of a CoNLL file would pull it to 0. Mentions of i2b2 2012 are scored as that script does it as well.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from eval.clusters import cluster_of
from eval.examples import Document, Entity
from eval.scorers.bootstrap import by_source, ratio, resample
from eval.scorers.counts import evaluate, f1, micro_metrics, per_class, precision, recall
from eval.scorers.scores import Scores
from eval.scorers.spans_2012 import released_kinds, score_spans

Matches: TypeAlias = Callable[[Entity, Entity], bool]


def score_entities(gold: Sequence[Document], predicted: Sequence[Document], *, resamples: int, seed: int) -> Scores:
    """Documents are matched by place; `eval.scorers.score` has checked that they are the same ones."""
    labels = sorted({entity.label for document in (*gold, *predicted) for entity in document.entities})
    metrics: dict[str, float] = {}
    draws: dict[str, np.ndarray] = {}
    rows: dict[str, dict[str, float]] = {label: {} for label in labels}
    sources = [cluster_of(document) for document in gold]
    for kind, matches in (("strict", same_place), ("lenient", overlap)):
        counts = _count_all(gold, predicted, labels, matches)
        values, value_draws = evaluate(by_source(counts, sources), micro_metrics(), resamples=resamples, seed=seed)
        document_values, document_draws = _over_documents(counts.sum(axis=1), sources, resamples, seed)
        metrics |= {_name(kind, name): value for name, value in (values | document_values).items()}
        draws |= {_name(kind, name): value for name, value in (value_draws | document_draws).items()}
        prefix = "" if kind == "strict" else "lenient_"
        for label, row in per_class(counts, labels).items():
            wanted = ("precision", "recall", "f1") if prefix else row
            rows[label] |= {f"{prefix}{key}": row[key] for key in wanted}
    for kind, documents in released_kinds(gold, predicted).items():
        values, value_draws = score_spans(*documents, resamples=resamples, seed=seed)
        metrics |= {f"{kind.lower()}_{name}": value for name, value in values.items()}
        draws |= {f"{kind.lower()}_{name}": value for name, value in value_draws.items()}
    return Scores(metrics, "strict_f1", len(gold), rows, draws)


def count_matches(gold: Sequence[Entity], predicted: Sequence[Entity], matches: Matches) -> tuple[int, int, int]:
    """(true positives, predicted, gold) among mentions of one label in one document."""
    found: set[int] = set()
    right = counted = 0
    for mention in predicted:
        reached = [index for index, truth in enumerate(gold) if matches(mention, truth)]
        if found.isdisjoint(reached):
            counted += 1
            right += bool(reached)
        found.update(reached)
    return right, counted, len(gold)


def same_place(a: Entity, b: Entity) -> bool:
    return a.start == b.start and a.end == b.end


def overlap(a: Entity, b: Entity) -> bool:
    return a.start < b.end and b.start < a.end


def _count_all(
    gold: Sequence[Document], predicted: Sequence[Document], labels: Sequence[str], matches: Matches
) -> np.ndarray:
    """[documents, labels, (true positives, predicted, gold)]."""
    counts = np.zeros((len(gold), len(labels), 3), dtype=np.int64)
    column = {label: index for index, label in enumerate(labels)}
    for row, (gold_document, predicted_document) in enumerate(zip(gold, predicted, strict=True)):
        wanted, found = _by_label(gold_document), _by_label(predicted_document)
        for label in wanted.keys() | found.keys():
            counts[row, column[label]] = count_matches(wanted.get(label, []), found.get(label, []), matches)
    return counts


def _by_label(document: Document) -> dict[str, list[Entity]]:
    entities: dict[str, list[Entity]] = {}
    for entity in document.entities:
        entities.setdefault(entity.label, []).append(entity)
    return entities


def _over_documents(
    counts: np.ndarray, sources: Sequence[str], resamples: int, seed: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Means over the documents that hold a mention, from counts [documents, 3]."""
    holds_any = 1.0 * (counts.sum(axis=-1) > 0)
    metrics, draws = {}, {}
    for name, measure in (("precision", precision), ("recall", recall), ("f1", f1)):
        sums = by_source(np.stack([measure(counts), holds_any], axis=1), sources)
        metrics[f"document_{name}"] = float(_mean(sums.sum(axis=0)))
        if resamples:
            draws[f"document_{name}"] = resample(sums, _mean, resamples=resamples, seed=seed)
    return metrics, draws


def _mean(sums: np.ndarray) -> np.ndarray:
    return ratio(sums[..., 0], sums[..., 1])


def _name(kind: str, metric: str) -> str:
    return f"{kind}_{'f1' if metric == 'micro_f1' else metric}"
