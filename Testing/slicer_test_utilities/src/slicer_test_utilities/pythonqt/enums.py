"""Qt enums that are integers too, as in PythonQt: `{qt.Qt.Checked: 1}.get(2)` finds its entry."""

from __future__ import annotations

import enum
from types import ModuleType
from typing import Any


def make_integer_like(modules: tuple[ModuleType, ...]) -> None:
    """Give every enum nested in the classes of these modules the comparisons of an integer."""
    for module in modules:
        for owner in public_names(module).values():
            if isinstance(owner, type):
                for value in vars(owner).values():
                    if isinstance(value, enum.EnumMeta) and not issubclass(value, int):
                        _patch(value)


def public_names(module: ModuleType) -> dict[str, Any]:
    """PySide6 makes its classes on first access, so `vars(module)` lacks most of them."""
    return {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}


def _patch(enum_class: Any) -> None:
    for name, function in _METHODS.items():
        setattr(enum_class, name, function)


def _number(value: Any) -> Any:
    return value.value if isinstance(value, enum.Enum) else value


_METHODS = {
    "__eq__": lambda self, other: self.value == _number(other),
    "__ne__": lambda self, other: self.value != _number(other),
    "__lt__": lambda self, other: self.value < _number(other),
    "__le__": lambda self, other: self.value <= _number(other),
    "__gt__": lambda self, other: self.value > _number(other),
    "__ge__": lambda self, other: self.value >= _number(other),
    "__hash__": lambda self: hash(self.value),
    "__int__": lambda self: int(self.value),
    "__index__": lambda self: int(self.value),
    "__bool__": lambda self: bool(self.value),
}
