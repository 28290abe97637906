from itertools import pairwise

import pytest

from pretrain.schedule import batch_size, learning_rate, mask_probability

KWARGS = {"peak": 1e-3, "floor": 1e-4, "warmup_steps": 10, "total_steps": 100, "decay_steps": 20}
SHAPES = ["linear", "cosine", "wsd"]


@pytest.mark.parametrize("shape", SHAPES)
def test_warms_up_to_the_peak_and_ends_on_the_floor(shape):
    assert learning_rate(0, shape=shape, **KWARGS) == pytest.approx(1e-4)
    assert learning_rate(9, shape=shape, **KWARGS) == pytest.approx(1e-3)
    assert learning_rate(10, shape=shape, **KWARGS) == pytest.approx(1e-3)
    assert learning_rate(99, shape=shape, **KWARGS) == pytest.approx(1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_never_rises_after_warmup(shape):
    rates = [learning_rate(step, shape=shape, **KWARGS) for step in range(10, 100)]
    assert all(later <= earlier for earlier, later in pairwise(rates))


def test_no_warmup_starts_at_the_peak():
    assert learning_rate(0, peak=1.0, floor=0.0, warmup_steps=0, total_steps=5) == 1.0


def test_cosine_is_half_way_down_in_the_middle():
    assert learning_rate(50, peak=1.0, floor=0.0, warmup_steps=0, total_steps=101, shape="cosine") == pytest.approx(0.5)


def test_wsd_stays_at_the_peak_until_its_decay():
    rates = [learning_rate(step, shape="wsd", **KWARGS) for step in range(100)]
    assert rates[10:80] == [1e-3] * 70
    assert rates[89] == pytest.approx(5.5e-4)


def test_batch_grows_by_its_first_size_and_is_full_after_the_ramp():
    sizes, rows = [], 0
    while rows < 400:
        sizes.append(batch_size(rows, start=8, full=32, ramp_rows=96))
        rows += sizes[-1]
    assert sizes[:8] == [8, 8, 8, 8, 16, 16, 24, 24]
    assert set(sizes[8:]) == {32}


def test_batch_without_ramp_is_full_from_the_start():
    assert batch_size(0, start=32, full=32, ramp_rows=0) == 32


def test_masking_goes_straight_from_first_to_last():
    rates = [mask_probability(step, first=0.3, last=0.15, total_steps=4) for step in range(4)]
    assert rates == pytest.approx([0.3, 0.25, 0.2, 0.15])
