"""95% percentile intervals by resampling documents.

Every metric here is a function of sums over documents (counts, or moments), so a resample is one product of a weight
matrix with the per-document sums: a thousand resamples of thousands of documents take milliseconds.
"""

from collections.abc import Callable

import numpy as np

LEVEL = 0.95
_BLOCK_CELLS = 2_000_000
"""Weights held at a time: 16 MB."""


def bootstrap(
    sums: np.ndarray, metric: Callable[[np.ndarray], np.ndarray], *, resamples: int, seed: int
) -> tuple[float, float]:
    """Interval of `metric`, which maps sums of shape [resamples, K] to values [resamples].

    `sums` has shape [documents, K]: what each document adds.
    """
    num_documents = len(sums)
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK_CELLS // num_documents)
    values = [
        metric(draw_weights(generator, min(rows, resamples - done), num_documents) @ sums)
        for done in range(0, resamples, rows)
    ]
    return bounds(np.concatenate(values))


def draw_weights(generator: np.random.Generator, resamples: int, num_documents: int) -> np.ndarray:
    """[resamples, documents]: how often each document was drawn, with replacement."""
    drawn = generator.integers(num_documents, size=(resamples, num_documents))
    drawn += np.arange(resamples)[:, None] * num_documents
    counts = np.bincount(drawn.ravel(), minlength=resamples * num_documents)
    # As floats: numpy multiplies integer matrices without BLAS.
    return counts.reshape(resamples, num_documents).astype(np.float64)


def bounds(values: np.ndarray) -> tuple[float, float]:
    """The middle LEVEL of the resampled values."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Elementwise quotient, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(np.shape(numerator)), where=denominator != 0)
