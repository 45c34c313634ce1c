"""`qt.QUiLoader` for .ui files with ctk and qMRML widgets.

Unknown classes and connections that name nothing are errors here; Slicer loads a plain QWidget, or stays silent.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from .pythonqt import signals, stand_ins
from .pythonqt.attributes import Loading
from .pythonqt.classes import raw


class QUiLoader(QtUiTools.QUiLoader):
    """Takes custom widgets by class name and wires the connections in Python."""

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        """Qt swallows errors raised here, so `load` reports the unknown classes beforehand."""
        widget_class = widget_class_named(class_name)
        if widget_class is None:  # "Line", Designer's name for a QFrame
            return super().createWidget(class_name, parent, name)
        widget = widget_class(parent) if parent is not None else widget_class()
        raw(widget, "setObjectName")(name)
        return widget

    def load(self, source: Any, parent: Any = None) -> Any:
        path = source if isinstance(source, str) else source.fileName()
        tree = ElementTree.parse(path).getroot()
        _refuse_unknown_classes(path, tree)
        _replace_stand_in_enums(tree)
        connections = [_texts(element) for element in tree.iter("connection")]
        for element in tree.findall("connections"):
            tree.remove(element)
        widget = self._load_tree(tree, parent, path)
        named = {raw(child, "objectName")(): child for child in [widget, *widget.findChildren("QObject")]}
        for connection in connections:
            _wire(path, named, *connection)
        return widget

    def _load_tree(self, tree: ElementTree.Element, parent: Any, path: str) -> Any:
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        self.setWorkingDirectory(QtCore.QFileInfo(path).absoluteDir())
        Loading.active = True
        try:
            widget = QtUiTools.QUiLoader.load(self, buffer, parent)
        finally:
            Loading.active = False
        if widget is None:
            raise RuntimeError(f"{path}: {self.errorString()}")
        return widget


def widget_class_named(class_name: str) -> type | None:
    if class_name in stand_ins:
        return stand_ins[class_name]
    for module in (QtWidgets, QtGui):
        if isinstance(getattr(module, class_name, None), type):
            return getattr(module, class_name)
    return None


def _refuse_unknown_classes(path: str, tree: ElementTree.Element) -> None:
    names = {element.get("class", "") for element in tree.iter("widget")} - {"Line"}
    unknown = sorted(name for name in names if widget_class_named(name) is None)
    if unknown:
        raise RuntimeError(f"{path}: unknown widget class {', '.join(unknown)}")


def _replace_stand_in_enums(tree: ElementTree.Element) -> None:
    """Qt cannot read `<set>ctkPathLineEdit::Dirs|ctkPathLineEdit::Files</set>` of a class made in Python."""
    for owner in tree.iter("property"):
        for value in [child for child in owner if child.tag in ("set", "enum")]:
            flags = [flag.split("::") for flag in (value.text or "").split("|")]
            if all(flag[0] in stand_ins for flag in flags):
                number = sum(int(getattr(stand_ins[flag[0]], flag[-1])) for flag in flags)
                owner.remove(value)
                ElementTree.SubElement(owner, "number").text = str(number)


def _texts(connection: ElementTree.Element) -> tuple[str, ...]:
    return tuple(connection.findtext(tag, "") for tag in ("sender", "signal", "receiver", "slot"))


def _wire(path: str, named: dict[str, Any], sender: str, signal: str, receiver: str, slot: str) -> None:
    missing = [name for name in (sender, receiver) if not name or name not in named]
    if missing:
        raise RuntimeError(f"{path}: connection {sender}.{signal} -> {receiver}.{slot} names a missing widget")
    try:
        signals.connect(named[sender], signal, named[receiver], slot)
    except RuntimeError as error:
        raise RuntimeError(f"{path}: connection {sender}.{signal} -> {receiver}.{slot}: {error}") from error
