"""qMRMLNodeComboBox with the selection rules of Slicer 5.12."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from ..pythonqt import stand_in
from ..pythonqt.properties import stored
from ..pythonqt.signals import weakly
from .base import Observers, qMRMLWidget


def _filter_changed(combo: Any) -> None:
    combo._apply_filter()


@stand_in
class qMRMLNodeComboBox(qMRMLWidget):
    """Chooses a node of the scene.

    A node that arrives later is not selected, unless add, remove, edit and rename are all off and "none" is off.
    When the current node leaves, its neighbor is selected, also with "none" enabled.
    """

    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)
    currentNodeRenamed = QtCore.Signal(str)
    nodeActivated = QtCore.Signal(object)
    nodeAdded = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    nodeAboutToBeRemoved = QtCore.Signal(object)
    nodeAboutToBeEdited = QtCore.Signal(object)
    _current_node_valid = QtCore.Signal(bool)
    cpp_signals = {
        **qMRMLWidget.cpp_signals,
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged(PyObject)",
        "currentNodeChanged(bool)": "_current_node_valid(bool)",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated(PyObject)",
        "nodeAdded(vtkMRMLNode*)": "nodeAdded(PyObject)",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser(PyObject)",
        "nodeAboutToBeRemoved(vtkMRMLNode*)": "nodeAboutToBeRemoved(PyObject)",
        "nodeAboutToBeEdited(vtkMRMLNode*)": "nodeAboutToBeEdited(PyObject)",
    }
    nodeTypes = stored("QStringList", "nodeTypes", [], lambda combo: combo._node_types_changed())
    noneEnabled = stored(bool, "noneEnabled", False, lambda combo: combo._show_nodes())
    noneDisplay = stored(str, "noneDisplay", "None", lambda combo: combo._show_nodes())
    baseName = stored(str, "baseName", "")
    showHidden = stored(bool, "showHidden", False, _filter_changed)
    showChildNodeTypes = stored(bool, "showChildNodeTypes", True, _filter_changed)
    hideChildNodeTypes = stored("QStringList", "hideChildNodeTypes", [], _filter_changed)
    addEnabled = stored(bool, "addEnabled", True)
    removeEnabled = stored(bool, "removeEnabled", True)
    editEnabled = stored(bool, "editEnabled", False)
    renameEnabled = stored(bool, "renameEnabled", False)
    selectNodeUponCreation = stored(bool, "selectNodeUponCreation", True)
    interactionNodeSingletonTag = stored(str, "interactionNodeSingletonTag", "")
    currentNodeID = QtCore.Property(str, lambda self: self._current_id(), lambda self, i: self.setCurrentNodeID(i))
    _current: Any = None
    _current_name = ""
    _neighbor: Any
    _attributes: dict[tuple[str, str], str | None]
    _observers: Observers
    _combo_box: QtWidgets.QComboBox

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._attributes = {}
        self._observers = Observers(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._combo_box = QtWidgets.QComboBox()
        self._combo_box.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed)
        layout.addWidget(self._combo_box)
        self._combo_box.connect("activated(int)", weakly(self._activated))

    def currentNode(self) -> Any:
        return self._current

    def setCurrentNode(self, node: Any) -> None:
        """Takes a node or its ID. What the filter does not allow means None."""
        if isinstance(node, str):
            node = self._scene.GetNodeByID(node) if self._scene else None
        if node is not None and not isinstance(node, slicer.vtkMRMLNode):
            raise ValueError(f"setCurrentNode() needs a node, got {node!r}")
        self._select(node if node in self._nodes() else None)

    def setCurrentNodeID(self, node_id: str) -> None:
        self.setCurrentNode(node_id or None)

    def setCurrentNodeIndex(self, index: int) -> None:
        self.setCurrentNode(self.nodeFromIndex(index))

    def nodeCount(self) -> int:
        return len(self._nodes())

    def nodeFromIndex(self, index: int) -> Any:
        """Counts the "none" entry, if there is one, as index 0."""
        entries = ([None] if self.noneEnabled else []) + self._nodes()
        return entries[index] if 0 <= index < len(entries) else None

    def addAttribute(self, node_type: str, name: str, value: str | None = None) -> None:
        self._attributes[node_type, name] = value
        self._apply_filter()

    def removeAttribute(self, node_type: str, name: str) -> None:
        self._attributes.pop((node_type, name), None)
        self._apply_filter()

    def addNode(self, node_type: str = "") -> Any:
        """What the user's "Create new ..." does: the new node is selected."""
        node_type = node_type or self.nodeTypes[0]
        name = self._scene.GenerateUniqueName(self.baseName or self._default_name(node_type))
        node = self._scene.AddNewNodeByClass(node_type, name)
        if self.selectNodeUponCreation:
            self._select(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        if self._current is not None:
            self._scene.RemoveNode(self._current)

    def _default_name(self, node_type: str) -> str:
        return self._scene.GetTagByClassName(node_type) or node_type

    def _current_id(self) -> str:
        return self._current.GetID() or "" if self._current is not None else ""

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        nodes = (self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes()))
        return [node for node in nodes if self._is_allowed(node)]

    def _is_allowed(self, node: Any) -> bool:
        """A hidden node is not offered, but the current one stays when it is hidden."""
        if node.GetHideFromEditors() and not self.showHidden and node is not self._current:
            return False
        types = [node_type for node_type in self.nodeTypes if self._has_type(node, node_type)]
        return any(self._has_attributes(node, node_type) for node_type in types)

    def _has_type(self, node: Any, node_type: str) -> bool:
        if self.showChildNodeTypes:
            return bool(node.IsA(node_type)) and not any(node.IsA(hidden) for hidden in self.hideChildNodeTypes)
        return bool(node.GetClassName() == node_type)

    def _has_attributes(self, node: Any, node_type: str) -> bool:
        wanted = {name: value for (owner, name), value in self._attributes.items() if owner == node_type}
        return all(
            node.GetAttribute(name) is not None and value in (None, node.GetAttribute(name))
            for name, value in wanted.items()
        )

    def _select(self, node: Any) -> None:
        if node is self._current:
            return
        if self._current is not None:
            self._observers.remove_from(self._current)
        self._current = node
        if node is not None:
            self._current_name = node.GetName()
            self._observers.add(node, vtk.vtkCommand.ModifiedEvent, "_current_modified")
        self._show_nodes()
        self._emit_current()

    def _emit_current(self) -> None:
        self.currentNodeChanged.emit(self._current)
        self._current_node_valid.emit(self._current is not None)
        self.currentNodeIDChanged.emit(self._current_id())

    def _scene_changed(self) -> None:
        self._observers.remove_all()
        self._current = None
        if self._scene is not None:
            scene = self._scene
            self._observers.add_with_node(scene, scene.NodeAddedEvent, "_node_added")
            self._observers.add_with_node(scene, scene.NodeAboutToBeRemovedEvent, "_node_about_to_be_removed")
            self._observers.add_with_node(scene, scene.NodeRemovedEvent, "_node_removed")
            self._observers.add(scene, scene.EndBatchProcessEvent, "_batch_ended")
        self._select_first_or_none()

    def _select_first_or_none(self) -> None:
        """At a new scene or new node types; an empty list is announced too."""
        nodes = self._nodes()
        if nodes and not self.noneEnabled:
            self._select(nodes[0])
        else:
            self._current = None
            self._show_nodes()
            self._emit_current()

    def _node_types_changed(self) -> None:
        if self._scene is not None:
            if self._current is None or not self._is_allowed(self._current):
                self._select_first_or_none()
            self._show_nodes()

    def _apply_filter(self) -> None:
        if self._current is not None and not self._is_allowed(self._current):
            self._select(None)
        self._show_nodes()

    def _node_added(self, node: Any) -> None:
        if self._scene.IsBatchProcessing() or node not in self._nodes():
            return
        self._show_nodes()
        self.nodeAdded.emit(node)
        self._select_if_nothing_else_can()

    def _select_if_nothing_else_can(self) -> None:
        """A list without "none" and without any action shows its first entry."""
        has_actions = self.addEnabled or self.removeEnabled or self.editEnabled or self.renameEnabled
        if self._current is None and not self.noneEnabled and not has_actions and self._nodes():
            self._select(self._nodes()[0])

    def _node_about_to_be_removed(self, node: Any) -> None:
        nodes = self._nodes()
        if node not in nodes:
            return
        self.nodeAboutToBeRemoved.emit(node)
        if node is self._current:
            index = nodes.index(node)
            self._neighbor = next(iter(nodes[index + 1 : index + 2] or nodes[max(index - 1, 0) : index]), None)

    def _node_removed(self, node: Any) -> None:
        if not self._scene.IsBatchProcessing():
            self._leave_removed(self._neighbor if node is self._current else self._current)

    def _batch_ended(self) -> None:
        if self._current is not None and not self._scene.IsNodePresent(self._current):
            self._leave_removed(None)
        self._select_if_nothing_else_can()
        self._show_nodes()

    def _leave_removed(self, successor: Any) -> None:
        self._select(successor)
        self._show_nodes()

    def _current_modified(self) -> None:
        if self._current is not None and self._current.GetName() != self._current_name:
            self._current_name = self._current.GetName()
            self._show_nodes()
            self.currentNodeRenamed.emit(self._current_name)
            self._emit_current()

    def _show_nodes(self) -> None:
        entries = ([None] if self.noneEnabled else []) + self._nodes()
        self._combo_box.clear()
        for node in entries:
            self._combo_box.addItem(self.noneDisplay if node is None else node.GetName())
        self._combo_box.setCurrentIndex(entries.index(self._current) if self._current in entries else -1)

    def _activated(self, index: int) -> None:
        node = self.nodeFromIndex(index)
        self._select(node)
        self.nodeActivated.emit(node)


@stand_in
class qMRMLCheckableNodeComboBox(qMRMLNodeComboBox):
    """A node combo with check boxes."""

    checkedNodesChanged = QtCore.Signal()
    _checked: tuple[Any, ...] = ()

    def checkedNodes(self) -> tuple[Any, ...]:
        return tuple(node for node in self._checked if node in self._nodes())

    def setCheckState(self, node: Any, state: int) -> None:
        others = tuple(checked for checked in self._checked if checked is not node)
        checked = (*others, node) if int(state) == 2 else others
        if checked != self._checked:
            self._checked = checked
            self.checkedNodesChanged.emit()
