"""Small charts as SVG text, to stand in an HTML page: no library, no script. All texts are escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 560, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 26, 40
_PLOT_WIDTH, _PLOT_HEIGHT = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
_TICKS = 5  # at most, beside 0
_BAR_ROW, _BAR_LABEL, _BAR_VALUE = 17, 250, 50  # pixels


@dataclass(frozen=True)
class Series:
    """One line, or one bar in each group. `points`: x and y; for bars the place in the list is the group."""

    name: str
    color: str
    points: Sequence[tuple[float, float]]


def line_chart(series: Sequence[Series], x_label: str, y_label: str, y_top: float) -> str:
    """Lines from (0, 0) to the largest x and `y_top`."""
    x_top = max((x for one in series for x, _ in one.points), default=1) or 1
    lines = [
        f'<polyline fill="none" stroke="{one.color}" stroke-width="2" points="{_points(one.points, x_top, y_top)}"/>'
        for one in series
    ]
    return _framed([*_axes(x_top, y_top, x_label, y_label), *lines], _HEIGHT, f"{y_label} by {x_label}") + _legend(
        series
    )


def bar_chart(groups: Sequence[str], series: Sequence[Series], top: float, label: str) -> str:
    """A group of horizontal bars for each name; a bar without a value (nan) is left out."""
    room = _WIDTH - _BAR_LABEL - _BAR_VALUE
    height = len(groups) * (len(series) * _BAR_ROW + 10) + 4
    parts = []
    for number, group in enumerate(groups):
        first = number * (len(series) * _BAR_ROW + 10) + 4
        middle = first + len(series) * _BAR_ROW / 2 + 4
        parts.append(f'<text x="{_BAR_LABEL - 8}" y="{middle:g}" text-anchor="end">{escape(group)}</text>')
        for row, one in enumerate(series):
            value = one.points[number][1]
            if value == value:
                y, width = first + row * _BAR_ROW, max(0.0, min(value / top, 1.0)) * room
                bar = f'x="{_BAR_LABEL}" y="{y}" width="{width:.1f}" height="{_BAR_ROW - 3}"'
                parts.append(f'<rect {bar} fill="{one.color}"><title>{escape(one.name)}</title></rect>')
                parts.append(f'<text x="{_BAR_LABEL + width + 5:.1f}" y="{y + 11}">{value:.2f}</text>')
    return _framed(parts, height, label) + _legend(series)


def _points(points: Sequence[tuple[float, float]], x_top: float, y_top: float) -> str:
    return " ".join(f"{_x(x, x_top):.1f},{_y(y, y_top):.1f}" for x, y in points if y == y)


def _axes(x_top: float, y_top: float, x_label: str, y_label: str) -> list[str]:
    parts = []
    for tick in _ticks(y_top):
        y = _y(tick, y_top)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in _ticks(x_top):
        parts.append(f'<text x="{_x(tick, x_top):.1f}" y="{_HEIGHT - 24}" text-anchor="middle">{tick:g}</text>')
    middle = f'x="{_LEFT + _PLOT_WIDTH / 2:g}" y="{_HEIGHT - 6}" text-anchor="middle"'
    parts.append(f"<text {middle}>{escape(x_label)}</text>")
    parts.append(f'<text x="{_LEFT + 4}" y="{_TOP - 11}">{escape(y_label)}</text>')
    return parts


def _ticks(top: float) -> list[float]:
    """Round numbers from 0 to `top`."""
    power = 10 ** math.floor(math.log10(top / _TICKS))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= top / _TICKS * (1 - 1e-9))
    return [round(number * step, 12) for number in range(int(top / step * (1 + 1e-9)) + 1)]


def _x(value: float, top: float) -> float:
    return _LEFT + _PLOT_WIDTH * value / top


def _y(value: float, top: float) -> float:
    return _TOP + _PLOT_HEIGHT * (1 - max(0.0, min(value / top, 1.0)))


def _framed(parts: Sequence[str], height: int, label: str) -> str:
    view = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    return f'<svg role="img" aria-label="{escape(label)}" {view}>{"".join(parts)}</svg>'


def _legend(series: Sequence[Series]) -> str:
    entries = [f'<span><i style="background:{one.color}"></i>{escape(one.name)}</span>' for one in series]
    return f'<p class="legend">{"".join(entries)}</p>'
