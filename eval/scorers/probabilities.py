"""Class probabilities beside predictions: probabilities.json, which holds labels and numbers and no text.

{"labels": ["contradiction", "entailment"], "rows": [[0.91, 0.09], …]}      a row an example, in the order of gold
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_pipeline.files import read_json, write_json
from launch.errors import NotemillError

PROBABILITIES_FILE = "probabilities.json"
_DIGITS = 6
"""Of the numbers in the file; the areas are taken from what it holds, so that they can be had from it again."""

_SLACK = 1e-6
"""By which rounding may leave the numbers from 0 to 1."""


@dataclass(frozen=True)
class Probabilities:
    labels: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]

    def of(self, labels: Sequence[str]) -> np.ndarray:
        """[examples, labels]; a class that the model does not know has probability 0."""
        column = {label: index for index, label in enumerate(self.labels)}
        values = np.array(self.rows, dtype=np.float64).reshape(len(self.rows), len(self.labels))
        none = np.zeros(len(self.rows))
        return np.stack([values[:, column[label]] if label in column else none for label in labels], axis=1)


def rounded(labels: Sequence[str], rows: Sequence[Sequence[float]]) -> Probabilities:
    return Probabilities(tuple(labels), tuple(tuple(round(value, _DIGITS) for value in row) for row in rows))


def write_probabilities(probabilities: Probabilities, folder: Path) -> Path:
    path = folder / PROBABILITIES_FILE
    write_json(path, {"labels": list(probabilities.labels), "rows": [list(row) for row in probabilities.rows]})
    return path


def read_probabilities(path: Path, num_examples: int) -> Probabilities:
    """Raises NotemillError where the file does not hold a row of probabilities for each example."""
    content = read_json(path, "probabilities", "run the evaluation again")
    labels = content.get("labels") if isinstance(content, dict) else None
    rows = content.get("rows") if isinstance(content, dict) else None
    if not isinstance(labels, list) or not labels or not isinstance(rows, list):
        raise NotemillError(f"{path} does not hold labels and rows; see docs/evaluation.md for the form.")
    if len(rows) != num_examples:
        raise NotemillError(f"{path} has {len(rows)} rows for {num_examples} gold examples; give one for each.")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, list) or len(row) != len(labels) or not all(map(_is_number, row)):
            raise NotemillError(
                f"row {number} of {path} is not {len(labels)} finite numbers from 0 to 1, one for each label."
            )
    if len(set(map(str, labels))) < len(labels):
        raise NotemillError(f"{path} names a label twice; each has one column.")
    return Probabilities(tuple(map(str, labels)), tuple(tuple(map(float, row)) for row in rows))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_SLACK <= value <= 1 + _SLACK
