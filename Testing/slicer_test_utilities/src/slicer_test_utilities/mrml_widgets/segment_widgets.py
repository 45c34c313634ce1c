"""qMRMLSegmentSelectorWidget and qMRMLSegmentsTableView."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets
from vtkmodules.vtkCommonCore import vtkCommand

from ..pythonqt import stand_in
from ..pythonqt.properties import stored
from ..pythonqt.signals import weakly
from .base import Observers, qMRMLWidget
from .node_combo_box import qMRMLNodeComboBox


def segment_ids(node: Any) -> list[str]:
    segmentation = node.GetSegmentation() if node is not None else None
    if segmentation is None:
        return []
    return [segmentation.GetNthSegmentID(i) for i in range(segmentation.GetNumberOfSegments())]


def _segment_name(node: Any, segment_id: str) -> str:
    return str(node.GetSegmentation().GetSegment(segment_id).GetName())


@stand_in
class qMRMLSegmentSelectorWidget(qMRMLWidget):
    """Chooses a segmentation and one of its segments.

    The segment signal comes before the node signal. After `setCurrentNode(None)`, `currentSegmentID()` still returns
    the old ID, as in Slicer: ask for the node first.
    """

    currentNodeChanged = QtCore.Signal(object)
    currentSegmentChanged = QtCore.Signal(str)
    segmentSelectionChanged = QtCore.Signal("QStringList")
    nodeAboutToBeEdited = QtCore.Signal(object)
    _current_node_valid = QtCore.Signal(bool)
    cpp_signals = {
        **qMRMLWidget.cpp_signals,
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged(PyObject)",
        "currentNodeChanged(bool)": "_current_node_valid(bool)",
        "nodeAboutToBeEdited(vtkMRMLNode*)": "nodeAboutToBeEdited(PyObject)",
    }
    noneEnabled = stored(bool, "noneEnabled", False, lambda widget: widget._none_changed())
    editEnabled = stored(bool, "editEnabled", False)
    segmentationNodeSelectorVisible = stored(
        bool, "segmentationNodeSelectorVisible", True, lambda widget: widget._show_node_selector()
    )
    multiSelection = stored(bool, "multiSelection", False)
    horizontalLayout = stored(bool, "horizontalLayout", False)
    selectNodeUponCreation = stored(bool, "selectNodeUponCreation", True)
    _segment_id = ""
    _selected_ids: tuple[str, ...] = ()
    _known_ids: list[str]
    _observed: Any = None
    _observers: Observers
    _node_combo: qMRMLNodeComboBox
    _segment_combo: QtWidgets.QComboBox

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._known_ids = []
        self._observers = Observers(self)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._node_combo = qMRMLNodeComboBox()
        self._node_combo.nodeTypes = ["vtkMRMLSegmentationNode"]
        self._segment_combo = QtWidgets.QComboBox()
        layout.addWidget(self._node_combo)
        layout.addWidget(self._segment_combo)
        self._node_combo.connect("currentNodeChanged(vtkMRMLNode*)", weakly(self._node_changed))
        self._segment_combo.connect("activated(int)", weakly(self._segment_activated))

    def currentNode(self) -> Any:
        return self._node_combo.currentNode()

    def currentNodeID(self) -> str:
        return str(self._node_combo.currentNodeID)

    def currentSegmentID(self) -> str:
        return self._segment_id

    def segmentIDs(self) -> tuple[str, ...]:
        return tuple(segment_ids(self.currentNode()))

    def selectedSegmentIDs(self) -> tuple[str, ...]:
        if self.multiSelection:
            return self._selected_ids
        return (self._segment_id,) if self._segment_id else ()

    def setCurrentNode(self, node: Any) -> None:
        self._node_combo.setCurrentNode(node)

    def setCurrentNodeID(self, node_id: str) -> None:
        self._node_combo.setCurrentNodeID(node_id)

    def setCurrentSegmentID(self, segment_id: str) -> None:
        """An unknown ID is ignored."""
        if segment_id in self.segmentIDs() or (not segment_id and self.noneEnabled):
            self._select_segment(segment_id)

    def setSelectedSegmentIDs(self, ids: Any) -> None:
        known = tuple(segment_id for segment_id in ids if segment_id in self.segmentIDs())
        if self.multiSelection and known != self._selected_ids:
            self._selected_ids = known
            self.segmentSelectionChanged.emit(list(known))

    def _scene_changed(self) -> None:
        self._node_combo.setMRMLScene(self._scene)

    def _none_changed(self) -> None:
        self._node_combo.noneEnabled = self.noneEnabled
        self._show_segments()

    def _show_node_selector(self) -> None:
        self._node_combo.setVisible(self.segmentationNodeSelectorVisible)

    def _node_changed(self, node: Any) -> None:
        self._observers.remove_all()
        if node is not None:
            for event in (slicer.vtkSegmentation.SegmentAdded, slicer.vtkSegmentation.SegmentRemoved):
                self._observers.add(node.GetSegmentation(), event, "_segments_changed")
            self._observers.add(node, vtkCommand.ModifiedEvent, "_segments_changed")
            self._select_segment("" if self.noneEnabled else next(iter(self.segmentIDs()), ""))
        self._known_ids = list(self.segmentIDs())
        self._show_segments()
        self.currentNodeChanged.emit(node)
        self._current_node_valid.emit(node is not None)

    def _segments_changed(self) -> None:
        before, now = self._known_ids, list(self.segmentIDs())
        if before == now:
            return
        self._known_ids = now
        if self._segment_id not in now:
            self._select_segment(_neighbor(before, now, self._segment_id) if not self.noneEnabled else "")
        self.setSelectedSegmentIDs(self._selected_ids)
        self._show_segments()

    def _select_segment(self, segment_id: str) -> None:
        if segment_id == self._segment_id:
            return
        self._segment_id = segment_id
        self._show_segments()
        self.currentSegmentChanged.emit(segment_id)
        if not self.multiSelection:
            self.segmentSelectionChanged.emit([segment_id] if segment_id else [])

    def _show_segments(self) -> None:
        entries = ([""] if self.noneEnabled else []) + list(self.segmentIDs())
        self._segment_combo.clear()
        for segment_id in entries:
            self._segment_combo.addItem(_segment_name(self.currentNode(), segment_id) if segment_id else "None")
        self._segment_combo.setCurrentIndex(entries.index(self._segment_id) if self._segment_id in entries else -1)

    def _segment_activated(self, index: int) -> None:
        self._select_segment((([""] if self.noneEnabled else []) + list(self.segmentIDs()))[index])


def _neighbor(before: list[str], now: list[str], lost: str) -> str:
    """The next entry that is still there, else the previous one."""
    index = before.index(lost) if lost in before else 0
    later = [segment_id for segment_id in before[index + 1 :] if segment_id in now]
    earlier = [segment_id for segment_id in before[:index] if segment_id in now]
    return (later or earlier[::-1] or now or [""])[0]


@stand_in
class qMRMLSegmentsTableView(qMRMLWidget):
    """A table of segments."""

    selectionChanged = QtCore.Signal(QtCore.QItemSelection, QtCore.QItemSelection)
    segmentAboutToBeModified = QtCore.Signal(str)
    selectionMode = stored(int, "selectionMode", 3)
    headerVisible = stored(bool, "headerVisible", True)
    visibilityColumnVisible = stored(bool, "visibilityColumnVisible", True)
    colorColumnVisible = stored(bool, "colorColumnVisible", True)
    opacityColumnVisible = stored(bool, "opacityColumnVisible", True)
    statusColumnVisible = stored(bool, "statusColumnVisible", False)
    layerColumnVisible = stored(bool, "layerColumnVisible", False)
    readOnly = stored(bool, "readOnly", False)
    filterBarVisible = stored(bool, "filterBarVisible", False)
    textFilter = stored(str, "textFilter", "")
    jumpToSelectedSegmentEnabled = stored(bool, "jumpToSelectedSegmentEnabled", False)
    segmentCount = QtCore.Property(int, lambda self: len(segment_ids(self._node)))
    _node: Any = None
    _observers: Observers
    _table: QtWidgets.QTableWidget

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._observers = Observers(self)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._table = QtWidgets.QTableWidget(0, 1)
        self._table.setHorizontalHeaderLabels(["Name"])
        self._table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectionBehavior.SelectRows)
        layout.addWidget(self._table)
        self._table.selectionModel().connect(
            "selectionChanged(QItemSelection,QItemSelection)", weakly(self._selection_changed)
        )

    def _selection_changed(self, selected: Any, deselected: Any) -> None:
        self.selectionChanged.emit(selected, deselected)

    def segmentationNode(self) -> Any:
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        if node is not None and not node.IsA("vtkMRMLSegmentationNode"):
            node = None
        self._observers.remove_all()
        self._node = node
        if node is not None:
            for event in (slicer.vtkSegmentation.SegmentAdded, slicer.vtkSegmentation.SegmentRemoved):
                self._observers.add(node.GetSegmentation(), event, "_show_segments")
        self._show_segments()

    def selectedSegmentIDs(self) -> tuple[str, ...]:
        rows = sorted(index.row() for index in self._table.selectionModel().selectedRows())
        return tuple(self.segmentIDForRow(row) for row in rows)

    def setSelectedSegmentIDs(self, ids: Any) -> None:
        self._table.clearSelection()
        rows = [self.rowForSegmentID(segment_id) for segment_id in ids]
        model = self._table.selectionModel()
        flag = QtCore.QItemSelectionModel.SelectionFlag
        for row in (row for row in rows if row >= 0):
            model.select(self._table.model().index(row, 0), flag.Select | flag.Rows)

    def clearSelection(self) -> None:
        self._table.clearSelection()

    def displayedSegmentIDs(self) -> tuple[str, ...]:
        return tuple(segment_ids(self._node))

    def segmentIDForRow(self, row: int) -> str:
        return segment_ids(self._node)[row]

    def rowForSegmentID(self, segment_id: str) -> int:
        ids = segment_ids(self._node)
        return ids.index(segment_id) if segment_id in ids else -1

    def _show_segments(self) -> None:
        ids = segment_ids(self._node)
        self._table.setRowCount(len(ids))
        for row, segment_id in enumerate(ids):
            self._table.setItem(row, 0, QtWidgets.QTableWidgetItem(_segment_name(self._node, segment_id)))
