"""Bars as inline SVG: a group of bars for each row, one for each tokenizer; every number is written beside its bar."""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

NUM_COLOURS = 6
_WIDTH, _LABEL, _NUMBER = 680, 190, 58
_BAR, _GAP = 13, 11
_LONGEST_NAME = 26


class Row(NamedTuple):
    """A group of bars; a value that is None leaves its place empty."""

    name: str
    values: Sequence[float | None]


def bar_chart(rows: Sequence[Row], names: Sequence[str], *, label: str, percent: bool = False) -> Markup:
    """`names` are those of the bars within a row; empty where there is nothing to draw."""
    longest = max((value for row in rows for value in row.values if value is not None), default=0.0)
    if not longest:
        return Markup("")
    group = _BAR * len(names) + _GAP
    height = group * len(rows)
    parts = [f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label)}">']
    parts.append(f'<line class="grid" x1="{_LABEL}" y1="0" x2="{_LABEL}" y2="{height}"/>')
    for number, row in enumerate(rows):
        top = group * number + _GAP / 2
        middle = top + _BAR * len(names) / 2 + 4
        parts.append(f'<text class="label end" x="{_LABEL - 10}" y="{middle:.1f}">{escape(_clip(row.name))}</text>')
        for index, value in enumerate(row.values):
            if value is None:
                continue
            y = top + _BAR * index
            width = (_WIDTH - _LABEL - _NUMBER) * value / longest
            written = f"{100 * value:.1f}%" if percent else f"{value:.2f}"
            title = f"<title>{escape(row.name)}, {escape(names[index])}: {written}</title>"
            parts.append(
                f'<rect class="fill{index % NUM_COLOURS}" x="{_LABEL}" y="{y:.1f}" width="{max(width, 1):.1f}" '
                f'height="{_BAR - 2}" rx="2">{title}</rect>'
            )
            parts.append(f'<text x="{_LABEL + width + 6:.1f}" y="{y + _BAR - 3:.1f}">{written}</text>')
    return Markup("".join([*parts, "</svg>"]))


def _clip(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
