"""What a metric comes to when documents are drawn again, for 95% percentile intervals and paired comparisons.

Documents of one source (a patient, a paper) are drawn together: `resample` is given a row for each source.
Every metric here is a function of sums over documents (counts, or moments), so a resample is one product of a weight
matrix with the per-document sums: a thousand resamples of thousands of documents take milliseconds. With one seed the
draws of a test set are the same for every model, which pairs them.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

LEVEL = 0.95
_BLOCK_CELLS = 2_000_000
"""Weights held at a time: 16 MB."""


def resample(sums: np.ndarray, metric: Callable[[np.ndarray], np.ndarray], *, resamples: int, seed: int) -> np.ndarray:
    """[resamples]: values of `metric`, which maps sums of shape [resamples, K] to values [resamples].

    `sums` has shape [sources, K]: what the documents of each source add.
    """
    blocks = weight_blocks(len(sums), resamples=resamples, seed=seed)
    return np.concatenate([metric(weights @ sums) for weights in blocks])


def by_source(rows: np.ndarray, sources: Sequence[str]) -> np.ndarray:
    """[sources, ...]: sums of the `rows` [documents, ...] of each source, which a draw takes whole or not at all."""
    place = {source: index for index, source in enumerate(dict.fromkeys(sources))}
    sums = np.zeros((len(place), *rows.shape[1:]), dtype=rows.dtype)
    np.add.at(sums, [place[source] for source in sources], rows)
    return sums


def weight_blocks(num_documents: int, *, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """All draws of `seed`, a block of rows at a time."""
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK_CELLS // num_documents)
    for done in range(0, resamples, rows):
        yield draw_weights(generator, min(rows, resamples - done), num_documents)


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
