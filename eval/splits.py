"""Train, dev and test for sets that are published without one of them.

Choices are made on dev and never on test, so both are needed. Where the test labels are withheld (NLI4CT), the
published dev split becomes test; a missing dev split is drawn from train, by document, with a fixed seed.
"""

import random
from dataclasses import replace

from eval.examples import Dataset, Example, LabelledText, Question, RelationCandidate
from launch.errors import NotemillError

DEV_SHARE = 0.1
_SEED = 0


def complete_splits(dataset: Dataset) -> Dataset:
    """The same set with all three splits; what was done is counted in its notes. NotemillError without a train split."""
    splits, notes = dict(dataset.splits), dict(dataset.notes)
    if not splits.get("train"):
        raise NotemillError(f"{dataset.path} has no training split; give the folder that holds train, dev and test.")
    if "test" not in splits and "dev" in splits:
        splits["test"] = splits.pop("dev")
        notes["published dev examples used as test"] = len(splits["test"])
    if "dev" not in splits:
        splits["train"], splits["dev"] = _draw(splits["train"])
        notes["training examples used as dev"] = len(splits["dev"])
    empty = [split for split in ("train", "dev", "test") if not splits.get(split)]
    if empty:
        raise NotemillError(f"{dataset.path} has too few examples: split {empty[0]} is empty.")
    return replace(dataset, splits=splits, notes=notes)


def group_of(example: Example) -> str:
    """What must not be torn apart: the document an example comes from."""
    if isinstance(example, Question | RelationCandidate) and example.document_id:
        return example.document_id
    return example.text if isinstance(example, LabelledText) else example.id


def _draw(train: tuple[Example, ...]) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    groups = sorted({group_of(example) for example in train})
    random.Random(_SEED).shuffle(groups)
    chosen = set(groups[: max(1, round(DEV_SHARE * len(groups)))])
    kept = tuple(example for example in train if group_of(example) not in chosen)
    return kept, tuple(example for example in train if group_of(example) in chosen)
