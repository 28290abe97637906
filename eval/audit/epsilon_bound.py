"""A lower bound on ε from one training run, by guessing coins (Steinke, Nasr and Jagielski 2023, algorithm 1).

Of m canaries, each in or out by a fair coin, the k that score highest are guessed in and the k lowest out. Were
training (ε, δ)-private, the number of right guesses would be bounded (their theorem 5.2); the largest ε that the number
seen refutes with the wanted confidence is the bound. Several k are tried and their error is shared out (Bonferroni).
"""

from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
_SHARES = (0.05, 0.1, 0.2, 0.35, 0.5)
"""Of the canaries, guessed at each end."""
_MAX_EPSILON = 20.0
_STEP = 1e-3


@dataclass(frozen=True)
class Bound:
    epsilon: float
    right: int
    guesses: int
    tried: int
    most: float
    """The bound if every guess had been right."""


def epsilon_lower_bound(scores: np.ndarray, is_in: np.ndarray, *, delta: float) -> Bound:
    """The bound for scores [m >= 2], high where a canary seems to be in; 0 where the guesses prove nothing."""
    count = len(scores)
    order = np.argsort(scores, kind="stable")
    sizes = sorted({max(1, int(share * count)) for share in _SHARES})
    error = (1 - CONFIDENCE) / len(sizes)
    most = max(refuted_epsilon(count, 2 * size, 2 * size, delta, error) for size in sizes)
    bounds = []
    for size in sizes:
        right = int(is_in[order[-size:]].sum() + (~is_in[order[:size]]).sum())
        epsilon = refuted_epsilon(count, 2 * size, right, delta, error)
        bounds.append(Bound(epsilon, right, 2 * size, len(sizes), most))
    return max(bounds, key=lambda bound: bound.epsilon)


def refuted_epsilon(canaries: int, guesses: int, right: int, delta: float, error: float) -> float:
    """The largest ε, to 0.001, under which so many right guesses have a probability below `error`."""
    low, high = 0.0, _MAX_EPSILON
    if probability(canaries, guesses, right, 0.0, delta) >= error:
        return 0.0
    while high - low > _STEP:
        middle = (low + high) / 2
        if probability(canaries, guesses, right, middle, delta) < error:
            low = middle
        else:
            high = middle
    return low


def probability(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """An upper bound on the probability of `right` or more right guesses under (ε, δ)-privacy (theorem 5.2)."""
    from scipy.stats import binom

    q = 1 / (1 + np.exp(-epsilon))
    tail = float(binom.sf(right - 1, guesses, q))
    if delta == 0 or right == 0:
        return min(1.0, tail)
    shift = np.arange(1, right + 1)
    below = np.cumsum(binom.pmf(right - shift, guesses, q))
    return min(1.0, tail + float((below / shift).max()) * delta * 2 * canaries)
