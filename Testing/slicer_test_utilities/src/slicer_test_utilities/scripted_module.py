"""Loads a scripted module and takes it through the life that Slicer gives it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import shiboken6
import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from .mrml_widgets.base import qSlicerWidget
from .panel_checks import check_panel
from .pythonqt import stand_in
from .pythonqt.properties import stored


@stand_in
class qSlicerScriptedLoadableModule(QtCore.QObject):
    """The module object: metadata that the Python class fills in, and the way to its panel."""

    title = stored(str, "title", "")
    categories = stored("QStringList", "categories", [])
    dependencies = stored("QStringList", "dependencies", [])
    contributors = stored("QStringList", "contributors", [])
    associatedNodeTypes = stored("QStringList", "associatedNodeTypes", [])
    helpText = stored(str, "helpText", "")
    acknowledgementText = stored(str, "acknowledgementText", "")
    hidden = stored(bool, "hidden", False)
    index = stored(int, "index", -1)
    widgetRepresentationCreationEnabled = stored(bool, "widgetRepresentationCreationEnabled", True)
    path = QtCore.Property(str, lambda self: self._path)
    icon = QtCore.Property(QtGui.QIcon, lambda self: self._icon, lambda self, icon: self._set_icon(icon))
    _path: str
    _icon: QtGui.QIcon
    _loader: ScriptedModule

    def __init__(self, loader: ScriptedModule) -> None:
        super().__init__()
        self._loader = loader
        self._path = str(loader.path)
        self._icon = QtGui.QIcon()
        self.name = loader.name

    def _set_icon(self, icon: QtGui.QIcon) -> None:
        self._icon = icon

    def widgetRepresentation(self) -> Any:
        return self._loader.container

    def createNewWidgetRepresentation(self) -> Any:
        """Replaces `slicer.modules.XWidget`, as in Slicer."""
        return self._loader.make_panel()[0]

    def logic(self) -> Any:
        return None


@stand_in
class qSlicerScriptedLoadableModuleWidget(qSlicerWidget):
    """The container of a panel; `isEntered` while the module is shown."""

    _is_entered = False
    _loader: ScriptedModule
    isEntered = QtCore.Property(bool, lambda self: self._is_entered)

    def reload(self) -> None:
        self._loader.replace_panel()

    def self(self) -> Any:
        return self._loader.widget


class ScriptedModule:
    """One module under test.

    widget: the module's Python widget (`XWidget`); container: the Qt widget it fills; ui: its `ui`, if it has one.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).resolve()
        self.name = self.path.stem
        self.container: Any = None
        self.widget: Any = None
        self.python_module = self._import()
        self.parent = qSlicerScriptedLoadableModule(self)
        self.instance = getattr(self.python_module, self.name)(self.parent)
        setattr(slicer.modules, self.name.lower(), self.parent)
        setattr(slicer.modules, self.name + "Instance", self.instance)

    @property
    def ui(self) -> Any:
        return self.widget.ui

    @property
    def logic(self) -> Any:
        return self.widget.logic

    def setup(self) -> None:
        """Make the panel. Slicer has no main window yet and shows nothing."""
        self.container, self.widget = self.make_panel()

    def enter(self) -> None:
        """The user opens the module. The panel must be complete by now."""
        self.container.show()
        self.container._is_entered = True
        self._call("enter")
        QtWidgets.QApplication.processEvents()
        check_panel(self.container)

    def exit(self) -> None:
        """The user opens another module."""
        self.container._is_entered = False
        self._call("exit")
        self.container.hide()

    def reload(self) -> Any:
        """The button Reload: cleanup, constructor, setup; neither exit nor enter."""
        self.widget.onReload()
        self.python_module = sys.modules[self.name]
        return self.widget

    def close(self) -> None:
        """Slicer quits: exit, cleanup, aboutToQuit; then Qt destroys the panel."""
        if self.container is None:
            return
        if self.container.isEntered:
            self.exit()
        self._call("cleanup")
        slicer.app.aboutToQuit.emit()
        shiboken6.delete(self.container)
        self.container = self.widget = None

    def make_panel(self) -> tuple[Any, Any]:
        container = qSlicerScriptedLoadableModuleWidget()
        container._loader = self
        container.setLayout(QtWidgets.QVBoxLayout())
        container.setMRMLScene(slicer.mrmlScene)
        return container, self._fill(container)

    def replace_panel(self) -> None:
        self.widget = self._fill(self.container)

    def _fill(self, container: Any) -> Any:
        widget_class = getattr(sys.modules[self.name], self.name + "Widget")
        widget = widget_class(container)
        setattr(slicer.modules, self.name + "Widget", widget)
        widget.setup()
        return widget

    def _call(self, method: str) -> None:
        if hasattr(self.widget, method):
            getattr(self.widget, method)()

    def _import(self) -> Any:
        folder = str(self.path.parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        spec = importlib.util.spec_from_file_location(self.name, self.path)
        if spec is None or spec.loader is None:
            raise FileNotFoundError(f"no scripted module at {self.path}")
        python_module = importlib.util.module_from_spec(spec)
        sys.modules[self.name] = python_module
        spec.loader.exec_module(python_module)
        return python_module


@contextmanager
def running_module(path: str | Path) -> Iterator[ScriptedModule]:
    """Load, announce that Slicer has started, set up, enter; at the end exit, clean up and destroy."""
    module = ScriptedModule(path)
    slicer.app.startupCompleted.emit()
    try:
        module.setup()
        module.enter()
        yield module
    finally:
        module.close()
        sys.modules.pop(module.name, None)
