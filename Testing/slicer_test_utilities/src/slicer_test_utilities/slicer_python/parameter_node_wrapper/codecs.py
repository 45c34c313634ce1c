"""How each type of parameter is stored in a vtkMRMLScriptedModuleNode: the same texts that Slicer writes."""

from __future__ import annotations

import enum
import pathlib
import types
import typing
from collections.abc import Iterable, MutableSequence
from typing import Any

import slicer
import slicer.util

from .annotations import Default, Validator, first_of, split_annotations

_UNIONS = (typing.Union, getattr(types, "UnionType", typing.Union))


class Codec:
    """Checks, writes and reads the values of one type."""

    types: tuple[type, ...] = ()

    def default(self) -> Any:
        raise NotImplementedError

    def check(self, value: Any) -> None:
        if not isinstance(value, self.types) or (isinstance(value, bool) and bool not in self.types):
            names = " or ".join(kind.__name__ for kind in self.types)
            raise TypeError(f"value must be {names}, is {type(value).__name__} {value!r}")

    def is_in(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(name))

    def write(self, node: Any, name: str, value: Any) -> None:
        node.SetParameter(name, self.to_text(value))

    def read(self, node: Any, name: str) -> Any:
        return self.from_text(node.GetParameter(name))

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)

    def to_text(self, value: Any) -> str:
        return str(value)

    def from_text(self, text: str) -> Any:
        raise NotImplementedError


class NumberCodec(Codec):
    """int and float. True is refused for int: Slicer stores 'True' and cannot read it back."""

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self.types = (int, float) if kind is float else (int,)

    def default(self) -> Any:
        return self._kind(0)

    def from_text(self, text: str) -> Any:
        return self._kind(text)


class BoolCodec(Codec):
    types = (bool,)

    def default(self) -> bool:
        return False

    def from_text(self, text: str) -> bool:
        return text == "True"


class TextCodec(Codec):
    types = (str,)

    def default(self) -> str:
        return ""

    def from_text(self, text: str) -> str:
        return text


class PathCodec(Codec):
    def __init__(self, kind: type) -> None:
        self._kind = kind
        self.types = (kind,)

    def default(self) -> Any:
        return self._kind()

    def from_text(self, text: str) -> Any:
        return self._kind(text)


class EnumCodec(Codec):
    """Stored by name."""

    def __init__(self, kind: type[enum.Enum]) -> None:
        self._kind = kind
        self.types = (kind,)

    def default(self) -> enum.Enum:
        return next(iter(self._kind))

    def to_text(self, value: Any) -> str:
        return str(value.name)

    def from_text(self, text: str) -> enum.Enum:
        if text not in self._kind.__members__:
            raise ValueError(f"'{text}' in the parameter node is no member of {self._kind.__name__}")
        return self._kind[text]


class NodeCodec(Codec):
    """A node reference; an empty parameter of the same name says that None was written."""

    def __init__(self, kinds: tuple[type, ...]) -> None:
        self.types = kinds

    def default(self) -> None:
        return None

    def check(self, value: Any) -> None:
        if value is not None:
            super().check(value)

    def write(self, node: Any, name: str, value: Any) -> None:
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node: Any, name: str) -> Any:
        return node.GetNodeReference(name)

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


class ListCodec(Codec):
    """`name.len`, `name.0`, `name.1`, ..."""

    def __init__(self, element: Codec) -> None:
        self._element = element

    def default(self) -> list[Any]:
        return []

    def check(self, value: Any) -> None:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise TypeError(f"value must be a list, is {type(value).__name__} {value!r}")
        for item in value:
            self._element.check(item)

    def is_in(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(f"{name}.len"))

    def write(self, node: Any, name: str, value: Any) -> None:
        values = list(value)
        self.check(values)
        with slicer.util.NodeModify(node):
            for index, item in enumerate(values):
                self._element.write(node, f"{name}.{index}", item)
            for index in range(len(values), self._length(node, name)):
                self._element.remove(node, f"{name}.{index}")
            node.SetParameter(f"{name}.len", str(len(values)))

    def read(self, node: Any, name: str) -> ObservedList:
        items = [self._element.read(node, f"{name}.{index}") for index in range(self._length(node, name))]
        return ObservedList(self, node, name, items)

    def remove(self, node: Any, name: str) -> None:
        for index in range(self._length(node, name)):
            self._element.remove(node, f"{name}.{index}")
        node.UnsetParameter(f"{name}.len")

    def _length(self, node: Any, name: str) -> int:
        return int(node.GetParameter(f"{name}.len") or 0)


class ObservedList(MutableSequence):
    """A list that writes each change into its parameter node."""

    def __init__(self, codec: ListCodec, node: Any, name: str, items: list[Any]) -> None:
        self._codec, self._node, self._name, self._items = codec, node, name, items

    def _save(self, items: list[Any]) -> None:
        self._codec.write(self._node, self._name, items)
        self._items = self._codec.read(self._node, self._name)._items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        items = list(self._items)
        items[index] = value
        self._save(items)

    def __delitem__(self, index: Any) -> None:
        items = list(self._items)
        del items[index]
        self._save(items)

    def insert(self, index: int, value: Any) -> None:
        self._save([*self._items[:index], value, *self._items[index:]])

    def __eq__(self, other: object) -> bool:
        return self._items == (other._items if isinstance(other, ObservedList) else other)

    def __repr__(self) -> str:
        return f"ObservedList({self._items})"


class PackCodec(Codec):
    """`name.field` for each field of a parameter pack."""

    def __init__(self, pack: Any) -> None:
        self._pack = pack
        self.types = (pack,)

    def default(self) -> Any:
        return self._pack()

    def is_in(self, node: Any, name: str) -> bool:
        field, parameter = next(iter(self._pack.allParameters.items()))
        return parameter.codec.is_in(node, f"{name}.{field}")

    def write(self, node: Any, name: str, value: Any) -> None:
        with slicer.util.NodeModify(node):
            for field, parameter in self._pack.allParameters.items():
                parameter.codec.write(node, f"{name}.{field}", getattr(value, field))

    def read(self, node: Any, name: str) -> Any:
        return self._pack.bound_to(node, name)

    def remove(self, node: Any, name: str) -> None:
        for field, parameter in self._pack.allParameters.items():
            parameter.codec.remove(node, f"{name}.{field}")


class Parameter:
    """One annotated field of a wrapper or a pack: its codec, its validators and its default."""

    def __init__(self, data_type: Any, default: Any = None, has_default: bool = False) -> None:
        self.data_type = data_type
        plain, annotations = split_annotations(data_type)
        self.codec = codec_for(plain)
        self._validators = [annotation for annotation in annotations if isinstance(annotation, Validator)]
        annotated = first_of(annotations, Default)
        self._default = Default(default) if has_default else annotated or Default(generator=self.codec.default)

    def default(self) -> Any:
        return self._default.value

    def check(self, value: Any) -> None:
        self.codec.check(value)
        for validator in self._validators:
            validator.validate(value)

    def ensure(self, node: Any, name: str) -> None:
        """Write the default where nothing was written; a default outside the range fails here, as in Slicer."""
        if not self.codec.is_in(node, name):
            self.write(node, name, self.default())

    def read(self, node: Any, name: str) -> Any:
        """The default comes back where closing the scene removed the value, also through an old wrapper."""
        self.ensure(node, name)
        return self.codec.read(node, name)

    def write(self, node: Any, name: str, value: Any) -> None:
        self.check(value)
        with slicer.util.NodeModify(node):
            self.codec.write(node, name, value)


def codec_for(plain: Any) -> Codec:
    if getattr(plain, "_is_parameterPack", False):
        return PackCodec(plain)
    if typing.get_origin(plain) is list:
        return ListCodec(_ElementCodec(Parameter(typing.get_args(plain)[0])))
    nodes = node_types(plain)
    if nodes:
        return NodeCodec(nodes)
    if isinstance(plain, type):
        return _codec_for_class(plain)
    raise TypeError(f"the test host's parameterNodeWrapper has no type {plain}; set SLICER_PYTHON_DIR for Slicer's own")


def _codec_for_class(plain: type) -> Codec:
    simple: dict[type, Codec] = {bool: BoolCodec(), str: TextCodec(), int: NumberCodec(int), float: NumberCodec(float)}
    if plain in simple:
        return simple[plain]
    if issubclass(plain, enum.Enum):
        return EnumCodec(plain)
    if issubclass(plain, pathlib.PurePath):
        return PathCodec(plain)
    raise TypeError(f"the test host's parameterNodeWrapper has no type {plain}; set SLICER_PYTHON_DIR for Slicer's own")


def node_types(plain: Any) -> tuple[type, ...]:
    """The node classes of `vtkMRMLVolumeNode` or of a union of node classes and None; empty for other types."""
    members = typing.get_args(plain) if typing.get_origin(plain) in _UNIONS else (plain,)
    classes = tuple(member for member in members if member is not type(None))
    return classes if all(isinstance(c, type) and issubclass(c, slicer.vtkMRMLNode) for c in classes) else ()


class _ElementCodec(Codec):
    """The elements of a list, with their validators."""

    def __init__(self, parameter: Parameter) -> None:
        self._parameter = parameter

    def check(self, value: Any) -> None:
        self._parameter.check(value)

    def write(self, node: Any, name: str, value: Any) -> None:
        self._parameter.codec.write(node, name, value)

    def read(self, node: Any, name: str) -> Any:
        return self._parameter.codec.read(node, name)

    def remove(self, node: Any, name: str) -> None:
        self._parameter.codec.remove(node, name)
