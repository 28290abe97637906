"""What a scorer returns."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Scores:
    metrics: dict[str, float]
    primary: str
    """The metric by which epochs are chosen and tables are made."""
    n: int
    """Gold examples: documents, marked sentences, pairs, questions or texts."""
    per_class: dict[str, dict[str, float]] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    """95% bootstrap intervals by metric; empty without resampling."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
