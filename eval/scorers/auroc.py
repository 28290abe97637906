"""Area under the ROC curve of class probabilities, one class against the rest, as sklearn's roc_auc_score counts it.

The area is the chance that a text of the class is given a higher probability for it than a text of another class is,
ties counting half (Hanley and McNeil, Radiology 1982). The mean over classes is taken over those that gold has texts in
and texts outside of.
"""

from collections.abc import Sequence

import numpy as np

from eval.scorers.bootstrap import ratio, weight_blocks


def score_auroc(
    gold: Sequence[str],
    probabilities: np.ndarray,
    labels: Sequence[str],
    groups: Sequence[str],
    *,
    resamples: int,
    seed: int,
) -> tuple[float, dict[str, float], np.ndarray]:
    """Mean over the classes, the classes' own areas, and the mean's values over draws of `groups`.

    `probabilities` has shape [texts, labels]. A class that no text or every text of gold has is left out.
    """
    group = {name: index for index, name in enumerate(dict.fromkeys(groups))}
    group_of = np.array([group[name] for name in groups])
    is_class = np.array([[wanted == label for label in labels] for wanted in gold])
    curves = [_Ranked(probabilities[:, column], is_class[:, column]) for column in range(len(labels))]
    areas = [(float(area[0]), bool(known[0])) for area, known in (curve(np.ones((1, len(gold)))) for curve in curves)]
    by_class = {label: area for label, (area, known) in zip(labels, areas, strict=True) if known}
    draws = [
        _mean_over_classes([curve(weights[:, group_of]) for curve in curves])
        for weights in weight_blocks(len(group), resamples=resamples, seed=seed)
    ]
    mean = sum(by_class.values()) / max(1, len(by_class))
    return mean, by_class, np.concatenate(draws) if draws else np.zeros(0)


class _Ranked:
    """The area of one class for weights of the texts, which are sorted only once."""

    def __init__(self, values: np.ndarray, is_class: np.ndarray) -> None:
        self.order = np.argsort(values, kind="stable")
        ordered = values[self.order]
        self.starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self.is_class = is_class[self.order]

    def __call__(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Areas [draws] and whether there is one, for weights [draws, texts]."""
        weights = weights[:, self.order]
        inside = np.add.reduceat(weights * self.is_class, self.starts, axis=1)
        outside = np.add.reduceat(weights * ~self.is_class, self.starts, axis=1)
        below = np.cumsum(outside, axis=1) - outside / 2
        pairs = inside.sum(axis=1) * outside.sum(axis=1)
        return ratio((inside * below).sum(axis=1), pairs), pairs > 0


def _mean_over_classes(areas: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    values, known = (np.stack(side) for side in zip(*areas, strict=True))
    return ratio((values * known).sum(axis=0), 1.0 * known.sum(axis=0))
