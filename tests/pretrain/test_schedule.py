from itertools import pairwise

import pytest

from pretrain.schedule import linear_warmup_decay

KWARGS = {"peak": 1e-3, "floor": 1e-4, "warmup_steps": 10, "total_steps": 100}


def test_warms_up_to_the_peak_and_ends_on_the_floor():
    assert linear_warmup_decay(0, **KWARGS) == pytest.approx(1e-4)
    assert linear_warmup_decay(9, **KWARGS) == pytest.approx(1e-3)
    assert linear_warmup_decay(10, **KWARGS) == pytest.approx(1e-3)
    assert linear_warmup_decay(99, **KWARGS) == pytest.approx(1e-4)


def test_never_rises_after_warmup():
    rates = [linear_warmup_decay(step, **KWARGS) for step in range(10, 100)]
    assert all(later <= earlier for earlier, later in pairwise(rates))


def test_no_warmup_starts_at_the_peak():
    assert linear_warmup_decay(0, peak=1.0, floor=0.0, warmup_steps=0, total_steps=5) == 1.0
