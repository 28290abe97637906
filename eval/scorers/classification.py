"""Accuracy and F1 of one label a text."""

from collections.abc import Sequence

import numpy as np

from eval.scorers.bootstrap import bootstrap, ratio
from eval.scorers.counts import TRUE_POSITIVE, evaluate, micro_metrics, per_class
from eval.scorers.scores import Scores


def score_labels(gold: Sequence[str], predicted: Sequence[str], *, primary: str, resamples: int, seed: int) -> Scores:
    """Accuracy, macro F1 over the classes that occur, and rows by class; each text is resampled by itself."""
    labels = sorted({*gold, *predicted})
    column = {label: index for index, label in enumerate(labels)}
    counts = np.zeros((len(gold), len(labels), 3), dtype=np.int64)
    for row, (wanted, found) in enumerate(zip(gold, predicted, strict=True)):
        counts[row, column[found], :2] += (int(found == wanted), 1)
        counts[row, column[wanted], 2] += 1
    macro = {"macro_f1": micro_metrics(counts)["macro_f1"]}
    metrics, intervals = evaluate(counts, macro, resamples=resamples, seed=seed)
    correct = counts[:, :, TRUE_POSITIVE].sum(axis=1)
    sums = np.stack([correct, np.ones_like(correct)], axis=1)
    metrics["accuracy"] = float(correct.mean())
    if resamples:
        intervals["accuracy"] = bootstrap(
            sums, lambda totals: ratio(1.0 * totals[:, 0], totals[:, 1]), resamples=resamples, seed=seed
        )
    return Scores(metrics, primary, len(gold), per_class(counts, labels), intervals)
