"""Attribute access on Qt objects as PythonQt does it: properties are values, unknown names are errors.

The functions replace `__getattribute__` and `__setattr__` of the PySide6 classes themselves, so exact types stay,
also for objects that Qt makes (scroll bars, buttons of a message box).
"""

from __future__ import annotations

import functools
from typing import Any

import shiboken6
from PySide6 import QtCore

from . import signals
from .classes import is_cpp_class, raw
from .conversions import from_qt
from .methods import Method, destroyed_error

_set = QtCore.QObject.__setattr__
_MISSING = object()


class Loading:
    """While QUiLoader runs, PySide6 writes every child as an attribute of its parent; PythonQt does not."""

    active = False


def get_attribute(self: QtCore.QObject, name: str) -> Any:
    if name.startswith("__"):
        return raw(self, name)
    value = _python_attribute(self, name)
    if value is _MISSING:
        value = _extra(self, name)
    if value is _MISSING:
        try:
            value = _qt_attribute(self, name)
        except RuntimeError as error:
            raise destroyed_error(self, name) or error from None
    return value


def set_attribute(self: QtCore.QObject, name: str, value: Any) -> None:
    if name.startswith("__"):
        return _set(self, name, value)
    if name == "name":
        name = "objectName"
    descriptor = _class_attribute(type(self), name)
    if type(descriptor) is QtCore.Property:  # not through Qt, which would convert the value and swallow errors
        return descriptor.fset(self, value)
    if hasattr(type(descriptor), "__set__"):
        return descriptor.__set__(self, value)
    if shiboken6.isValid(self) and _write_property(self, name, value):
        return None
    if not is_cpp_class(type(self)) or _declares_field(type(self), name):
        raw(self, "__dict__")[name] = value
    elif not Loading.active:
        raise AttributeError(
            f"'{name}' does not exist on {type(self).__name__}, "
            "and creating new attributes on C++ objects is not allowed"
        )


def _python_attribute(self: QtCore.QObject, name: str) -> Any:
    """Attributes that Python code made: fields of a subclass, and its methods, among them overrides of Qt's."""
    fields = raw(self, "__dict__")
    if name in fields and type(fields[name]) is not QtCore.SignalInstance:  # PySide6 keeps used signals here
        return fields[name]
    attribute = _class_attribute(type(self), name)
    if attribute is None:
        return _MISSING
    if type(attribute) is QtCore.Signal:  # isinstance() loses a reference to False in PySide6 6.12, and Python aborts
        return signals.BoundSignal(self, name)
    if type(attribute) is QtCore.Property:
        return from_qt(attribute.fget(self))
    return from_qt(raw(self, name))


def _class_attribute(cls: type, name: str) -> Any:
    """What a Python class between this class and PySide6's defines under this name."""
    for base in cls.__mro__:
        if base.__module__.startswith(("PySide6", "Shiboken")):
            return None
        if name in base.__dict__ and base is not object:
            return base.__dict__[name]
    return None


def _declares_field(cls: type, name: str) -> bool:
    """Stand-ins name their own fields in the class body; everything else is refused as on a C++ object."""
    return any(name in base.__dict__ or name in base.__dict__.get("__annotations__", {}) for base in cls.__mro__)


def _extra(self: QtCore.QObject, name: str) -> Any:
    if name == "name":
        return raw(self, "objectName")()
    function = _EXTRAS.get(name)
    return _MISSING if function is None else Method(self, name, functools.partial(function, self))


def _qt_attribute(self: QtCore.QObject, name: str) -> Any:
    if raw(self, "metaObject")().indexOfProperty(name) >= 0:
        return from_qt(_read_property(self, name))
    try:
        value = raw(self, name)
    except AttributeError:
        return _named_in_qt(self, name)
    if type(value) is QtCore.SignalInstance:
        return signals.BoundSignal(self, name)
    return Method(self, name, value) if type(value).__name__ == "builtin_function_or_method" else value


def _read_property(self: QtCore.QObject, name: str) -> Any:
    """By the class's own getter where there is one: `property()` would call virtual getters, which come back here."""
    getter: Any = getattr(type(self), name, None)
    if type(getter).__name__ == "method_descriptor":
        return getter(self)
    value = raw(self, "property")(name)
    return raw(self, name)() if value is None and getter is not None else value


def _write_property(self: QtCore.QObject, name: str, value: Any) -> bool:
    """Write a Qt property, static or dynamic; False if the object has none of this name."""
    meta_object = raw(self, "metaObject")()
    index = meta_object.indexOfProperty(name)
    if index < 0:
        is_dynamic = name.encode() in [bytes(dynamic) for dynamic in raw(self, "dynamicPropertyNames")()]
        return is_dynamic and bool(raw(self, "setProperty")(name, value) or True)
    if not meta_object.property(index).isWritable():
        raise AttributeError(f"property '{name}' of {type(self).__name__} object is not writable")
    setter = getattr(type(self), "set" + name[0].upper() + name[1:], None)
    try:
        accepted = _call_setter(self, setter, value) if setter else raw(self, "setProperty")(name, value)
    except ValueError as error:
        raise AttributeError(f"property '{name}' of {type(self).__name__} does not accept {value!r}") from error
    if accepted is False or (value is None and meta_object.property(index).typeName() == "QString"):
        raise AttributeError(f"property '{name}' of {type(self).__name__} does not accept {value!r}")
    return True


def _call_setter(self: QtCore.QObject, setter: Any, value: Any) -> bool:
    Method(self, setter.__name__, setter.__get__(self))(value)
    return True


def _named_in_qt(self: QtCore.QObject, name: str) -> Any:
    """A dynamic property or a direct child with this object name."""
    if name.encode() in [bytes(dynamic) for dynamic in raw(self, "dynamicPropertyNames")()]:
        return from_qt(raw(self, "property")(name))
    for child in raw(self, "children")():
        if raw(child, "objectName")() == name:
            return child
    raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


def _find_children(self: QtCore.QObject, kind: Any, object_name: str = "") -> tuple[QtCore.QObject, ...]:
    """By class or class name; names of base classes match."""
    kind_name = kind if isinstance(kind, str) else kind.__name__
    return tuple(
        child
        for child in _descendants(self)
        if (raw(child, "inherits")(kind_name) or (isinstance(kind, type) and isinstance(child, kind)))
        and (not object_name or raw(child, "objectName")() == object_name)
    )


def _find_child(self: QtCore.QObject, kind: Any, object_name: str = "") -> QtCore.QObject | None:
    return next(iter(_find_children(self, kind, object_name)), None)


def _descendants(qt_object: QtCore.QObject) -> list[QtCore.QObject]:
    found = []
    for child in raw(qt_object, "children")():
        found += [child, *_descendants(child)]
    return found


_EXTRAS = {
    "connect": signals.connect,
    "disconnect": signals.disconnect,
    "findChild": _find_child,
    "findChildren": _find_children,
    "className": lambda self: raw(self, "metaObject")().className(),
    "delete": shiboken6.delete,
}
