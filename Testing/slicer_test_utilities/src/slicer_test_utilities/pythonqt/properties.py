"""Properties of stand-in widgets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6 import QtCore

_CHECKS: dict[type, type | tuple[type, ...]] = {bool: (bool, int), int: int, float: (float, int), str: str}


def stored(kind: type | str, name: str, default: Any, changed: Callable[[Any], None] | None = None) -> Any:
    """A Qt property that keeps what is written; `changed(widget)` runs after each real change.

    Slicer's setters are no slots, so Python sees the property only: there is no method `setNoneEnabled`.
    """
    field = "_" + name

    def read(self: Any) -> Any:
        return self.__dict__.get(field, default)

    def write(self: Any, value: Any) -> None:
        value = checked(kind, name, value)
        if value != read(self):
            self.__dict__[field] = value
            if changed is not None:
                changed(self)

    return QtCore.Property(kind, read, write)


def checked(kind: type | str, name: str, value: Any) -> Any:
    """The value in the property's type, or AttributeError."""
    if kind == "QStringList":
        if isinstance(value, str) or not all(isinstance(item, str) for item in value):
            raise AttributeError(f"property '{name}' needs a list of texts, got {value!r}")
        return list(value)
    if isinstance(kind, type) and kind in _CHECKS:
        if not isinstance(value, _CHECKS[kind]):
            raise AttributeError(f"property '{name}' needs {kind.__name__}, got {value!r}")
        return kind(value)
    return value
