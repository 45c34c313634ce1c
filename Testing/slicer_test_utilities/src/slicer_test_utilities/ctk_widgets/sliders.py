"""ctkSliderWidget, ctkDoubleSlider, ctkDoubleSpinBox: a number in a range, shown rounded and kept exactly."""

from __future__ import annotations

import math
from typing import Any

from PySide6 import QtCore, QtWidgets

from ..pythonqt import stand_in
from ..pythonqt.properties import stored
from ..pythonqt.signals import weakly

_STEPS = 1000  # resolution of the drawn slider only


class NumberWidget(QtWidgets.QWidget):
    """What the three widgets share. CTK's range is [0, 99.99] until it is set."""

    valueChanged = QtCore.Signal(float)
    cpp_signals = {"valueChanged(double)": "valueChanged(double)"}
    _value = 0.0
    _minimum = 0.0
    _maximum = 99.99

    def setValue(self, value: float) -> None:
        if isinstance(value, bool) or not isinstance(value, float | int):
            raise ValueError(f"{type(self).__name__} needs a number, got {value!r}")
        value = min(max(float(value), self._minimum), self._maximum)
        if value != self._value:
            self._value = value
            self._show()
            self.valueChanged.emit(value)

    def setMinimum(self, minimum: float) -> None:
        self._minimum = float(minimum)
        self._maximum = max(self._maximum, self._minimum)
        self._range_changed()

    def setMaximum(self, maximum: float) -> None:
        self._maximum = float(maximum)
        self._minimum = min(self._minimum, self._maximum)
        self._range_changed()

    def _range_changed(self) -> None:
        value = self._value
        self._show_range()
        self.setValue(value)

    def _show_range(self) -> None:
        """Tell the drawn parts about the range."""

    def _show(self) -> None:
        """Tell the drawn parts about the value."""

    value = QtCore.Property(float, lambda self: self._value, lambda self, value: self.setValue(value))
    minimum = QtCore.Property(float, lambda self: self._minimum, lambda self, value: self.setMinimum(value))
    maximum = QtCore.Property(float, lambda self: self._maximum, lambda self, value: self.setMaximum(value))
    singleStep = stored(float, "singleStep", 1.0)


def _decimals_changed(widget: Any) -> None:
    widget._spin_box.setDecimals(widget.decimals)
    widget._show()


def _suffix_changed(widget: Any) -> None:
    widget._spin_box.setSuffix(widget.suffix)


def _prefix_changed(widget: Any) -> None:
    widget._spin_box.setPrefix(widget.prefix)


@stand_in
class ctkSliderWidget(NumberWidget):
    """A slider with a spin box. CTK has no setRange here, only minimum and maximum."""

    valueIsChanging = QtCore.Signal(float)
    _slider: QtWidgets.QSlider
    _spin_box: QtWidgets.QDoubleSpinBox
    decimals = stored(int, "decimals", 2, _decimals_changed)
    suffix = stored(str, "suffix", "", _suffix_changed)
    prefix = stored(str, "prefix", "", _prefix_changed)
    pageStep = stored(float, "pageStep", 10.0)
    tickInterval = stored(float, "tickInterval", 0.0)
    tracking = stored(bool, "tracking", True)
    spinBoxVisible = stored(bool, "spinBoxVisible", True, lambda widget: widget._show_spin_box())
    popupSlider = stored(bool, "popupSlider", False)
    synchronizeSiblings = stored(int, "synchronizeSiblings", 0)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
        self._spin_box = QtWidgets.QDoubleSpinBox()
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._spin_box)
        self._show_range()
        self._slider.connect("sliderMoved(int)", weakly(self._moved))
        self._spin_box.connect("editingFinished()", weakly(self._typed))

    def reset(self) -> None:
        self.setValue(0.0)

    def _show_spin_box(self) -> None:
        self._spin_box.setVisible(self.spinBoxVisible)

    def _show_range(self) -> None:
        if hasattr(self, "_spin_box"):
            self._slider.setRange(0, _STEPS)
            self._spin_box.setRange(max(self._minimum, -1e9), min(self._maximum, 1e9))
            self._show()

    def _show(self) -> None:
        span = self._maximum - self._minimum
        share = (self._value - self._minimum) / span if span > 0 and math.isfinite(span) else 0.0
        self._slider.setValue(round(share * _STEPS))
        self._spin_box.setValue(self._value)

    def _moved(self, position: int) -> None:
        self.setValue(self._minimum + (self._maximum - self._minimum) * position / _STEPS)

    def _typed(self) -> None:
        self.setValue(self._spin_box.value)


@stand_in
class ctkDoubleSlider(NumberWidget):
    """A slider for floats."""

    decimals = stored(int, "decimals", 2)


@stand_in
class ctkDoubleSpinBox(NumberWidget):
    """A spin box for floats."""

    decimals = stored(int, "decimals", 2)
    suffix = stored(str, "suffix", "")
    prefix = stored(str, "prefix", "")

    def setRange(self, minimum: float, maximum: float) -> None:
        self.setMinimum(minimum)
        self.setMaximum(maximum)
