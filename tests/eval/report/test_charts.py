import re

from hypothesis import given, settings
from hypothesis import strategies as st

from eval.report.charts import Bar, Series, interval_chart, line_chart, short, ticks


@settings(deadline=None)
@given(low=st.floats(-1e6, 1e6), width=st.just(0.0) | st.floats(1e-3, 1e6))
def test_ticks_enclose_the_range_in_even_steps(low: float, width: float) -> None:
    marks = ticks(low, low + width)
    span = max(abs(low), width, 1e-9)
    assert marks[0] <= low + 1e-6 * span and marks[-1] >= low + width - 1e-6 * span
    assert 2 <= len(marks) <= 9


def test_points_stay_inside_the_drawing() -> None:
    chart = str(line_chart([Series("loss", [0.0, 5.0, 9e6], [9.0, float("nan"), 1.5], True)], "tokens", "loss"))
    points = re.search(r'points="([^"]+)"', chart)
    assert points is not None
    pairs = [tuple(map(float, pair.split(","))) for pair in points.group(1).split()]
    assert len(pairs) == 2  # the value that is no number is left out
    assert all(0 <= x <= 640 and 0 <= y <= 260 for x, y in pairs)


def test_nothing_to_draw_is_nothing() -> None:
    assert str(line_chart([Series("loss", [], [])], "x", "y")) == ""
    assert str(interval_chart([])) == ""


def test_names_are_escaped() -> None:
    assert "<b>" not in str(interval_chart([Bar("<b>", 0.5, 0.4, 0.6, 0), Bar("x", 0.1, None, None, 1)]))


def test_short_numbers() -> None:
    assert [short(v) for v in (0.25, 950, 2_500_000, 9.1e9, 0.00018, -2e-5, 0)] == [
        *("0.25", "950", "2.5M", "9.1B", "1.8e-4", "-2e-5", "0")
    ]


@given(low=st.integers(1, 50), width=st.integers(0, 50))
def test_epochs_have_whole_ticks(low: int, width: int) -> None:
    marks = ticks(low, low + width, is_whole=True)
    assert all(mark == round(mark) for mark in marks) and marks[0] <= low and marks[-1] >= low + width


def test_narrow_pages_have_a_drawing_of_their_own() -> None:
    chart = str(interval_chart([Bar("a model", 0.5, 0.4, 0.6, 0)]))
    assert chart.count("<svg") == 2 and chart.count("0.500") == 2
