"""AUC, hits, exposure and the bound on ε against hand-worked cases and other implementations."""

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import roc_auc_score, roc_curve

from eval.audit.attack_metrics import auc, by_patient, tpr_at_fpr
from eval.audit.epsilon_bound import epsilon_lower_bound, probability, refuted_epsilon


def test_auc_is_sklearns_and_patients_are_drawn_whole() -> None:
    rng = np.random.default_rng(0)
    is_member = rng.random(200) < 0.5
    scores = np.round(rng.normal(size=200) + 0.5 * is_member, 1)
    groups = [f"p{i // 4}" for i in range(200)]
    told = auc(scores, is_member, groups, 500, 1)
    assert told.value == pytest.approx(roc_auc_score(is_member, scores))
    alone = auc(scores, is_member, [str(i) for i in range(200)], 500, 1)
    assert told.low is not None and told.high is not None and told.low < told.value < told.high
    # Copies of a patient's note add no evidence, so the interval by patient does not shrink as that by note does.
    twice = auc(np.tile(scores, 2), np.tile(is_member, 2), groups * 2, 500, 1)
    assert twice.high - twice.low == pytest.approx(told.high - told.low, rel=0.15)
    assert alone.low is not None


def test_draws_of_one_kind_alone_say_nothing() -> None:
    told = auc(np.r_[np.arange(9.0) + 10, 1.0], np.r_[np.ones(9, bool), False], [str(i) for i in range(10)], 500, 0)
    assert (told.value, told.low, told.high) == (1.0, 1.0, 1.0)
    nobody = auc(np.arange(3.0), np.ones(3, bool), ["a", "b", "c"], 100, 0)
    assert nobody.value is None and nobody.low is None and nobody.note


def test_hits_by_hand() -> None:
    # 300 non-members score 0..299; three may be above the threshold at 1%.
    scores = np.r_[np.arange(300.0), [296.5, 297.5, 298.5, 299.5, 296.0]]
    is_member = np.r_[np.zeros(300, bool), np.ones(5, bool)]
    groups = [str(i) for i in range(305)]
    told = tpr_at_fpr(scores, is_member, groups, 0.01, 0, 0)
    # Above 296, where one member ties with the fourth non-member, stand four of five members.
    assert told.value == pytest.approx(0.8)
    suppressed = tpr_at_fpr(scores[1:], is_member[1:], groups[1:], 0.01, 0, 0)
    assert suppressed.value is None and "300" in suppressed.note


def test_hits_equal_sklearns_curve() -> None:
    rng = np.random.default_rng(3)
    is_member = rng.random(2000) < 0.5
    scores = np.round(rng.normal(size=2000) + is_member, 2)
    false, true, _ = roc_curve(is_member, scores, drop_intermediate=False)
    told = tpr_at_fpr(scores, is_member, [str(i) for i in range(2000)], 0.01, 0, 0)
    assert told.value == pytest.approx(true[false <= 0.01].max())


def test_a_patients_score_is_the_mean() -> None:
    scores, members, names = by_patient(np.array([1.0, 3.0, 5.0]), np.array([True, True, False]), ["a", "a", "b"])
    assert scores.tolist() == [2.0, 5.0] and members.tolist() == [True, False] and names == ["a", "b"]


def test_bound_without_delta_is_the_binomial_tail() -> None:
    assert probability(100, 40, 35, 1.0, 0.0) == pytest.approx(binom.sf(34, 40, np.e / (1 + np.e)))
    epsilon = refuted_epsilon(100, 40, 40, 0.0, 0.05)
    # 40 of 40 right: refuted while q**40 < 0.05.
    assert 1 / (1 + np.exp(-epsilon)) == pytest.approx(0.05 ** (1 / 40), abs=1e-3)


def test_delta_makes_the_bound_weaker_and_chance_gives_none() -> None:
    assert refuted_epsilon(1000, 400, 380, 1e-3, 0.05) < refuted_epsilon(1000, 400, 380, 0.0, 0.05)
    rng = np.random.default_rng(0)
    bounds = [epsilon_lower_bound(rng.normal(size=200), rng.random(200) < 0.5, delta=1e-5).epsilon for _ in range(60)]
    # At 95% confidence, three of sixty may lie.
    assert sum(bound > 0 for bound in bounds) <= 6
    few = epsilon_lower_bound(np.arange(10.0), np.arange(10) > 4, delta=0.0)
    assert few.right == few.guesses and few.epsilon == few.most < 1
    one_each = epsilon_lower_bound(np.array([0.0, 1.0]), np.array([False, True]), delta=0.0)
    assert (one_each.right, one_each.guesses, one_each.epsilon) == (2, 2, 0.0)
    told = epsilon_lower_bound(np.r_[np.ones(100), np.zeros(100)], np.arange(200) < 100, delta=1e-5)
    assert told.epsilon > 3 and told.right == told.guesses


@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_bound_holds_for_a_mechanism_of_known_epsilon(epsilon: float) -> None:
    """Randomised response tells each coin with probability e^ε/(1+e^ε) and is exactly ε-private."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(40):
        is_in = rng.random(300) < 0.5
        told = np.where(rng.random(300) < 1 / (1 + np.exp(-epsilon)), is_in, ~is_in)
        wrong += epsilon_lower_bound(told + 1e-3 * rng.random(300), is_in, delta=0.0).epsilon > epsilon
    assert wrong <= 5
