"""`notemill eval score`: gold and predictions from files, through the same readers and scorers as a run."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from eval.examples import Example, LabelledText, SentencePair, Task
from eval.formats import load_dataset, read_predictions
from eval.scorers import score
from eval.scorers.probabilities import Probabilities, read_probabilities
from launch.errors import NotemillError


def score_files(
    task: Task, gold: str, predictions: Path, split: str | None = None, probabilities: Path | None = None
) -> dict[str, Any]:
    """Scores of `predictions` against a split of `gold` ("FORMAT:PATH"): test, or dev where test is withheld.

    `probabilities` is the file of nli's and cls's class probabilities, for the area under the ROC curve.

    Raises NotemillError for unreadable files, a missing split, or predictions that do not match the gold examples.
    """
    dataset = load_dataset(task, gold)
    chosen = split or next(name for name in ("test", "dev", "train") if name in dataset.splits)
    if chosen not in dataset.splits:
        raise NotemillError(f"{gold} has no split '{chosen}'; it has {', '.join(dataset.splits)}.")
    examples = dataset.splits[chosen]
    left: Counter[str] = Counter()
    predicted = read_predictions(task, dataset.format, predictions, examples, dataset.options, left)
    if probabilities is not None and task not in ("nli", "cls"):
        raise NotemillError(f"probabilities are scored for nli and cls and not for {task}; leave them out.")
    shares = read_probabilities(probabilities, len(examples)) if probabilities is not None else None
    if shares is not None:
        _require_known(probabilities, shares, examples, [*chain(*dataset.splits.values())], predicted)
    notes = dataset.notes | {f"predictions: {note}": count for note, count in sorted(left.items()) if count}
    return {"task": task, "split": chosen, **score(task, examples, predicted, shares).to_dict(), "notes": notes}


def _require_known(
    path: Path | None,
    shares: Probabilities,
    gold: Sequence[Example],
    every: Sequence[Example],
    predicted: Sequence[str],
) -> None:
    """Raise NotemillError where labels of probabilities are nobody's while gold has others.

    A model may know labels that this split lacks, and the split labels that it was never taught.
    """
    unknown = [label for label in shares.labels if label not in _labels(every) | set(predicted)]
    missing = sorted(_labels(gold) - set(shares.labels))
    if unknown and missing:
        raise NotemillError(
            f"{path} has a column for '{unknown[0]}', which no example has, and none for '{missing[0]}'; "
            "call labels as gold does."
        )


def _labels(examples: Sequence[Example]) -> set[str]:
    return {e.label for e in examples if isinstance(e, LabelledText | SentencePair) and e.label is not None}
