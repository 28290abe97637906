"""Accuracy, F1 and area under the ROC curve of one label a text."""

from collections.abc import Sequence

import numpy as np

from eval.scorers.auroc import score_auroc
from eval.scorers.bootstrap import ratio
from eval.scorers.counts import GOLD, TRUE_POSITIVE, evaluate, micro_metrics, per_class
from eval.scorers.probabilities import Probabilities
from eval.scorers.scores import Scores


def score_labels(
    gold: Sequence[str],
    predicted: Sequence[str],
    groups: Sequence[str],
    probabilities: Probabilities | None = None,
    *,
    primary: str,
    resamples: int,
    seed: int,
) -> Scores:
    """Accuracy, macro and micro F1 over the classes that occur, and rows by class; `groups` are resampled together.

    With `probabilities`, `auroc` is the mean over gold's classes of the area of each against the rest.
    """
    labels = sorted({*gold, *predicted})
    column = {label: index for index, label in enumerate(labels)}
    row = {group: index for index, group in enumerate(dict.fromkeys(groups))}
    counts = np.zeros((len(row), len(labels), 3), dtype=np.int64)
    for wanted, found, group in zip(gold, predicted, groups, strict=True):
        counts[row[group], column[found], :2] += (int(found == wanted), 1)
        counts[row[group], column[wanted], 2] += 1
    functions = {name: micro_metrics()[name] for name in ("macro_f1", "micro_f1")}
    # Each text has one gold label, so the gold counts add up to the texts.
    functions["accuracy"] = lambda c: ratio(1.0 * c[..., TRUE_POSITIVE].sum(axis=-1), c[..., GOLD].sum(axis=-1))
    metrics, draws = evaluate(counts, functions, resamples=resamples, seed=seed)
    rows = per_class(counts, labels)
    if probabilities is not None:
        values = probabilities.of(labels)
        area, areas, area_draws = score_auroc(gold, values, labels, groups, resamples=resamples, seed=seed)
        metrics["auroc"] = area
        rows = {label: row | ({"auroc": areas[label]} if label in areas else {}) for label, row in rows.items()}
        if resamples:
            draws["auroc"] = area_draws
    return Scores(metrics, primary, len(gold), rows, draws)
