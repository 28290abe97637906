"""Learning curves of a task: dev score and training loss by epoch, each model's mean over its seeds."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from markupsafe import Markup

from eval.report.charts import NUM_COLOURS, Series, line_chart
from eval.results import Result


def learning_curves(group: Mapping[str, Result], names: Sequence[str]) -> list[tuple[str, Markup]]:
    """Charts with their captions; empty where no run has a second epoch. Colours follow `names`, as in other charts."""
    if not any(len(seed["epochs"]) > 1 for result in group.values() for seed in result["seeds"]):
        return []
    primary = next(iter(group.values()))["primary"]
    dev = [_series(name, _by_epoch(result, "dev"), names) for name, result in group.items()]
    loss = [_series(name, _by_epoch(result, "loss"), names) for name, result in group.items()]
    charts = [
        (f"Dev {primary} after each epoch", line_chart(dev, "epoch", primary, is_half=True, is_x_whole=True)),
        ("Training loss of each epoch", line_chart(loss, "epoch", "loss", is_half=True, is_x_whole=True)),
    ]
    return [(caption, chart) for caption, chart in charts if chart]


def _by_epoch(result: Result, key: str) -> list[tuple[int, float]]:
    """Means over the seeds that came to the epoch."""
    values: dict[int, list[float]] = {}
    for seed in result["seeds"]:
        for row in seed["epochs"]:
            value = row["dev"] if key == "dev" else row["loss"]
            if value is not None:
                values.setdefault(row["epoch"], []).append(value)
    return [(epoch, fmean(found)) for epoch, found in sorted(values.items())]


def _series(name: str, points: Sequence[tuple[int, float]], names: Sequence[str]) -> Series:
    colour = names.index(name) % (NUM_COLOURS - 1)
    return Series(name, [float(epoch) for epoch, _ in points], [value for _, value in points], True, colour)
