"""Which steps are left out, when a run goes back, and which rows come next."""

import math

import pytest

from pretrain.config import TrainConfig
from pretrain.guard import Guard, GuardState, next_rows, stretches


def guard(**settings) -> Guard:
    return Guard(TrainConfig(**settings))


def feed(judge: Guard, losses: list[float]) -> list[int]:
    """Positions of the steps that are left out."""
    left_out = []
    for step, loss in enumerate(losses, start=1):
        fault = judge.fault_in(loss)
        if fault:
            judge.skipped(step, [2 * step, 2 * step + 1], loss, fault)
            left_out.append(step)
        else:
            judge.passed(loss)
    return left_out


def test_losses_that_are_not_finite_are_left_out():
    judge = guard()
    assert feed(judge, [1.0, math.nan, math.inf, 1.0, -math.inf]) == [2, 3, 5]
    assert judge.state.in_a_row == 1
    assert [skip.loss for skip in judge.state.skips] == [None] * 3


def test_spikes_are_told_only_when_asked_and_once_the_window_is_full():
    calm = [5.0 + 0.01 * (step % 7) for step in range(20)]
    assert feed(guard(), [*calm, 9.0]) == []
    assert feed(guard(spike_deviations=6.0, spike_window=20), [*calm, 9.0, 5.0]) == [21]
    assert feed(guard(spike_deviations=6.0, spike_window=21), [*calm, 9.0]) == []
    # A fall is none, and a spike does not raise the limit for the next one.
    assert feed(guard(spike_deviations=6.0, spike_window=20), [*calm, 0.1, 5.0]) == []
    assert feed(guard(spike_deviations=6.0, spike_window=20), [*calm, 9.0, 9.0, 9.0]) == [21, 22, 23]


def test_a_series_of_bad_steps_asks_to_go_back_until_it_has_been_often_enough():
    judge = guard(skip_limit=3, rollback_limit=2)
    feed(judge, [1.0, math.nan, math.nan, 1.0, math.nan, math.nan])
    assert not judge.wants_rollback
    judge.skipped(7, [14, 15], math.nan, "the loss is nan")
    assert judge.wants_rollback and judge.first_bad_step == 5 and not judge.is_exhausted
    judge.go_back_to(None)
    assert not judge.wants_rollback
    assert judge.skipped_rows == [(4, 5), (6, 7), (10, 11), (12, 13), (14, 15)]
    judge.go_back_to(None)
    assert judge.is_exhausted


def test_a_saved_guard_judges_as_the_one_that_went_on():
    import json

    losses = [5.0 + 0.1 * (step % 5) for step in range(30)] + [7.0, 5.2, 9.0, 5.1]
    straight = guard(spike_deviations=4.0, spike_window=10)
    feed(straight, losses)
    for cut in range(len(losses)):
        first, second = (guard(spike_deviations=4.0, spike_window=10) for _ in range(2))
        feed(first, losses[:cut])
        second.resume(json.loads(json.dumps(first.state.to_json())), same_rows=True)
        for step, loss in enumerate(losses[cut:], start=cut + 1):
            fault = second.fault_in(loss)
            second.skipped(step, [2 * step, 2 * step + 1], loss, fault) if fault else second.passed(loss)
        assert second.state == straight.state


def test_other_data_forgets_rows_and_losses_but_not_what_happened():
    before = guard(spike_deviations=4.0, spike_window=2)
    feed(before, [1.0, 1.0, math.nan])
    after = guard()
    after.resume(before.state.to_json(), same_rows=False)
    assert after.skipped_rows == []
    assert [skip.step for skip in after.state.skips] == [3]
    assert after.state.recent == []
    after.resume(None, same_rows=True)
    assert after.state == GuardState()


@pytest.mark.parametrize(
    ("rows_seen", "count", "skipped", "expected"),
    [
        (0, 4, [], [0, 1, 2, 3]),
        (8, 4, [(0, 7)], [8, 9, 10, 11]),
        (4, 4, [(4, 7)], [8, 9, 10, 11]),
        (4, 4, [(6, 7)], [4, 5, 8, 9]),
        (4, 4, [(8, 9)], [4, 5, 6, 7]),
        (4, 4, [(2, 5), (7, 7), (9, 20)], [6, 8, 21, 22]),
        (4, 2, [(0, 9), (3, 5)], [10, 11]),
    ],
)
def test_rows_that_were_skipped_are_jumped_over(rows_seen, count, skipped, expected):
    assert next_rows(rows_seen, count, skipped) == expected


def test_no_row_is_lost_or_repeated_whatever_is_skipped():
    import random

    for seed in range(200):
        chance = random.Random(seed)
        gone = sorted(chance.sample(range(300), 60))
        skipped = [(first, last) for first, last in stretches(gone)]
        position, taken = 0, []
        while position < 300:
            rows = next_rows(position, chance.randrange(1, 9), skipped)
            taken += rows
            position = rows[-1] + 1
        assert taken == [row for row in range(position) if row not in gone]
