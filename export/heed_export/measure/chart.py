"""Line charts as SVG, without a plotting library: a page's figure from a few series of numbers.

Colours suit light and dark pages alike; every point carries its value as a tooltip, every line its name at its end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Sequence

from .svg import document, element, points

COLOURS = ("#c2571a", "#2f7fc1", "#3a9a5b", "#8a63c9", "#8a4f00")
_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 150, 44, 58


@dataclass(frozen=True)
class Series:
    """One line: a value per x label; None leaves the point out."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Chart:
    """`labels` stand at equal distances below. `logarithmic`: of the value axis, for values above 0."""

    title: str
    x_title: str
    y_title: str
    labels: Sequence[str]
    series: Sequence[Series]
    logarithmic: bool = False


def ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    """Round values that enclose [low, high]: 1, 2, 5 times a power of ten; linear axes start at 0."""
    if logarithmic:
        steps = [m * 10.0**e for e in range(-6, 10) for m in (1, 2, 5)]
        first = max(i for i, s in enumerate(steps) if s <= low)
        last = min(i for i, s in enumerate(steps) if s >= high)
        return steps[first : max(last, first + 1) + 1]
    rough = max(high, 1e-9) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    return [i * step for i in range(math.ceil(high / step - 1e-9) + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _spread(wanted: list[float], least: float) -> list[float]:
    """Moves heights apart until neighbours are `least` from each other, keeping their order."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = list(wanted)
    for before, after in zip(order, order[1:]):
        placed[after] = max(placed[after], placed[before] + least)
    return placed


def svg(chart: Chart) -> str:
    """The chart's text. Raises ValueError when there is no value to show."""
    shown = [v for s in chart.series for v in s.values if v is not None]
    if not shown:
        raise ValueError(f"chart {chart.title!r} has no value")
    marks = ticks(min(shown), max(shown), chart.logarithmic)
    scale = math.log if chart.logarithmic else float
    low, high = scale(marks[0]), scale(marks[-1])
    span = _WIDTH - _LEFT - _RIGHT

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (scale(value) - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    def x(at: int) -> float:
        return _LEFT + span * (at + 0.5) / len(chart.labels)

    style = "text{font:13px sans-serif;fill:#777}.t{font-size:15px;font-weight:bold}line{stroke:#8886}"
    right, foot = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    out = [
        element("title", chart.title) + element("style", style),
        element("text", chart.title, class_="t", x=_LEFT, y=22),
    ]
    for mark in marks:
        out.append(element("line", x1=_LEFT, x2=right, y1=y(mark), y2=y(mark)))
        out.append(element("text", _number(mark), x=_LEFT - 8, y=y(mark) + 4, text_anchor="end"))
    for at, label in enumerate(chart.labels):
        out.append(element("text", label, x=x(at), y=foot + 20, text_anchor="middle"))
    turned = f"translate(16 {(foot + _TOP) / 2}) rotate(-90)"
    out.append(
        element("text", chart.x_title, x=_LEFT + span / 2, y=_HEIGHT - 14, text_anchor="middle")
        + element("text", chart.y_title, transform=turned, text_anchor="middle")
    )
    ends = _spread([y([v for v in s.values if v is not None][-1]) for s in chart.series], 17)
    for series, colour, end in zip(chart.series, COLOURS, ends):
        shown_at = [(x(i), y(v), v) for i, v in enumerate(series.values) if v is not None]
        path = points([(px, py) for px, py, _ in shown_at])
        out.append(element("polyline", points=path, fill="none", stroke=colour, stroke_width=2.5))
        for px, py, value in shown_at:
            tip = element("title", f"{series.name}: {_number(value)}")
            out.append(element("circle", inside=tip, cx=px, cy=py, r=4, fill=colour))
        out.append(element("text", series.name, x=right + 10, y=end + 4, style=f"fill:{colour}"))
    return document(_WIDTH, _HEIGHT, out, role="img")
