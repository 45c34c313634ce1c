"""What all MRML widgets share: a scene, and observers that end with the widget."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import shiboken6
import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from ..pythonqt import stand_in


class Observers:
    """VTK observers of one widget. They hold it weakly and are removed when Qt destroys it."""

    def __init__(self, widget: QtWidgets.QWidget) -> None:
        self._widget = weakref.ref(widget)
        self._tags: list[tuple[Any, int]] = []
        QtCore.QObject.connect(widget, "destroyed()", self.remove_all)

    def add(self, subject: Any, event: int, method_name: str) -> None:
        """Call `widget.method_name()` at each event."""
        self._tags.append((subject, subject.AddObserver(event, self._caller(method_name))))

    def add_with_node(self, scene: Any, event: int, method_name: str) -> None:
        """Call `widget.method_name(node)`. Only for events that carry a node: VTK cannot tell, and would crash."""
        call = vtk.calldata_type(vtk.VTK_OBJECT)(self._caller(method_name))
        self._tags.append((scene, scene.AddObserver(event, call)))

    def _caller(self, method_name: str) -> Callable[..., None]:
        widget_reference = self._widget

        def call(caller: Any, event: str, *data: Any) -> None:
            widget = widget_reference()
            if widget is not None and shiboken6.isValid(widget):
                getattr(widget, method_name)(*data)

        return call

    def remove_all(self) -> None:
        for subject, tag in self._tags:
            subject.RemoveObserver(tag)
        self._tags = []

    def remove_from(self, subject: Any) -> None:
        for observed, tag in self._tags:
            if observed is subject:
                observed.RemoveObserver(tag)
        self._tags = [entry for entry in self._tags if entry[0] is not subject]


@stand_in
class qMRMLWidget(QtWidgets.QWidget):
    """A widget that hands its scene on: `mrmlSceneChanged(vtkMRMLScene*)`."""

    mrmlSceneChanged = QtCore.Signal(object)
    cpp_signals = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged(PyObject)"}
    _scene: Any = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not None and not isinstance(scene, slicer.vtkMRMLScene):
            raise ValueError(f"setMRMLScene() needs a vtkMRMLScene, got {scene!r}")
        if scene is not self._scene:
            self._scene = scene
            self._scene_changed()
            self.mrmlSceneChanged.emit(scene)

    def _scene_changed(self) -> None:
        """For widgets that show nodes."""


@stand_in
class qSlicerWidget(qMRMLWidget):
    """The same in Slicer's application library."""
