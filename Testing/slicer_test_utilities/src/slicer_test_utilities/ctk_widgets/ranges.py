"""ctkRangeWidget, ctkDoubleRangeSlider, ctkCoordinatesWidget: several numbers at once."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from ..pythonqt import stand_in
from ..pythonqt.properties import stored


class RangeWidget(QtWidgets.QWidget):
    """Two sorted values inside [minimum, maximum]."""

    valuesChanged = QtCore.Signal(float, float)
    minimumValueChanged = QtCore.Signal(float)
    maximumValueChanged = QtCore.Signal(float)
    _values = (0.0, 99.99)
    _bounds = (0.0, 99.99)
    decimals = stored(int, "decimals", 2)
    singleStep = stored(float, "singleStep", 1.0)

    def setValues(self, first: float, second: float) -> None:
        low, high = self._bounds
        lower, upper = sorted(min(max(float(value), low), high) for value in (first, second))
        before = self._values
        if (lower, upper) == before:
            return
        self._values = (lower, upper)
        if lower != before[0]:
            self.minimumValueChanged.emit(lower)
        if upper != before[1]:
            self.maximumValueChanged.emit(upper)
        self.valuesChanged.emit(lower, upper)

    def setRange(self, minimum: float, maximum: float) -> None:
        self._bounds = (float(minimum), max(float(minimum), float(maximum)))
        self.setValues(*self._values)

    def setMinimumValue(self, value: float) -> None:
        self.setValues(value, self._values[1])

    def setMaximumValue(self, value: float) -> None:
        self.setValues(self._values[0], value)

    minimumValue = QtCore.Property(float, lambda self: self._values[0], lambda self, v: self.setMinimumValue(v))
    maximumValue = QtCore.Property(float, lambda self: self._values[1], lambda self, v: self.setMaximumValue(v))
    minimum = QtCore.Property(float, lambda self: self._bounds[0], lambda self, v: self.setRange(v, self._bounds[1]))
    maximum = QtCore.Property(float, lambda self: self._bounds[1], lambda self, v: self.setRange(self._bounds[0], v))


@stand_in
class ctkRangeWidget(RangeWidget):
    """Two values with spin boxes."""


@stand_in
class ctkDoubleRangeSlider(RangeWidget):
    """Two values on a slider."""


@stand_in
class ctkCoordinatesWidget(QtWidgets.QWidget):
    """A point; `coordinates` is a text with commas."""

    coordinatesChanged = QtCore.Signal("double*")
    coordinates = stored(str, "coordinates", "0,0,0")
    dimension = stored(int, "dimension", 3)
    decimals = stored(int, "decimals", 3)
    minimum = stored(float, "minimum", -100000.0)
    maximum = stored(float, "maximum", 100000.0)
