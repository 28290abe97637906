"""p values: right where nothing differs, small where everything does, corrected as Holm has it."""

import numpy as np
import pytest
from scipy import stats

from eval.examples import LabelledText
from eval.scorers import score
from eval.scorers.bootstrap import resample
from eval.significance import SeedDraws, compare_models, holm, mcnemar, p_value


def draws_of(right: np.ndarray) -> SeedDraws:
    """Accuracy and its draws, of a model that is right where `right` says."""
    gold = [LabelledText(str(i), f"text {i}", "ab"[i % 2]) for i in range(len(right))]
    found = ["ab"[i % 2] if is_right else "ba"[i % 2] for i, is_right in enumerate(right)]
    scores = score("cls", gold, found, resamples=2000)
    return SeedDraws(scores.metrics["accuracy"], scores.draws["accuracy"])


def test_a_model_does_not_differ_from_itself() -> None:
    one = draws_of(np.arange(100) % 3 > 0)
    [row] = compare_models({"a": [one], "b": [one]})
    assert (row["difference"], row["low"], row["high"], row["p"]) == (0.0, 0.0, 0.0, 1.0)


def test_p_is_that_of_the_paired_z_test() -> None:
    generator = np.random.default_rng(0)
    first = generator.normal(size=400)
    second = first + generator.normal(-0.1, 1, size=400)

    def mean_of(values: np.ndarray) -> SeedDraws:
        sums = np.stack([values, np.ones(400)], axis=1)
        return SeedDraws(values.mean(), resample(sums, lambda s: s[:, 0] / s[:, 1], resamples=4000, seed=0))

    [row] = compare_models({"a": [mean_of(first)], "b": [mean_of(second)]})
    differences = first - second
    z = differences.mean() / (differences.std() / 20)
    assert row["difference"] == pytest.approx(differences.mean())
    assert row["p"] == pytest.approx(2 * stats.norm.sf(abs(z)), abs=0.02)
    half = 1.96 * differences.std() / 20
    assert (differences.mean() - row["low"], row["high"] - differences.mean()) == (pytest.approx(half, rel=0.1),) * 2


def test_pairing_finds_what_intervals_apart_do_not() -> None:
    """Models that fail on the same texts: few texts tell them apart, and always the same way."""
    first = np.arange(200) % 2 > 0
    second = first.copy()
    second[1:32:2] = False
    alone = [draws_of(first), draws_of(second)]
    low, high = (np.quantile(side.draws, level) for side, level in zip(alone, (0.025, 0.975), strict=True))
    assert low < high  # their intervals overlap
    [row] = compare_models({"a": alone[:1], "b": alone[1:]})
    assert row["p"] < 0.01 and row["low"] > 0


def test_few_false_findings_among_equal_models() -> None:
    generator = np.random.default_rng(1)
    found = 0
    for _ in range(100):
        sides = [[draws_of(generator.random(120) < 0.7)] for _ in range(2)]
        found += compare_models(dict(zip("ab", sides, strict=True)))[0]["p"] < 0.05
    assert found <= 12


def test_seeds_are_averaged() -> None:
    values = np.linspace(0, 1, 11)
    seeds = [SeedDraws(0.2, values), SeedDraws(0.4, values + 0.2)]
    [row] = compare_models({"a": seeds, "b": [SeedDraws(0.1, values)]})
    assert row["difference"] == pytest.approx(0.2)
    assert (row["low"], row["high"]) == (pytest.approx(0.1), pytest.approx(0.1))


def test_p_counts_the_observed_difference() -> None:
    assert p_value(5.0, np.full(99, 5.0)) == 0.01


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_every_pair_has_a_row() -> None:
    rows = compare_models({name: [SeedDraws(0.5, np.linspace(0, 1, 9))] for name in "abc"})
    assert [(row["first"], row["second"]) for row in rows] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert compare_models({"a": [SeedDraws(0.5, np.zeros(9))]}) == []


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (0, 1), (5, 12), (12, 5), (3, 3), (0, 10)])
def test_mcnemar_is_the_binomial_test_of_the_documents_in_which_two_runs_differ(
    only_first: int, only_second: int
) -> None:
    first = [True] * (7 + only_first) + [False] * (only_second + 4)
    second = [True] * 7 + [False] * only_first + [True] * only_second + [False] * 4
    found = mcnemar(first, second)
    assert (found["only_first"], found["only_second"]) == (only_first, only_second)
    differ = only_first + only_second
    wanted = stats.binomtest(only_first, differ, 0.5).pvalue if differ else 1.0
    assert found["p"] == pytest.approx(wanted)


def test_mcnemar_counts_thousands_of_documents() -> None:
    assert 0 < mcnemar([True, False] * 2000, [False, True] * 2000)["p"] <= 1
