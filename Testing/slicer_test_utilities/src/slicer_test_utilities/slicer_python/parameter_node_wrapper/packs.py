"""@parameterPack: several parameters as one value."""

from __future__ import annotations

import typing
from typing import Any

from .annotations import split_annotations
from .codecs import Parameter


def parameters_of(cls: type) -> dict[str, Parameter]:
    """The annotated fields of a class, in order."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {
        name: Parameter(data_type, getattr(cls, name, None), hasattr(cls, name)) for name, data_type in hints.items()
    }


def parameterPack(cls: Any = None) -> Any:
    """Class decorator, with or without parentheses."""
    return _make_pack(cls) if cls is not None else _make_pack


def _make_pack(cls: Any) -> Any:
    cls.allParameters = parameters_of(cls)
    if not cls.allParameters:
        raise ValueError(f"{cls.__name__} has no annotated field")
    for name, parameter in cls.allParameters.items():
        parameter.check(parameter.default())
        setattr(cls, name, _pack_property(name))
    cls._is_parameterPack = True
    for method in (__init__, __eq__, __repr__, __setattr__, getValue, setValue):
        setattr(cls, method.__name__, method)
    cls.__hash__ = None
    cls.bound_to = classmethod(_bound_to)
    cls.dataType = staticmethod(lambda name: data_type_of(cls, name))
    return cls


def _pack_property(name: str) -> property:
    def read(self: Any) -> Any:
        if self._node is None:
            return self._values[name]
        return self.allParameters[name].codec.read(self._node, f"{self._name}.{name}")

    def write(self: Any, value: Any) -> None:
        self.allParameters[name].check(value)
        if self._node is None:
            self._values[name] = value
        else:
            self.allParameters[name].write(self._node, f"{self._name}.{name}", value)

    return property(read, write)


def __init__(self: Any, *arguments: Any, **keywords: Any) -> None:
    object.__setattr__(self, "_node", None)
    object.__setattr__(self, "_values", {})
    names = list(self.allParameters)
    unknown = set(keywords) - set(names)
    if unknown or len(arguments) > len(names):
        raise TypeError(f"{type(self).__name__}() has the fields {names}, got {len(arguments)} and {sorted(keywords)}")
    given = {**dict(zip(names, arguments, strict=False)), **keywords}
    for name, parameter in self.allParameters.items():
        setattr(self, name, given[name] if name in given else parameter.default())


def _bound_to(cls: Any, node: Any, name: str) -> Any:
    """A pack whose fields live in the parameter node."""
    pack = cls.__new__(cls)
    object.__setattr__(pack, "_node", node)
    object.__setattr__(pack, "_name", name)
    return pack


def __setattr__(self: Any, name: str, value: Any) -> None:
    """Stricter than Slicer, where a misspelled name silently becomes a Python attribute."""
    if name not in self.allParameters:
        raise AttributeError(f"{type(self).__name__} has no parameter '{name}'")
    object.__setattr__(self, name, value)


def __eq__(self: Any, other: Any) -> bool:
    return type(self) is type(other) and all(getattr(self, n) == getattr(other, n) for n in self.allParameters)


def __repr__(self: Any) -> str:
    return f"{type(self).__name__}({', '.join(f'{n}={getattr(self, n)!r}' for n in self.allParameters)})"


def getValue(self: Any, name: str) -> Any:
    for part in name.split("."):
        self = getattr(self, part)
    return self


def setValue(self: Any, name: str, value: Any) -> None:
    *parents, last = name.split(".")
    for part in parents:
        self = getattr(self, part)
    setattr(self, last, value)


def data_type_of(cls: Any, name: str) -> Any:
    """The annotation of a field; dots lead into packs."""
    first, _, rest = name.partition(".")
    if first not in cls.allParameters:
        raise ValueError(f"{cls.__name__} has no parameter '{first}'; it has {list(cls.allParameters)}")
    data_type = cls.allParameters[first].data_type
    return data_type_of(split_annotations(data_type)[0], rest) if rest else data_type
