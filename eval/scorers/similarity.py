"""Pearson and Spearman correlation of predicted with gold scores."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from eval.scorers.bootstrap import bootstrap, ratio
from eval.scorers.scores import Scores


def score_similarity(gold: Sequence[float], predicted: Sequence[float], *, resamples: int, seed: int) -> Scores:
    """Correlations; 0 where one side is constant. Spearman's interval keeps the ranks of the whole sample."""
    x, y = np.asarray(gold, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    moments = {"pearson": _moments(x, y), "spearman": _moments(rankdata(x), rankdata(y))}
    metrics = {name: float(_correlation(sums.sum(axis=0)[None])[0]) for name, sums in moments.items()}
    intervals = {
        name: bootstrap(sums, _correlation, resamples=resamples, seed=seed)
        for name, sums in moments.items()
        if resamples
    }
    return Scores(metrics, "pearson", len(gold), {}, intervals)


def _moments(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What each pair adds to the sums that a correlation is made of; centred first, for precision."""
    x, y = x - x.mean(), y - y.mean()
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)


def _correlation(sums: np.ndarray) -> np.ndarray:
    n, x, y, xx, yy, xy = sums.T
    variance_x, variance_y = n * xx - x * x, n * yy - y * y
    # Rounding leaves a constant side with a variance that is not quite zero.
    is_constant = (variance_x <= 1e-12 * n * xx) | (variance_y <= 1e-12 * n * yy)
    spread = np.where(is_constant, 0.0, np.sqrt(np.maximum(variance_x * variance_y, 0.0)))
    return np.clip(ratio(n * xy - x * y, spread), -1.0, 1.0)
