"""What a scorer returns."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from eval.scorers.bootstrap import bounds


@dataclass(frozen=True)
class Scores:
    metrics: dict[str, float]
    primary: str
    """The metric by which epochs are chosen and tables are made."""
    n: int
    """Gold examples: documents, marked sentences, pairs, questions or texts."""
    per_class: dict[str, dict[str, float]] = field(default_factory=dict)
    draws: dict[str, np.ndarray] = field(default_factory=dict, compare=False, repr=False)
    """By metric its values over the bootstrap's draws of test documents; empty without resampling."""

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95% bootstrap intervals by metric; empty without resampling."""
        return {name: bounds(values) for name, values in self.draws.items()}

    def to_dict(self) -> dict[str, Any]:
        return {
            "metrics": self.metrics,
            "primary": self.primary,
            "n": self.n,
            "per_class": self.per_class,
            "intervals": self.intervals,
        }
