"""Pearson and Spearman correlation of predicted with gold scores."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from eval.scorers.bootstrap import ratio, resample, weight_blocks
from eval.scorers.scores import Scores


def score_similarity(gold: Sequence[float], predicted: Sequence[float], *, resamples: int, seed: int) -> Scores:
    """Correlations; 0 where one side is constant. Every resample is ranked anew for Spearman's interval."""
    x, y = np.asarray(gold, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    moments = {"pearson": _moments(x, y), "spearman": _moments(rankdata(x), rankdata(y))}
    metrics = {name: float(_correlation(sums.sum(axis=0)[None])[0]) for name, sums in moments.items()}
    draws = {}
    if resamples:
        draws["pearson"] = resample(moments["pearson"], _correlation, resamples=resamples, seed=seed)
        draws["spearman"] = _resample_spearman(x, y, resamples, seed)
    return Scores(metrics, "pearson", len(gold), {}, draws)


def _resample_spearman(x: np.ndarray, y: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    rankers = _Ranker(x), _Ranker(y)
    values = []
    for block in weight_blocks(len(x), resamples=resamples, seed=seed):
        for weights in block:
            ranks = [ranker(weights) for ranker in rankers]
            values.append(_correlation((weights @ _moments(*ranks))[None])[0])
    return np.array(values)


class _Ranker:
    """Ranks of `values` when each counts `weights` times, sorting only once.

    Equal values share the mean of the ranks that they span, as `rankdata` has it.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.group = np.unique(values, return_inverse=True)[1]

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        sizes = np.bincount(self.group, weights=weights)
        return (np.cumsum(sizes) - (sizes - 1) / 2)[self.group]


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
