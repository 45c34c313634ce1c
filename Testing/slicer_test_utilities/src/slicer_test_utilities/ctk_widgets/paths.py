"""ctkPathLineEdit: a path with a browse button."""

from __future__ import annotations

import os
from typing import Any

from PySide6 import QtCore, QtWidgets

from ..pythonqt import stand_in
from ..pythonqt.properties import checked, stored
from ..pythonqt.signals import weakly

DIRS, FILES, DRIVES = 0x01, 0x02, 0x04


@stand_in
class ctkPathLineEdit(QtWidgets.QWidget):
    """`currentPath` is a text; `validInputChanged(bool)` says whether it names something that `filters` allow."""

    currentPathChanged = QtCore.Signal(str)
    validInputChanged = QtCore.Signal(bool)
    Dirs, Files, Drives = DIRS, FILES, DRIVES
    NoSymLinks, Readable, Writable, Executable, Modified = 0x08, 0x10, 0x20, 0x40, 0x80
    Hidden, System, AllDirs, NoDot, NoDotDot = 0x100, 0x200, 0x400, 0x2000, 0x4000
    _path = ""
    _was_valid = False
    _line_edit: QtWidgets.QLineEdit
    filters = stored(int, "filters", DIRS | FILES | DRIVES)
    nameFilters = stored("QStringList", "nameFilters", [])
    options = stored(int, "options", 0)
    settingKey = stored(str, "settingKey", "")
    showBrowseButton = stored(bool, "showBrowseButton", True)
    showHistoryButton = stored(bool, "showHistoryButton", True)
    label = stored(str, "label", "")

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._line_edit = QtWidgets.QLineEdit()
        browse_button = QtWidgets.QToolButton()
        browse_button.text = "..."
        layout.addWidget(self._line_edit, 1)
        layout.addWidget(browse_button)
        self._line_edit.connect("editingFinished()", weakly(self._typed))
        browse_button.connect("clicked()", weakly(self.browse))

    def setCurrentPath(self, path: str) -> None:
        path = checked(str, "currentPath", path)
        if path == self._path:
            return
        self._path = path
        self._line_edit.setText(path)
        self.currentPathChanged.emit(path)
        if self._is_valid() != self._was_valid:
            self._was_valid = self._is_valid()
            self.validInputChanged.emit(self._was_valid)

    def addCurrentPathToHistory(self) -> None:
        """History is not kept in tests."""

    def browse(self) -> None:
        """Asks like Slicer's file dialog; the test answers."""
        dialog: Any = QtWidgets.QFileDialog
        if self.filters & DIRS and not self.filters & FILES:
            path = dialog.getExistingDirectory(self)
        else:
            path = dialog.getOpenFileName(self)
        if path:
            self.setCurrentPath(path)

    def _typed(self) -> None:
        self.setCurrentPath(self._line_edit.text)

    def _is_valid(self) -> bool:
        return bool(self.filters & FILES and os.path.isfile(self._path)) or bool(
            self.filters & DIRS and os.path.isdir(self._path)
        )

    currentPath = QtCore.Property(str, lambda self: self._path, lambda self, path: self.setCurrentPath(path))
