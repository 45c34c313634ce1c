"""Which widget can show which type, and how the two follow each other."""

from __future__ import annotations

import enum
import pathlib
from collections.abc import Callable
from typing import Any

import ctk
import qt
import slicer

from .annotations import Choice, Decimals, Maximum, Minimum, SingleStep, WithinRange, first_of, split_annotations
from .codecs import node_types

PROPERTY = "SlicerParameterName"


class Connector:
    """One widget bound to one parameter: how to read it, how to write it, which signal tells of a change."""

    def __init__(self, widget: Any, signal: str, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self._signal = getattr(widget, signal)
        self._callback: Callable[[], None] | None = None
        self.read = read
        self.write = write

    def connect(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._signal.connect(self._changed)

    def disconnect(self) -> None:
        self._signal.disconnect(self._changed)

    def _changed(self) -> None:
        if self._callback is not None:
            self._callback()


def connector_for(widget: Any, data_type: Any) -> Connector:
    plain, annotations = split_annotations(data_type)
    for classes, fits, make in _CONNECTORS:
        if type(widget) in classes() and fits(plain):
            return make(widget, plain, annotations)
    raise RuntimeError(f"Unable to create GUI connector from datatype '{data_type}' to widget type '{type(widget)}'.")


def widgets_by_parameter(gui: Any) -> dict[str, Any]:
    """gui: a widget, or the object that childWidgetVariables returns."""
    is_widget = getattr(gui, "isWidgetType", lambda: False)()
    widgets = gui.findChildren("QWidget") if is_widget else [w for w in vars(gui).values() if hasattr(w, "property")]
    return {widget.property(PROPERTY): widget for widget in widgets if widget.property(PROPERTY)}


def _property(widget: Any, name: str, signal: str) -> Connector:
    def write(value: Any) -> None:
        if value != getattr(widget, name):
            setattr(widget, name, value)

    return Connector(widget, signal, lambda: getattr(widget, name), write)


def _button(widget: Any, plain: Any, annotations: Any) -> Connector:
    widget.checkable = True
    return _property(widget, "checked", "toggled")


def _integer(widget: Any, plain: Any, annotations: Any) -> Connector:
    limits = _limits(annotations)
    if type(widget) is qt.QSlider and None in limits:
        raise RuntimeError("Cannot have a connection to QSlider where the int type is unbounded.")
    _set_step(widget, annotations)
    widget.minimum = int(limits[0]) if limits[0] is not None else -(2**31)
    widget.maximum = int(limits[1]) if limits[1] is not None else 2**31 - 1
    return _property(widget, "value", "valueChanged")


def _number(widget: Any, plain: Any, annotations: Any) -> Connector:
    limits = _limits(annotations)
    if isinstance(widget, ctk.ctkSliderWidget) and None in limits:
        raise RuntimeError("Cannot have a connection to ctkSliderWidget where the float types is unbounded.")
    decimals = first_of(annotations, Decimals)
    if plain is int:
        widget.decimals = 0
    elif decimals is not None:
        widget.decimals = decimals.value
    _set_step(widget, annotations)
    widget.minimum = float(limits[0]) if limits[0] is not None else float("-inf")
    widget.maximum = float(limits[1]) if limits[1] is not None else float("inf")
    connector = _property(widget, "value", "valueChanged")
    write = connector.write
    connector.read = lambda: plain(widget.value)
    connector.write = lambda value: write(float(value))
    return connector


def _limits(annotations: Any) -> tuple[float | None, float | None]:
    within = first_of(annotations, WithinRange)
    if within is not None:
        return within.minimum, within.maximum
    minimum, maximum = first_of(annotations, Minimum), first_of(annotations, Maximum)
    return (minimum.minimum if minimum else None), (maximum.maximum if maximum else None)


def _set_step(widget: Any, annotations: Any) -> None:
    step = first_of(annotations, SingleStep)
    if step is not None:
        widget.singleStep = step.value


def _choice(widget: Any, plain: Any, annotations: Any) -> Connector:
    choice = first_of(annotations, Choice)
    if choice is None:
        raise RuntimeError("a combo box needs the annotation Choice")
    return _items(widget, {str(value): value for value in choice.choices})


def _enum(widget: Any, plain: Any, annotations: Any) -> Connector:
    label = getattr(plain, "label", lambda member: member.name)
    return _items(widget, {label(member): member for member in plain})


def _items(widget: Any, values: dict[str, Any]) -> Connector:
    """The connector fills the combo box."""
    widget.clear()
    for text in values:
        widget.addItem(text)
    ordered = list(values.values())

    def write(value: Any) -> None:
        widget.currentIndex = ordered.index(value)

    return Connector(widget, "currentIndexChanged", lambda: ordered[widget.currentIndex], write)


def _path(name: str, signal: str) -> Callable[..., Connector]:
    def make(widget: Any, plain: Any, annotations: Any) -> Connector:
        connector = _property(widget, name, signal)
        write = connector.write
        connector.read = lambda: plain(getattr(widget, name))
        connector.write = lambda value: write(str(value))
        return connector

    return make


def _node(widget: Any, plain: Any, annotations: Any) -> Connector:
    widget.nodeTypes = [node_class().GetClassName() for node_class in node_types(plain)]
    return Connector(widget, "currentNodeChanged", widget.currentNode, widget.setCurrentNode)


def _is(*kinds: type) -> Callable[[Any], bool]:
    return lambda plain: plain in kinds


def _subclass(kind: type) -> Callable[[Any], bool]:
    return lambda plain: isinstance(plain, type) and issubclass(plain, kind)


_Make = Callable[[Any, Any, Any], Connector]

# What Slicer 5.12 binds; every other pair is refused there and here.
_CONNECTORS: list[tuple[Callable[[], tuple[type, ...]], Callable[[Any], Any], _Make]] = [
    (lambda: (qt.QCheckBox, ctk.ctkCheckBox), _is(bool), lambda w, p, a: _property(w, "checked", "stateChanged")),
    (lambda: (qt.QPushButton, ctk.ctkCheckablePushButton), _is(bool), _button),
    (lambda: (qt.QSlider, qt.QSpinBox), _is(int), _integer),
    (
        lambda: (
            qt.QDoubleSpinBox,
            ctk.ctkSliderWidget,
            ctk.ctkDoubleSlider,
            ctk.ctkDoubleSpinBox,
            slicer.qMRMLSliderWidget,
            slicer.qMRMLSpinBox,
        ),
        _is(float, int),
        _number,
    ),
    (lambda: (qt.QComboBox, ctk.ctkComboBox), _is(int, float, str, bool), _choice),
    (lambda: (qt.QComboBox, ctk.ctkComboBox), _subclass(enum.Enum), _enum),
    (lambda: (qt.QLineEdit,), _is(str), lambda w, p, a: _property(w, "text", "textChanged")),
    (lambda: (ctk.ctkPathLineEdit,), _subclass(pathlib.PurePath), _path("currentPath", "currentPathChanged")),
    (lambda: (ctk.ctkDirectoryButton,), _subclass(pathlib.PurePath), _path("directory", "directoryChanged")),
    (lambda: (slicer.qMRMLNodeComboBox,), node_types, _node),
]
