import math

import pytest

from eval.private import accountant
from eval.private.accountant import Mechanism, cost_of, default_delta, noise_for
from launch.errors import NotemillError

RUN = Mechanism(noise_multiplier=1.2, sampling_rate=0.05, steps=200)


@pytest.mark.parametrize("kind", ["rdp", "prv"])
def test_two_libraries_agree(kind: str) -> None:
    cost = cost_of([RUN], 1e-4, kind)  # type: ignore[arg-type]
    assert cost.difference < 0.02
    assert cost.epsilon == max(cost.opacus, cost.dp_accounting)


def test_the_full_batch_is_the_gaussian_mechanism() -> None:
    """With everybody drawn, ε is that of one Gaussian with noise of sigma / sqrt(steps), whose δ has a closed form."""

    def delta_of(epsilon: float, mu: float) -> float:
        def below(x: float) -> float:
            return 0.5 * math.erfc(-x / math.sqrt(2))

        return below(mu / 2 - epsilon / mu) - math.exp(epsilon) * below(-mu / 2 - epsilon / mu)

    cost = cost_of([Mechanism(noise_multiplier=8.0, sampling_rate=1.0, steps=40)], 1e-5, "rdp")
    assert delta_of(cost.epsilon, math.sqrt(40) / 8.0) < 1e-5
    # RDP is an upper bound, and not a loose one.
    assert delta_of(0.9 * cost.epsilon, math.sqrt(40) / 8.0) > 1e-5


def test_numeric_composition_is_tighter_than_moments() -> None:
    assert cost_of([RUN], 1e-5, "prv").epsilon < cost_of([RUN], 1e-5, "rdp").epsilon


@pytest.mark.parametrize("epsilon", [0.5, 8.0])
def test_the_noise_found_is_just_enough(epsilon: float) -> None:
    noise = noise_for(epsilon, 1e-4, 0.1, 100, "rdp")
    assert 0.99 * epsilon < cost_of([Mechanism(noise, 0.1, 100)], 1e-4, "rdp").epsilon <= epsilon


def test_earlier_runs_take_from_the_budget() -> None:
    alone = noise_for(8.0, 1e-4, 0.05, 200, "rdp")
    after = noise_for(8.0, 1e-4, 0.05, 200, "rdp", [RUN])
    assert after > alone
    assert cost_of([RUN, Mechanism(after, 0.05, 200)], 1e-4, "rdp").epsilon <= 8.0
    with pytest.raises(NotemillError, match="have spent epsilon"):
        noise_for(1.0, 1e-4, 0.05, 200, "rdp", [RUN])


def test_opinions_that_differ_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    accountant._known_cost.cache_clear()
    real = accountant._by_opacus
    monkeypatch.setattr(accountant, "_by_opacus", lambda *a: 0.97 * real(*a))
    with pytest.raises(NotemillError, match=r"3\.\d% apart where 2% is the limit"):
        cost_of([RUN], 1e-4, "rdp")
    accountant._known_cost.cache_clear()


def test_delta_lies_below_one_patients_share() -> None:
    assert default_delta(1000) == pytest.approx(1000**-1.1)
    assert default_delta(2) < 1 / 2
