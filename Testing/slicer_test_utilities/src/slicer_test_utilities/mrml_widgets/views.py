"""Views of tables and plots, and widgets that tests only place and connect."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

from ..ctk_widgets.buttons import ctkCollapsibleButton, ctkMenuButton
from ..ctk_widgets.ranges import ctkRangeWidget
from ..ctk_widgets.sliders import ctkDoubleSpinBox, ctkSliderWidget
from ..pythonqt import stand_in
from ..pythonqt.properties import stored
from .base import qMRMLWidget


@stand_in
class qMRMLPlotView(qMRMLWidget):
    """Holds a plot view node; nothing is drawn."""

    _view_node: Any = None
    _fit_count = 0

    def mrmlPlotViewNode(self) -> Any:
        return self._view_node

    def setMRMLPlotViewNode(self, node: Any) -> None:
        self._view_node = node

    def fitToContent(self) -> None:
        self._fit_count += 1


@stand_in
class qMRMLPlotWidget(qMRMLWidget):
    """A plot view with its controller."""

    _view: qMRMLPlotView

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._view = qMRMLPlotView()
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._view)

    def plotView(self) -> qMRMLPlotView:
        return self._view

    def mrmlPlotViewNode(self) -> Any:
        return self._view.mrmlPlotViewNode()

    def setMRMLPlotViewNode(self, node: Any) -> None:
        self._view.setMRMLPlotViewNode(node)

    def _scene_changed(self) -> None:
        self._view.setMRMLScene(self._scene)


@stand_in
class qMRMLTableView(qMRMLWidget):
    """Shows a table node."""

    transposed = stored(bool, "transposed", False)
    firstRowLocked = stored(bool, "firstRowLocked", False)
    firstColumnLocked = stored(bool, "firstColumnLocked", False)
    selectionChanged = QtCore.Signal()
    _table_node: Any = None
    _table: QtWidgets.QTableWidget

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._table = QtWidgets.QTableWidget()
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)

    def mrmlTableNode(self) -> Any:
        return self._table_node

    def setMRMLTableNode(self, node: Any) -> None:
        self._table_node = node
        table = node.GetTable() if node is not None else None
        self._table.setRowCount(table.GetNumberOfRows() if table else 0)
        self._table.setColumnCount(table.GetNumberOfColumns() if table else 0)
        if table:
            columns = range(table.GetNumberOfColumns())
            self._table.setHorizontalHeaderLabels([table.GetColumnName(column) or "" for column in columns])
            for row in range(table.GetNumberOfRows()):
                for column in columns:
                    item = QtWidgets.QTableWidgetItem(table.GetValue(row, column).ToString())
                    self._table.setItem(row, column, item)


@stand_in
class qMRMLSubjectHierarchyComboBox(qMRMLWidget):
    """Holds the current item of the subject hierarchy."""

    currentItemChanged = QtCore.Signal(object)
    cpp_signals = {**qMRMLWidget.cpp_signals, "currentItemChanged(vtkIdType)": "currentItemChanged(PyObject)"}
    multiSelection = stored(bool, "multiSelection", False)
    noneEnabled = stored(bool, "noneEnabled", False)
    nodeTypes = stored("QStringList", "nodeTypes", [])
    _item = 0

    def currentItem(self) -> int:
        return self._item

    def setCurrentItem(self, item: int) -> None:
        if item != self._item:
            self._item = item
            self.currentItemChanged.emit(item)


@stand_in
class qMRMLSubjectHierarchyTreeView(qMRMLSubjectHierarchyComboBox):
    """The same as a tree."""

    contextMenuEnabled = stored(bool, "contextMenuEnabled", True)
    editMenuActionVisible = stored(bool, "editMenuActionVisible", True)


@stand_in
class qMRMLSegmentationShow3DButton(ctkMenuButton):
    """Shows a segmentation in 3D."""

    _node: Any = None

    def setSegmentationNode(self, node: Any) -> None:
        self._node = node

    def segmentationNode(self) -> Any:
        return self._node


class SceneHolder:
    """MRML variants of CTK widgets know the scene, for units."""

    _scene: Any = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene


@stand_in
class qMRMLSliderWidget(ctkSliderWidget, SceneHolder):
    """A slider with units."""

    quantity = stored(str, "quantity", "")


@stand_in
class qMRMLSpinBox(ctkDoubleSpinBox, SceneHolder):
    """A spin box with units."""

    quantity = stored(str, "quantity", "")


@stand_in
class qMRMLRangeWidget(ctkRangeWidget, SceneHolder):
    """A range with units."""

    quantity = stored(str, "quantity", "")


@stand_in
class qMRMLCollapsibleButton(ctkCollapsibleButton, SceneHolder):
    """A collapsible box that hands the scene on."""
