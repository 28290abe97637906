"""What a training costs: ε at a given δ, by Opacus and, as a second opinion, by Google's dp-accounting.

A step draws each patient with probability q, sums the clipped gradients and adds Gaussian noise: the Poisson-subsampled
Gaussian mechanism. Neighbours differ in one patient, added or removed. Opacus's `rdp` accountant (Mironov 2017; Wang,
Balle and Kasiviswanathan 2019) is checked by dp-accounting's RDP, `prv` (Gopi, Lee and Wutschitz 2021) by its privacy
loss distributions (Koskela, Jälkö and Honkela 2020). What counts is the larger of the two.
"""

import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eval.private.config import Accountant
from launch.errors import NotemillError

TOLERANCE = 0.02
"""Share by which the two opinions may differ."""
DELTA_POWER = 1.1
_ORDERS = [*(1 + x / 10 for x in range(1, 100)), *range(11, 64), 80, 96, 128, 192, 256, 384, 512]
"""Orders of Rényi divergence that both look at. Opacus's own end at 63, too low for a small ε."""
_MOST_NOISE = 1e4
_PRECISION = 1e-3
"""Relative, of the noise multiplier that is looked for."""


@dataclass(frozen=True)
class Mechanism:
    """Some steps of one kind."""

    noise_multiplier: float
    sampling_rate: float
    steps: int


@dataclass(frozen=True)
class Cost:
    """ε of all mechanisms together at `delta`, by both libraries."""

    opacus: float
    dp_accounting: float
    delta: float

    @property
    def epsilon(self) -> float:
        return max(self.opacus, self.dp_accounting)

    @property
    def difference(self) -> float:
        """As a share of the smaller opinion."""
        return abs(self.opacus - self.dp_accounting) / max(min(self.opacus, self.dp_accounting), 1e-12)


def default_delta(patients: int) -> float:
    """Below 1 / patients, at which a release of some patients' notes as they are would still count as private."""
    return patients**-DELTA_POWER


def cost_of(mechanisms: Sequence[Mechanism], delta: float, accountant: Accountant) -> Cost:
    """Raises NotemillError where the two libraries differ by more than TOLERANCE: then neither is to be trusted."""
    cost = _cost(mechanisms, delta, accountant)
    if cost.difference > TOLERANCE:
        raise NotemillError(
            f"Opacus's {accountant} accountant says epsilon {cost.opacus:.4g} and dp-accounting "
            f"{cost.dp_accounting:.4g} at delta {delta:.3g}, {cost.difference:.1%} apart where {TOLERANCE:.0%} is the "
            "limit; neither can be trusted here: change privacy.accountant, train.steps or train.patients."
        )
    return cost


def noise_for(
    epsilon: float,
    delta: float,
    sampling_rate: float,
    steps: int,
    accountant: Accountant,
    earlier: Sequence[Mechanism] = (),
) -> float:
    """The least noise multiplier, to 0.1%, at which these steps after `earlier` cost at most `epsilon`.

    Raises NotemillError where the earlier runs have used it up.
    """

    def cost(noise: float) -> Cost:
        return _cost([*earlier, Mechanism(noise, sampling_rate, steps)], delta, accountant)

    noise = _bisect(lambda noise: cost(noise).epsilon <= epsilon)
    if noise is None and earlier:
        spent = _cost(earlier, delta, accountant).epsilon
        raise NotemillError(
            f"earlier runs in the ledger have spent epsilon {spent:.3g} of privacy.epsilon {epsilon:g}, which leaves "
            "nothing for these patients. Raise privacy.epsilon if your policy allows it."
        )
    if noise is None:
        raise NotemillError(f"no amount of noise keeps to privacy.epsilon {epsilon:g}; raise it or lower train.steps.")
    return noise


def _bisect(is_enough: Callable[[float], bool]) -> float | None:
    """None where no noise is enough, as after runs that have used the budget up."""
    low, high = 0.2, 1.0
    while not is_enough(high):
        low, high = high, 2 * high
        if high > _MOST_NOISE:
            return None
    while high / low > 1 + _PRECISION:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    # A round number in the ledger, rounded to the safe side.
    return -(-high * 1e4 // 1) / 1e4


def _cost(mechanisms: Sequence[Mechanism], delta: float, accountant: Accountant) -> Cost:
    return _known_cost(tuple(mechanisms), delta, accountant)


@functools.lru_cache(maxsize=256)
def _known_cost(mechanisms: tuple[Mechanism, ...], delta: float, accountant: Accountant) -> Cost:
    second = _by_dp_accounting(mechanisms, delta, accountant)
    return Cost(_by_opacus(mechanisms, delta, accountant, second), second, delta)


def _by_opacus(mechanisms: Sequence[Mechanism], delta: float, accountant: Accountant, about: float) -> float:
    from opacus.accountants import create_accountant

    counter = create_accountant(mechanism=accountant)
    counter.history = [(m.noise_multiplier, m.sampling_rate, m.steps) for m in mechanisms]
    with warnings.catch_warnings():
        # It warns of an optimal order at the end of the range, which only makes the bound larger.
        warnings.simplefilter("ignore")
        if accountant == "rdp":
            return float(counter.get_epsilon(delta=delta, alphas=_ORDERS))
        # The upper end of its own error is returned, which must be small beside ε.
        return float(counter.get_epsilon(delta=delta, eps_error=min(0.01, max(1e-3, about / 200))))


def _by_dp_accounting(mechanisms: Sequence[Mechanism], delta: float, accountant: Accountant) -> float:
    import dp_accounting
    from absl import logging
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.rdp import RdpAccountant

    # It names each low order whose series is too long, and leaves the order out, which only makes the bound larger.
    logging.set_verbosity(logging.ERROR)
    counter = RdpAccountant(_ORDERS) if accountant == "rdp" else PLDAccountant()
    for mechanism in mechanisms:
        noise = dp_accounting.GaussianDpEvent(mechanism.noise_multiplier)
        step = dp_accounting.PoissonSampledDpEvent(mechanism.sampling_rate, noise)
        counter.compose(step, mechanism.steps)
    return float(counter.get_epsilon(delta))
