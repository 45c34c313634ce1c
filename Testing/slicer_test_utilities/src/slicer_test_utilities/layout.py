"""`slicer.app.layoutManager()` of an application with a main window."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore

from .mrml_widgets.views import qMRMLPlotWidget
from .pythonqt import stand_in


@stand_in
class LayoutManager(QtCore.QObject):
    """Keeps the layout in the scene's layout node; has one plot widget and no slice or 3D widgets."""

    layoutChanged = QtCore.Signal(int)
    threeDViewCount = QtCore.Property(int, lambda self: 0)
    tableViewCount = QtCore.Property(int, lambda self: 0)
    plotViewCount = QtCore.Property(int, lambda self: 1)
    _scene: Any
    _logic: Any
    _plot_widget: qMRMLPlotWidget

    def __init__(self, scene: Any, application_logic: Any) -> None:
        super().__init__()
        self._scene = scene
        self._logic = application_logic
        self._plot_widget = qMRMLPlotWidget()
        self._plot_widget.setMRMLScene(scene)

    def layoutLogic(self) -> Any:
        return self

    def GetLayoutNode(self) -> Any:
        return self._scene.GetSingletonNode("vtkMRMLLayoutNode", "vtkMRMLLayoutNode")

    def setLayout(self, layout: int) -> None:
        if layout != self.layout:
            self.GetLayoutNode().SetViewArrangement(int(layout))
            self.layoutChanged.emit(int(layout))

    layout = QtCore.Property(
        int, lambda self: self.GetLayoutNode().GetViewArrangement(), lambda self, layout: self.setLayout(layout)
    )

    def plotWidget(self, index: int) -> qMRMLPlotWidget | None:
        return self._plot_widget if index == 0 else None

    def sliceViewNames(self) -> tuple[str, ...]:
        return ()

    def sliceWidget(self, name: str) -> None:
        return None

    def threeDWidget(self, index: int) -> None:
        return None

    def mrmlSliceLogics(self) -> Any:
        return self._logic.GetSliceLogics()

    def resetSliceViews(self) -> None:
        """There are no slice views."""

    def resetThreeDViews(self) -> None:
        """There are no 3D views."""
