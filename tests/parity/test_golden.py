"""Processors round differently in the last bits, so numbers are held to 2e-5 and not to the bit."""

import pytest

from tests.parity.golden import golden_run, read_golden


def test_ten_steps_give_the_losses_that_are_written_down(tmp_path):
    steps, expected = golden_run(tmp_path), read_golden()
    assert len(expected) == 10
    for step, (ours, theirs) in enumerate(zip(steps, expected, strict=True), start=1):
        assert ours == pytest.approx(theirs, abs=2e-5), f"step {step}"
