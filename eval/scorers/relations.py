"""Relation F1 over positive classes.

Documents (BRAT): a relation counts when label, head and tail are right; gold relations that no candidate reached are
missed. Marked sentences: one label each; labels that mean "none" are negatives, and where a set has none of those every
label counts and micro F1 is accuracy (ChemProt as distributed).
"""

from collections.abc import Sequence

import numpy as np

from eval.examples import Document
from eval.scorers.counts import evaluate, micro_metrics, per_class
from eval.scorers.scores import Scores

NEGATIVES = frozenset({"none", "false", "no", "no_relation", "no relation", "other", "negative", "0"})


def score_document_relations(
    gold: Sequence[Document], predicted: Sequence[Document], *, resamples: int, seed: int
) -> Scores:
    labels = sorted({relation.label for document in (*gold, *predicted) for relation in document.relations})
    counts = np.zeros((len(gold), len(labels), 3), dtype=np.int64)
    for row, pair in enumerate(zip(gold, predicted, strict=True)):
        wanted, found = ({(r.label, r.head, r.tail) for r in document.relations} for document in pair)
        for column, label in enumerate(labels):
            ours, theirs = ({item for item in side if item[0] == label} for side in (found, wanted))
            counts[row, column] = (len(ours & theirs), len(ours), len(theirs))
    return _scores(counts, labels, resamples, seed)


def score_labelled_relations(
    gold: Sequence[str], predicted: Sequence[str], groups: Sequence[str], *, resamples: int, seed: int
) -> Scores:
    """`groups` names what is resampled together: the document of each sentence."""
    labels = sorted({label for label in (*gold, *predicted) if label.lower() not in NEGATIVES})
    column = {label: index for index, label in enumerate(labels)}
    row = {group: index for index, group in enumerate(dict.fromkeys(groups))}
    counts = np.zeros((len(row), len(labels), 3), dtype=np.int64)
    for wanted, found, group in zip(gold, predicted, groups, strict=True):
        if found in column:
            counts[row[group], column[found]] += (int(found == wanted), 1, 0)
        if wanted in column:
            counts[row[group], column[wanted], 2] += 1
    return _scores(counts, labels, resamples, seed)


def _scores(counts: np.ndarray, labels: list[str], resamples: int, seed: int) -> Scores:
    metrics, intervals = evaluate(counts, micro_metrics(counts), resamples=resamples, seed=seed)
    return Scores(metrics, "micro_f1", len(counts), per_class(counts, labels), intervals)
