"""Relation F1 over positive classes.

Documents (BRAT): a relation counts when label, head and tail are right; gold relations that no candidate reached are
missed. Marked sentences: one label each; labels that mean "none" are negatives, and where a set has none of those every
label counts and micro F1 is accuracy (ChemProt as distributed).
"""

from collections.abc import Sequence

import numpy as np

from eval.clusters import cluster_of
from eval.examples import Document
from eval.scorers.bootstrap import by_source
from eval.scorers.counts import evaluate, micro_metrics, per_class
from eval.scorers.scores import Scores

NEGATIVES = frozenset({"none", "false", "no", "no relation", "norelation", "other", "negative", "na", "n/a", "0"})
"""Compared by `is_negative`."""


def is_negative(label: str) -> bool:
    """Whether a label says that there is no relation, whatever its case, with `_` or `-` for a space."""
    return label.strip().casefold().replace("_", " ").replace("-", " ") in NEGATIVES


def score_document_relations(
    gold: Sequence[Document], predicted: Sequence[Document], *, resamples: int, seed: int
) -> Scores:
    """Predictions may number their mentions otherwise: same label and place is the same mention."""
    sides = [relation_sets(g, p) for g, p in zip(gold, predicted, strict=True)]
    labels = sorted({relation[0] for pair in sides for side in pair for relation in side})
    counts = np.zeros((len(gold), len(labels), 3), dtype=np.int64)
    for row, (wanted, found) in enumerate(sides):
        for column, label in enumerate(labels):
            ours, theirs = ({item for item in side if item[0] == label} for side in (found, wanted))
            counts[row, column] = (len(ours & theirs), len(ours), len(theirs))
    counts = by_source(counts, [cluster_of(document) for document in gold])
    return _scores(counts, labels, len(gold), resamples, seed)


def relation_sets(gold: Document, predicted: Document) -> tuple[set[tuple[str, str, str]], set[tuple[str, str, str]]]:
    """Gold's and the predicted relations as (label, head, tail), mentions under gold's ids."""
    return _gold_relations(gold), _predicted_relations(gold, predicted)


def _gold_relations(document: Document) -> set[tuple[str, str, str]]:
    return {(r.label, r.head, r.tail) for r in document.relations if not is_negative(r.label)}


def _predicted_relations(gold: Document, predicted: Document) -> set[tuple[str, str, str]]:
    """The predicted relations with their mentions under gold's ids."""
    gold_by_id = {entity.id: entity for entity in gold.entities}
    gold_by_place = {(entity.label, entity.spans): entity.id for entity in reversed(gold.entities)}
    names: dict[str, str] = {}
    for entity in predicted.entities:
        same = gold_by_id.get(entity.id)
        if same is not None and (same.label, same.spans) == (entity.label, entity.spans):
            names[entity.id] = entity.id
        else:
            # No format has a line break in an id, so such a name matches nothing in gold.
            names[entity.id] = gold_by_place.get((entity.label, entity.spans), f"\n{entity.id}")
    relations = (r for r in predicted.relations if not is_negative(r.label))
    return {(r.label, names.get(r.head, r.head), names.get(r.tail, r.tail)) for r in relations}


def score_labelled_relations(
    gold: Sequence[str], predicted: Sequence[str], groups: Sequence[str], *, resamples: int, seed: int
) -> Scores:
    """`groups` names what is resampled together: the document of each sentence."""
    labels = sorted({label for label in (*gold, *predicted) if not is_negative(label)})
    column = {label: index for index, label in enumerate(labels)}
    row = {group: index for index, group in enumerate(dict.fromkeys(groups))}
    counts = np.zeros((len(row), len(labels), 3), dtype=np.int64)
    for wanted, found, group in zip(gold, predicted, groups, strict=True):
        if found in column:
            counts[row[group], column[found]] += (int(found == wanted), 1, 0)
        if wanted in column:
            counts[row[group], column[wanted], 2] += 1
    return _scores(counts, labels, len(gold), resamples, seed)


def _scores(counts: np.ndarray, labels: list[str], n: int, resamples: int, seed: int) -> Scores:
    metrics, draws = evaluate(counts, micro_metrics(), resamples=resamples, seed=seed)
    return Scores(metrics, "micro_f1", n, per_class(counts, labels), draws)
