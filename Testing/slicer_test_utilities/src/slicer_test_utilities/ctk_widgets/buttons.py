"""Buttons of CTK."""

from __future__ import annotations

import os
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from ..pythonqt import stand_in
from ..pythonqt.properties import checked, stored
from ..pythonqt.signals import weakly


@stand_in
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A titled box; checked means open. Clicking opens and closes it, closing hides its children."""

    contentsCollapsed = QtCore.Signal(bool)
    _hidden_by_collapse: list[QtWidgets.QWidget]
    _HEADER_HEIGHT = 24
    flat = stored(bool, "flat", False)
    collapsedHeight = stored(int, "collapsedHeight", 16)
    contentsFrameShape = stored(int, "contentsFrameShape", 6)

    def __init__(self, *parent: QtWidgets.QWidget | None) -> None:
        if parent and isinstance(parent[0], str):
            raise ValueError("ctkCollapsibleButton() takes a parent only; set its text afterwards")
        super().__init__(*parent)
        self._hidden_by_collapse = []
        self.setContentsMargins(0, self._HEADER_HEIGHT, 0, 0)
        self.checkable = True
        self.checked = True
        self.connect("toggled(bool)", weakly(self._toggled))

    def setCollapsed(self, collapsed: bool) -> None:
        self.checked = not checked(bool, "collapsed", collapsed)

    collapsed = QtCore.Property(bool, lambda self: not self.checked, lambda self, value: self.setCollapsed(value))

    def _toggled(self, is_open: bool) -> None:
        if is_open:
            for child in self._hidden_by_collapse:
                child.setVisible(True)
            self._hidden_by_collapse = []
        else:
            self._hidden_by_collapse = [child for child in self._child_widgets() if not child.isHidden()]
            for child in self._hidden_by_collapse:
                child.setVisible(False)
        self.contentsCollapsed.emit(not is_open)

    def _child_widgets(self) -> list[Any]:
        return [child for child in self.children() if isinstance(child, QtWidgets.QWidget)]

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        """A widget that arrives while the box is closed (as .ui files do) is hidden too."""
        child = event.child()
        if event.polished() and self.collapsed and isinstance(child, QtWidgets.QWidget) and not child.isHidden():
            self._hidden_by_collapse.append(child)
            child.setVisible(False)

    def showEvent(self, event: QtGui.QShowEvent) -> None:
        if self.collapsed:
            for child in self._child_widgets():
                if not child.isHidden():
                    self._hidden_by_collapse.append(child)
                    child.setVisible(False)

    def sizeHint(self) -> QtCore.QSize:
        layout = self.layout()
        if self.collapsed or layout is None:
            return QtCore.QSize(100, self._HEADER_HEIGHT)
        return layout.sizeHint()

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        painter.fillRect(0, 0, self.width, self._HEADER_HEIGHT - 2, self.palette.window().color().darker(108))
        arrow = "▸" if self.collapsed else "▾"
        painter.drawText(8, self._HEADER_HEIGHT - 8, f"{arrow}  {self.text}")
        painter.end()


@stand_in
class ctkDirectoryButton(QtWidgets.QPushButton):
    """A button that shows a folder. `directory` starts as '.' and reads back absolute."""

    directoryChanged = QtCore.Signal(str)
    directorySelected = QtCore.Signal(str)
    _directory = "."
    caption = stored(str, "caption", "")
    acceptMode = stored(int, "acceptMode", 0)

    def _write(self, directory: str) -> None:
        directory = checked(str, "directory", directory)
        absolute = os.path.abspath(directory)
        if absolute != os.path.abspath(self._directory):
            self._directory = absolute
            self.setText(absolute)
            self.directoryChanged.emit(absolute)

    directory = QtCore.Property(str, lambda self: self._directory, _write)


def _check_box_controls(button: Any) -> None:
    if button.checkBoxControlsButtonToggleState:
        button.checkable = button.checkState != 0


@stand_in
class ctkCheckablePushButton(QtWidgets.QPushButton):
    """A push button with a check box in it."""

    checkStateChanged = QtCore.Signal(object)
    checkBoxToggled = QtCore.Signal(bool)
    checkBoxControlsButton = stored(bool, "checkBoxControlsButton", True)
    checkBoxControlsButtonToggleState = stored(
        bool, "checkBoxControlsButtonToggleState", True, lambda button: _check_box_controls(button)
    )
    checkBoxUserCheckable = stored(bool, "checkBoxUserCheckable", True)
    checkState = stored(object, "checkState", 0, _check_box_controls)  # type: ignore[arg-type]


@stand_in
class ctkColorPickerButton(QtWidgets.QPushButton):
    """A button that holds a color."""

    colorChanged = QtCore.Signal(QtGui.QColor)
    displayColorName = stored(bool, "displayColorName", True)
    _color = QtGui.QColor()

    def setColor(self, color: QtGui.QColor) -> None:
        if color != self._color:
            self._color = QtGui.QColor.fromRgba(color.rgba())
            self.colorChanged.emit(self._color)

    color = QtCore.Property(QtGui.QColor, lambda self: self._color, setColor)


@stand_in
class ctkMenuButton(QtWidgets.QPushButton):
    """A push button with a menu."""
