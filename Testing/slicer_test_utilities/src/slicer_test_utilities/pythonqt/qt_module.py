"""The module `qt`: PySide6 with PythonQt's behavior, in one flat namespace."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets
from shiboken6 import Shiboken

from . import attributes, enums, signals
from .conversions import with_enums
from .immortal import make_constants_immortal

_MODULES = (QtCore, QtGui, QtWidgets, QtUiTools)

# Patching these crashes: their C++ code reads Python attributes while files and .ui files are read.
_LEFT_ALONE = (QtCore.QFileDevice, QtCore.QBuffer, QtCore.QCoreApplication, QtUiTools.QUiLoader, QtCore.QThread)

# Methods outside the patched classes that return lists; PythonQt returns tuples.
_RETURN_LISTS = {
    "QDir": ("entryList", "entryInfoList", "nameFilters"),
    "QApplication": ("topLevelWidgets", "allWidgets", "topLevelWindows"),
    "QSettings": ("allKeys", "childKeys", "childGroups"),
    "QProcess": ("arguments",),
    "QProcessEnvironment": ("keys", "toStringList"),
    "QUrl": ("toStringList",),
}


# Methods outside the patched classes that take an integer for an enum.
_TAKE_INTEGERS = {"QColor": ("name",)}


def install() -> ModuleType:
    """Patch PySide6 once per process and register the module `qt`."""
    if "qt" in sys.modules:
        return sys.modules["qt"]
    make_constants_immortal()
    enums.make_integer_like(_MODULES)
    for cls in _classes():
        _patch_class(cls)
    for class_name, names in _RETURN_LISTS.items():
        for name in names:
            _return_tuple(_find_class(class_name), name)
    for class_name, names in _TAKE_INTEGERS.items():
        for name in names:
            _take_integers(_find_class(class_name), name)
    sys.modules["qt"] = _namespace()
    return sys.modules["qt"]


def _classes() -> Iterator[type]:
    for module in _MODULES:
        for value in enums.public_names(module).values():
            if (
                isinstance(value, type)
                and value.__module__.startswith("PySide6")
                and not issubclass(value, _LEFT_ALONE)
            ):
                yield value


def _patch_class(cls: Any) -> None:
    if issubclass(cls, QtCore.QObject):
        cls.__getattribute__ = attributes.get_attribute
        cls.__setattr__ = attributes.set_attribute
        cls.__init__ = _positional_only(cls.__init__, cls.__name__)
    elif issubclass(cls, Shiboken.Object):
        cls.__setattr__ = _refusing_new_attributes(cls.__setattr__)


def _positional_only(init: Callable[..., None], class_name: str) -> Callable[..., None]:
    def checked_init(self: Any, *arguments: Any, **keywords: Any) -> None:
        if keywords:
            raise ValueError(f"{class_name}() takes no keyword arguments")
        init(self, *arguments)

    return checked_init


def _refusing_new_attributes(set_attribute: Callable[..., None]) -> Callable[..., None]:
    """For values and items (QTableWidgetItem, QSize): they have neither properties nor attributes in PythonQt."""

    def checked_set(self: Any, name: str, value: Any) -> None:
        if type(self).__module__.startswith("PySide6"):
            raise AttributeError(f"'{name}' cannot be written on a {type(self).__name__} object")
        set_attribute(self, name, value)

    return checked_set


def _find_class(name: str) -> Any:
    return next(getattr(module, name) for module in _MODULES if hasattr(module, name))


def _return_tuple(cls: Any, name: str) -> None:
    if not hasattr(cls, name):
        return
    original = getattr(cls, name)
    is_static = (
        isinstance(cls.__dict__.get(name), staticmethod) or type(original).__name__ == "builtin_function_or_method"
    )

    def call(*arguments: Any) -> tuple[Any, ...]:
        return tuple(original(*arguments))

    setattr(cls, name, staticmethod(call) if is_static else call)


def _take_integers(cls: Any, name: str) -> None:
    original = getattr(cls, name)

    def call(self: Any, *arguments: Any) -> Any:
        return original(self, *(with_enums(original, arguments) or arguments))

    setattr(cls, name, call)


def _namespace() -> ModuleType:
    qt = ModuleType("qt")
    for module in _MODULES:
        for name, value in enums.public_names(module).items():
            setattr(qt, name, value)
    QtCore.QObject.connect = staticmethod(signals.connect)  # type: ignore[assignment]
    QtCore.QObject.disconnect = staticmethod(signals.disconnect)  # type: ignore[assignment]
    return qt
