"""Which classes stand for C++ classes of Slicer, and access to an object behind its PythonQt behavior."""

from __future__ import annotations

from typing import Any, TypeVar

from PySide6 import QtCore

_get = QtCore.QObject.__getattribute__

stand_ins: dict[str, type] = {}
"""Our Python classes that play C++ classes (ctkSliderWidget, qMRMLNodeComboBox), by class name."""

C = TypeVar("C", bound=type)


def stand_in(cls: C) -> C:
    """Class decorator: instances behave like objects of a C++ class, without attributes of their own."""
    stand_ins[cls.__name__] = cls
    return cls


def is_cpp_class(cls: type) -> bool:
    return cls.__module__.startswith("PySide6") or stand_ins.get(cls.__name__) is cls


def raw(qt_object: Any, name: str) -> Any:
    """The attribute as PySide6 gives it."""
    return _get(qt_object, name)
