"""Make train, dev and test out of what a release has, so that nothing is ever chosen on the split that is scored.

    released            train                dev                    test
    train, dev, test    as released          as released            as released
    train, test         90% of its sources   10% of train's         as released
    train, dev          90% of its sources   10% of train's         the released dev
    train or test only  refused

The share is drawn by source (`eval.clusters`), seeded, and the same on every machine. What was done is in the notes.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from eval.clusters import cluster_of
from eval.examples import Dataset, Example
from launch.errors import NotemillError

DEV_SHARE = 0.1
SPLIT_SEED = 0


def complete_splits(dataset: Dataset, seed: int = SPLIT_SEED) -> Dataset:
    """The data set with all three splits. Raises NotemillError where train is missing or there is nothing to score."""
    splits, notes = dict(dataset.splits), dict(dataset.notes)
    if not splits.get("train"):
        raise NotemillError(
            f"{dataset.path} has no training examples (splits: {', '.join(splits) or 'none'}); fine-tuning needs a "
            "folder with train beside test or dev, while `notemill eval score` takes a single split."
        )
    if "test" not in splits:
        if "dev" not in splits:
            raise NotemillError(f"{dataset.path} has only a train split; put a test or dev split beside it.")
        splits["test"] = splits.pop("dev")
        notes["dev examples used as test, as there is no test split"] = len(splits["test"])
    if "dev" not in splits:
        splits["train"], splits["dev"] = divide(splits["train"], DEV_SHARE, dataset.path, seed)
        notes["train examples moved to dev"] = len(splits["dev"])
    empty = [name for name in ("dev", "test") if not splits[name]]
    if empty:
        raise NotemillError(f"the {empty[0]} split of {dataset.path} holds no examples.")
    return replace(dataset, splits={name: splits[name] for name in ("train", "dev", "test")}, notes=notes)


def divide(
    examples: Sequence[Example], share: float, path: str, seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """What stays and what a `share` of the sources takes away. Raises NotemillError where there is a single source."""
    sources = list(dict.fromkeys(map(cluster_of, examples)))
    if len(sources) < 2:
        raise NotemillError(f"the examples of {path} come from a single source; no further split can be drawn from it.")
    chosen = set(random.Random(seed).sample(sources, max(1, round(share * len(sources)))))
    kept = tuple(example for example in examples if cluster_of(example) not in chosen)
    taken = tuple(example for example in examples if cluster_of(example) in chosen)
    return kept, taken
