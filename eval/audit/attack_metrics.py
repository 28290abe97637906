"""How well scores tell members from non-members: AUC, and the hits at a fixed rate of false alarms.

Intervals resample whole patients, members and non-members alike, so that a patient with many notes counts once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.scorers.auroc import score_auroc
from eval.scorers.bootstrap import bounds, weight_blocks

MIN_FALSE_ALARMS = 3
"""A rate of false alarms is shown only where so many non-members may give one; below, one note decides."""
_MEMBER = "member"


def needed_for(rate: float) -> int:
    """How many there must be for that rate of them to be shown."""
    return int(np.ceil(MIN_FALSE_ALARMS / rate))


@dataclass(frozen=True)
class Measured:
    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""


def auc(scores: np.ndarray, is_member: np.ndarray, groups: Sequence[str], resamples: int, seed: int) -> Measured:
    """Chance that a member scores higher than a non-member, ties half; scores [N], groups name each one's patient.

    Without a value where all are of one kind.
    """
    if is_member.all() or not is_member.any():
        return Measured(None, note="there are none to tell them from")
    gold = [_MEMBER if member else "" for member in is_member]
    value, _, draws = score_auroc(gold, scores[:, None], [_MEMBER], groups, resamples=resamples, seed=seed)
    draws = draws[_has_both(is_member, groups, resamples, seed)] if len(draws) else draws
    return Measured(value, *bounds(draws)) if len(draws) else Measured(value)


def _has_both(is_member: np.ndarray, groups: Sequence[str], resamples: int, seed: int) -> np.ndarray:
    """[resamples]: whether a draw of patients holds members and others; one of a kind alone has no area."""
    group = {name: index for index, name in enumerate(dict.fromkeys(groups))}
    counts = np.zeros((len(group), 2))
    np.add.at(counts, (np.array([group[name] for name in groups]), is_member.astype(int)), 1)
    blocks = weight_blocks(len(group), resamples=resamples, seed=seed)
    return np.concatenate([(weights @ counts > 0).all(axis=1) for weights in blocks])


def tpr_at_fpr(
    scores: np.ndarray, is_member: np.ndarray, groups: Sequence[str], rate: float, resamples: int, seed: int
) -> Measured:
    """Share of members above the threshold that at most `rate` of the non-members pass (TPR at that FPR)."""
    needed = needed_for(rate)
    others = int((~is_member).sum())
    if others < needed:
        return Measured(None, note=f"{others} non-members are too few: at least {needed:,} are needed")
    order = np.argsort(-scores, kind="stable")
    ranked = _Ranked(scores[order], is_member[order])
    group = {name: index for index, name in enumerate(dict.fromkeys(groups))}
    group_of = np.array([group[name] for name in groups])[order]
    draws = [
        ranked.hits(weights[:, group_of], rate) for weights in weight_blocks(len(group), resamples=resamples, seed=seed)
    ]
    value = float(ranked.hits(np.ones((1, len(scores))), rate)[0])
    return Measured(value, *bounds(np.concatenate(draws))) if draws else Measured(value)


@dataclass(frozen=True)
class _Ranked:
    scores: np.ndarray
    """[N] falling."""
    is_member: np.ndarray

    def hits(self, weights: np.ndarray, rate: float) -> np.ndarray:
        """[draws] for weights [draws, N]; notes with one score pass a threshold together."""
        ends = np.flatnonzero(np.r_[self.scores[1:] != self.scores[:-1], True])
        inside = np.cumsum(weights * self.is_member, axis=1)[:, ends]
        outside = np.cumsum(weights * ~self.is_member, axis=1)[:, ends]
        allowed = outside <= rate * outside[:, -1:] + 1e-9
        best = np.where(allowed, inside, 0).max(axis=1)
        return best / np.maximum(inside[:, -1], 1e-12)


def by_patient(
    scores: np.ndarray, is_member: np.ndarray, groups: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """A patient's score is the mean of the notes'."""
    names = list(dict.fromkeys(groups))
    place = {name: index for index, name in enumerate(names)}
    index = np.array([place[name] for name in groups])
    sums, counts = np.bincount(index, scores, len(names)), np.bincount(index, minlength=len(names))
    members = np.zeros(len(names), bool)
    members[index] = is_member
    return sums / counts, members, names
