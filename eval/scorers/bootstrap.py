"""95% percentile intervals by resampling documents.

Every metric here is a function of sums over documents (counts, or moments), so a resample is one product of a weight
matrix with the per-document sums: a thousand resamples of thousands of documents take milliseconds.
"""

from collections.abc import Callable

import numpy as np

LEVEL = 0.95


def bootstrap(
    sums: np.ndarray, metric: Callable[[np.ndarray], np.ndarray], *, resamples: int, seed: int
) -> tuple[float, float]:
    """Interval of `metric`, which maps sums of shape [resamples, K] to values [resamples].

    `sums` has shape [documents, K]: what each document adds.
    """
    num_documents = len(sums)
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(num_documents, np.full(num_documents, 1 / num_documents), size=resamples)
    values = metric(weights @ sums)
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Elementwise quotient, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(np.shape(numerator)), where=denominator != 0)
