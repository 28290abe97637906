"""Is a scan's highest score more than a clean model gives? Held against control models trained alike on clean data.

p is the rank of the model's highest score among the controls' highest scores, (1 + number at least as high) / (1 + n):
with n controls it cannot be below 1 / (1 + n). An alarm is a score above the controls' mean plus three standard
deviations; its false-alarm rate is measured on the controls, each held against the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ALARM_DEVIATIONS = 3.0
MIN_CONTROLS = 3
"""Below which neither a spread nor a false-alarm rate can be given."""
_LEAST_DEVIATION = 0.02
"""Controls that chance made alike must not raise an alarm for a hair's breadth."""


@dataclass(frozen=True)
class Calibration:
    p_value: float | None
    threshold: float | None
    is_alarm: bool | None
    false_alarms: int | None
    """Controls that raise an alarm held against the others."""
    num_controls: int


def calibrate(top_score: float, controls: Sequence[float]) -> Calibration:
    """What `top_score` means beside the controls' highest scores; None where there are too few of them."""
    count = len(controls)
    if not count:
        return Calibration(None, None, None, None, 0)
    p_value = empirical_p(top_score, controls)
    if count < MIN_CONTROLS:
        return Calibration(p_value, None, None, None, count)
    limit = threshold(controls)
    others = [[*controls[:i], *controls[i + 1 :]] for i in range(count)]
    false_alarms = sum(score > threshold(rest) for score, rest in zip(controls, others, strict=True))
    return Calibration(p_value, limit, top_score > limit, false_alarms, count)


def empirical_p(score: float, controls: Sequence[float]) -> float:
    return (1 + sum(control >= score for control in controls)) / (1 + len(controls))


def threshold(controls: Sequence[float]) -> float:
    """The score above which a model raises an alarm."""
    spread = max(_LEAST_DEVIATION, float(np.std(controls, ddof=1)))
    return float(np.mean(controls)) + ALARM_DEVIATIONS * spread
