"""Confusion matrices as tables: counts, tinted by their share of the gold class."""

from collections.abc import Mapping
from dataclasses import dataclass

from eval.confusion import NOTHING, Confusion, fold
from eval.examples import Task

MAX_CLASSES = 12
"""More are folded into one, so that a table can be read; analysis.json holds all of them."""
MAX_PAIRS = 10
_TINT = 0.55
"""Opacity of a whole row in one cell: text on it keeps its contrast in either colour scheme."""
_NOTHING_NAMES = {"ner": "no mention", "re": "no relation"}


@dataclass(frozen=True)
class Cell:
    text: str
    tint: str
    style: str
    """CSS classes: "same" on the diagonal, "none" where nothing was counted."""


@dataclass(frozen=True)
class Matrix:
    model: str
    labels: list[str]
    rows: list[tuple[str, list[Cell]]]
    pairs: list[tuple[str, str, str]]
    """The most frequent confusions: gold, predicted, how many."""


def confusion_tables(confusions: Mapping[str, Confusion], task: Task) -> list[Matrix]:
    return [_matrix(model, confusion, task) for model, confusion in confusions.items()]


def _matrix(model: str, confusion: Confusion, task: Task) -> Matrix:
    folded = fold(confusion, MAX_CLASSES)
    names = [_name(label, task) for label in folded["labels"]]
    # What is folded into one class may well be confused within it.
    named = {_name(label, task) for label in confusion["labels"]}
    rows = []
    for i, row in enumerate(folded["rows"]):
        total = sum(row) or 1.0
        cells = [
            Cell(
                _count(value, _is_unknown(folded, i, j, task)),
                f"{_TINT * value / total:.3f}",
                _style(value, i == j and names[i] in named),
            )
            for j, value in enumerate(row)
        ]
        rows.append((names[i], cells))
    return Matrix(model, names, rows, _most_frequent(confusion, task))


def _most_frequent(confusion: Confusion, task: Task) -> list[tuple[str, str, str]]:
    labels = confusion["labels"]
    pairs = [
        (value, i, j) for i, row in enumerate(confusion["rows"]) for j, value in enumerate(row) if i != j and value
    ]
    highest = sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2]))[:MAX_PAIRS]
    return [(_name(labels[i], task), _name(labels[j], task), _count(value, False)) for value, i, j in highest]


def _is_unknown(confusion: Confusion, i: int, j: int, task: Task) -> bool:
    """Where neither side has anything nothing was counted: what is not there has no number."""
    is_nothing = confusion["labels"][i] == NOTHING and i == j
    return is_nothing and (task == "ner" or not confusion["rows"][i][j])


def _style(value: float, is_diagonal: bool) -> str:
    return "none" if not value else "same" if is_diagonal else ""


def _count(value: float, is_unknown: bool) -> str:
    return "" if is_unknown else f"{value:,.1f}".removesuffix(".0")


def _name(label: str, task: Task) -> str:
    return _NOTHING_NAMES.get(task, "none") if label == NOTHING else label
