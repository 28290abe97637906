"""Precision, recall and F1 out of counts by document and class, shared by entities, relations and classes."""

from collections.abc import Callable, Sequence

import numpy as np

from eval.scorers.bootstrap import ratio, resample

TRUE_POSITIVE, PREDICTED, GOLD = range(3)


def f1(counts: np.ndarray) -> np.ndarray:
    """F1 from [..., (true positives, predicted, gold)]; 0 where nothing is predicted or there is none."""
    return ratio(2.0 * counts[..., TRUE_POSITIVE], counts[..., PREDICTED] + counts[..., GOLD])


def precision(counts: np.ndarray) -> np.ndarray:
    return ratio(1.0 * counts[..., TRUE_POSITIVE], counts[..., PREDICTED])


def recall(counts: np.ndarray) -> np.ndarray:
    return ratio(1.0 * counts[..., TRUE_POSITIVE], counts[..., GOLD])


def per_class(counts: np.ndarray, labels: Sequence[str]) -> dict[str, dict[str, float]]:
    """Rows by class from counts [documents, classes, 3]."""
    totals = counts.sum(axis=0)
    return {
        label: {
            "precision": float(precision(totals[index])),
            "recall": float(recall(totals[index])),
            "f1": float(f1(totals[index])),
            "support": int(totals[index, GOLD]),
            "predicted": int(totals[index, PREDICTED]),
        }
        for index, label in enumerate(labels)
    }


def micro_metrics() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Functions of class counts [..., classes, 3]: micro precision, recall, F1 and macro F1."""
    return {
        "precision": lambda c: precision(c.sum(axis=-2)),
        "recall": lambda c: recall(c.sum(axis=-2)),
        "micro_f1": lambda c: f1(c.sum(axis=-2)),
        # Classes that occur in neither gold nor predictions of a resample say nothing about it.
        "macro_f1": lambda c: ratio(f1(c).sum(axis=-1), ((c[..., PREDICTED] + c[..., GOLD]) > 0).sum(axis=-1)),
    }


def evaluate(
    counts: np.ndarray,
    functions: dict[str, Callable[[np.ndarray], np.ndarray]],
    *,
    resamples: int,
    seed: int,
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Metrics of `functions` over counts [documents, classes, 3], and their values over the draws."""
    metrics = {name: float(function(counts.sum(axis=0))) for name, function in functions.items()}
    flat = counts.reshape(len(counts), -1)
    draws = {
        name: resample(flat, _on_sums(function, counts.shape[1:]), resamples=resamples, seed=seed)
        for name, function in functions.items()
        if resamples and len(counts)
    }
    return metrics, draws


def _on_sums(
    function: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...]
) -> Callable[[np.ndarray], np.ndarray]:
    """`function` of counts, on sums that the bootstrap keeps flat."""
    return lambda sums: function(sums.reshape(len(sums), *shape))
