"""Whether one model's score differs from another's on the same test documents: the paired bootstrap.

Both models are scored on the same draws of test documents, and a draw's difference is between the means over their
seeds. The p value is the share of draws whose difference strays from the observed one by as much as the observed one
does from zero, either way (Noreen 1989; Berg-Kirkpatrick et al., EMNLP 2012, with two sides). Where a task has several
pairs of models, Holm's step-down correction (1979) keeps the chance of any false finding in it below the level.

Where a prediction is right or wrong, McNemar's exact test of two single runs stands beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import NotRequired, TypedDict

import numpy as np

from eval.scorers.bootstrap import bounds


@dataclass(frozen=True)
class SeedDraws:
    """One seed's score on the test split, and over the draws of its documents."""

    value: float
    draws: np.ndarray


class McNemar(TypedDict):
    only_first: int
    """Documents that the first model alone got right."""
    only_second: int
    p: float
    """Two-sided, uncorrected."""


class Comparison(TypedDict):
    first: str
    second: str
    difference: float
    """First minus second."""
    low: float
    high: float
    """95% interval of the difference."""
    p: float
    p_holm: float
    """Corrected for the pairs of this task."""
    mcnemar: NotRequired[McNemar]
    """Of each model's seed that was best on dev; only where a prediction is right or wrong."""


def compare_models(models: Mapping[str, Sequence[SeedDraws]]) -> list[Comparison]:
    """A row for every pair of models, in their order."""
    rows: list[Comparison] = []
    for first, second in combinations(models, 2):
        difference = _mean(models[first]) - _mean(models[second])
        draws = _mean_draws(models[first]) - _mean_draws(models[second])
        low, high = bounds(draws)
        p = p_value(difference, draws)
        rows.append(
            {"first": first, "second": second, "difference": difference, "low": low, "high": high, "p": p, "p_holm": p}
        )
    for row, corrected in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = corrected
    return rows


def mcnemar(first_right: Sequence[bool], second_right: Sequence[bool]) -> McNemar:
    """The exact test (McNemar 1947, by the binomial distribution) on predictions for the same documents."""
    pairs = list(zip(first_right, second_right, strict=True))
    only_first = sum(first and not second for first, second in pairs)
    only_second = sum(second and not first for first, second in pairs)
    differ = only_first + only_second
    tail = sum(comb(differ, k) for k in range(min(only_first, only_second) + 1))
    # Whole numbers, as 2 to the number of documents leaves the range of a float.
    return {"only_first": only_first, "only_second": only_second, "p": min(1.0, 2 * tail / 2**differ)}


def p_value(difference: float, draws: np.ndarray) -> float:
    """Two-sided; at least 1 / (draws + 1), as the observed difference counts as a draw."""
    # Rounding must not hide that a draw of equal models strays as far as they differ.
    strays = np.abs(draws - difference) >= abs(difference) - 1e-12
    return float((1 + strays.sum()) / (1 + len(draws)))


def holm(values: Sequence[float]) -> list[float]:
    """Corrected p values in the order given."""
    corrected = [0.0] * len(values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=lambda index: values[index])):
        highest = max(highest, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = highest
    return corrected


def _mean(seeds: Sequence[SeedDraws]) -> float:
    return float(np.mean([seed.value for seed in seeds]))


def _mean_draws(seeds: Sequence[SeedDraws]) -> np.ndarray:
    return np.mean([seed.draws for seed in seeds], axis=0)
