"""The curves of a training, drawn small: a plot view would change the user's layout, and needs the main window."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import qt

_SIZE = (300, 80)  # pixels; fits the default width of a panel
_MARGIN, _LINE = 6, 16
_COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")


class LossCurve:
    """Draws into a label, which is hidden while there is no curve."""

    def __init__(self, label: Any) -> None:
        self._label = label
        self.clear()

    def clear(self) -> None:
        self.points: dict[str, list[tuple[int, float]]] = {}
        self._is_drawn = True
        self._label.visible = False

    def add(self, name: str, step: int, value: float) -> None:
        """A point; one that is not finite is left out. Nothing is drawn before `draw`."""
        if math.isfinite(value):
            self.points.setdefault(name, []).append((step, value))
            self._is_drawn = False

    def draw(self) -> None:
        """Each curve over its own range, its last value in words below. Nothing where no point has come."""
        if self._is_drawn:
            return
        self._is_drawn = True
        picture = qt.QPixmap(_SIZE[0], _SIZE[1] + _LINE * len(self.points))
        picture.fill(qt.QColor("white"))
        painter = qt.QPainter(picture)
        for number, (name, points) in enumerate(self.points.items()):
            painter.setPen(qt.QPen(qt.QColor(_COLORS[number % len(_COLORS)])))
            _draw_lines(painter, _on_picture(points))
            painter.drawText(_MARGIN, _SIZE[1] + _LINE * (number + 1) - 4, f"{name}: {points[-1][1]:.4g}")
        painter.end()
        self._label.setPixmap(picture)
        self._label.visible = True


def _on_picture(points: list[tuple[int, float]]) -> list[tuple[int, int]]:
    """Pixels: at most one point for each column, so that drawing stays fast however long the training was."""
    width, height = (side - 2 * _MARGIN for side in _SIZE)
    first, last = points[0][0], points[-1][0]
    values = [value for _, value in points]
    low, high = min(values), max(values)
    columns: dict[int, int] = {}
    for step, value in points:
        share = (step - first) / ((last - first) or 1)
        rise = (value - low) / ((high - low) or 1)
        columns[_MARGIN + round(share * width)] = _MARGIN + round((1 - rise) * height)
    return list(columns.items())


def _draw_lines(painter: Any, pixels: list[tuple[int, int]]) -> None:
    for (x0, y0), (x1, y1) in pairwise(pixels):
        painter.drawLine(x0, y0, x1, y1)
