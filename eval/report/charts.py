"""Charts as inline SVG: they scale with the page, take its colours through CSS classes and need no script.

Colours come from the classes `s0`, `s1`, … of the page's style sheet; every number drawn is also in a table or a title.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup, escape

WIDTH, HEIGHT = 640, 260
NARROW_WIDTH, HALF_WIDTH = 360, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 20, 10, 40
MAX_POINTS = 400
NUM_COLOURS = 6
_SMALL = 1e-3
"""Below this a power of ten is shorter than the zeros."""
_NO_RANGE = 1e-10
"""Below this a scale is drawn around the one value instead."""


@dataclass(frozen=True)
class Series:
    name: str
    x: list[float]
    y: list[float]
    is_marked: bool = False
    """Draw each point: for few values, such as validation."""
    colour: int | None = None
    """Of the style sheet's; by place among the lines where not given."""


@dataclass(frozen=True)
class Bar:
    """A score with its interval."""

    name: str
    value: float
    low: float | None
    high: float | None
    colour: int


def line_chart(
    series: Sequence[Series], x_label: str, y_label: str, *, is_half: bool = False, is_x_whole: bool = False
) -> Markup:
    """Lines over a shared scale; empty where there is nothing finite to draw.

    One that `is_half` as wide as the page stands beside another; others are drawn twice, for wide and narrow pages.
    """
    cleaned = [_thin(s) for s in series]
    cleaned = [s for s in cleaned if s.x]
    if not cleaned:
        return Markup("")
    sizes = [(HALF_WIDTH, "")] if is_half else [(WIDTH, " wide"), (HALF_WIDTH, " narrow")]
    drawings = [_lines(cleaned, x_label, y_label, width, kind, is_x_whole) for width, kind in sizes]
    legend = "".join(
        f'<span><i class="key s{_colour_of(s, index)}"></i>{escape(s.name)}</span>' for index, s in enumerate(cleaned)
    )
    return Markup("".join(drawings) + f'<p class="legend">{legend}</p>')


def _lines(cleaned: Sequence[Series], x_label: str, y_label: str, width: int, kind: str, is_x_whole: bool) -> str:
    x_ticks = ticks(min(min(s.x) for s in cleaned), max(max(s.x) for s in cleaned), is_whole=is_x_whole)
    y_ticks = ticks(min(min(s.y) for s in cleaned), max(max(s.y) for s in cleaned))

    def px(x: float) -> float:
        return _LEFT + (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]) * (width - _LEFT - _RIGHT)

    def py(y: float) -> float:
        return HEIGHT - _BOTTOM - (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * (HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg class="chart{kind}" viewBox="0 0 {width} {HEIGHT}" role="img" '
        f'aria-label="{escape(y_label)} over {escape(x_label)}">'
    ]
    for tick in y_ticks:
        y = py(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{width - _RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick end" x="{_LEFT - 6}" y="{y + 4:.1f}">{short(tick)}</text>')
    for tick in x_ticks:
        parts.append(f'<text class="tick mid" x="{px(tick):.1f}" y="{HEIGHT - _BOTTOM + 18}">{short(tick)}</text>')
    parts.append(f'<text class="tick mid" x="{(width + _LEFT) / 2}" y="{HEIGHT - 4}">{escape(x_label)}</text>')
    for index, s in enumerate(cleaned):
        colour = f"s{_colour_of(s, index)}"
        points = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in zip(s.x, s.y, strict=True))
        parts.append(f'<polyline class="line {colour}" points="{points}"/>')
        if s.is_marked:
            for x, y in zip(s.x, s.y, strict=True):
                title = f"<title>{escape(s.name)}: {y:.4g} at {short(x)}</title>"
                parts.append(f'<circle class="dot {colour}" cx="{px(x):.1f}" cy="{py(y):.1f}" r="3">{title}</circle>')
    return "".join([*parts, "</svg>"])


def interval_chart(bars: Sequence[Bar]) -> Markup:
    """A row a score: a dot on a scale from 0 (or the lowest bound below it) to 1, with its interval as a line.

    It is drawn twice, for pages of any width and for narrow ones, where names stand above their rows.
    """
    return _intervals(bars, is_narrow=False) + _intervals(bars, is_narrow=True) if bars else Markup("")


def _intervals(bars: Sequence[Bar], is_narrow: bool) -> Markup:
    lowest = min(0.0, *(bar.low if bar.low is not None else bar.value for bar in bars))
    low = math.floor(lowest * 10) / 10
    width = NARROW_WIDTH if is_narrow else WIDTH
    row, label_width = (40, 14) if is_narrow else (24, 250)
    height = row * len(bars) + 22

    def px(value: float) -> float:
        return label_width + (min(1.0, value) - low) / (1 - low) * (width - label_width - 60)

    kind = "narrow" if is_narrow else "wide"
    parts = [f'<svg class="chart {kind}" viewBox="0 0 {width} {height}" role="img" aria-label="scores with intervals">']
    for tick in ticks(low, 1.0):
        if low <= tick <= 1:
            parts.append(f'<line class="grid" x1="{px(tick):.1f}" y1="0" x2="{px(tick):.1f}" y2="{height - 18}"/>')
            parts.append(f'<text class="tick mid" x="{px(tick):.1f}" y="{height - 4}">{short(tick)}</text>')
    for index, bar in enumerate(bars):
        y = row * index + row / 2 + (10 if is_narrow else 0)
        if is_narrow:
            parts.append(f'<text class="label" x="{label_width}" y="{y - 12}">{escape(_clip(bar.name))}</text>')
        else:
            parts.append(f'<text class="label end" x="{label_width - 10}" y="{y + 4}">{escape(_clip(bar.name))}</text>')
        if bar.low is not None and bar.high is not None:
            parts.append(
                f'<line class="bar s{bar.colour}" x1="{px(bar.low):.1f}" y1="{y}" x2="{px(bar.high):.1f}" y2="{y}"/>'
            )
        parts.append(f'<circle class="dot s{bar.colour}" cx="{px(bar.value):.1f}" cy="{y}" r="5"/>')
        parts.append(f'<text class="label" x="{width - 44}" y="{y + 4}">{bar.value:.3f}</text>')
    parts.append("</svg>")
    return Markup("".join(parts))


def ticks(low: float, high: float, count: int = 5, *, is_whole: bool = False) -> list[float]:
    """Round numbers (whole ones on request) from at or below `low` to at or above `high`; at least two."""
    if high - low < _NO_RANGE:
        high = low + max(abs(low), 1e-6)
    raw = (high - low) / count
    magnitude = 10 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= raw * (1 - 1e-9))
    step = max(1.0, round(step)) if is_whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def short(value: float) -> str:
    """2500000 as 2.5M, 0.00018 as 1.8e-4."""
    for limit, suffix in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.4g}{suffix}"
    if 0 < abs(value) < _SMALL:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:.4g}"


def _thin(series: Series) -> Series:
    points = [(x, y) for x, y in zip(series.x, series.y, strict=True) if math.isfinite(x) and math.isfinite(y)]
    every = -(-len(points) // MAX_POINTS) or 1
    kept = points[::every]
    if points and kept[-1] != points[-1]:
        kept.append(points[-1])
    return replace(series, x=[x for x, _ in kept], y=[y for _, y in kept])


def _colour_of(series: Series, index: int) -> int:
    return (index if series.colour is None else series.colour) % NUM_COLOURS


def _clip(name: str) -> str:
    return name if len(name) <= 32 else name[:31] + "…"
