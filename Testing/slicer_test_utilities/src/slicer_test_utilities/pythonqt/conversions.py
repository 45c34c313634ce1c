"""Values on their way between Python and Qt, as PythonQt converts them."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any


def from_qt(value: Any) -> Any:
    """PythonQt returns every list (QStringList, QVariantList, list of objects) as a tuple."""
    return tuple(from_qt(item) for item in value) if isinstance(value, list) else value


def with_enums(function: Callable[..., Any] | None, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The arguments with plain integers turned into the enums that the function asks for; None if nothing changes.

    In PythonQt enums are integers, so `label.setAlignment(0x84)` and `box.setCheckState(2)` are valid code.
    """
    for types in _positional_types(function):
        converted = tuple(
            _to_enum(argument, types[i] if i < len(types) else None) for i, argument in enumerate(arguments)
        )
        if any(new is not old for new, old in zip(converted, arguments, strict=True)):
            return converted
    return None


def _positional_types(function: Callable[..., Any] | None) -> list[list[Any]]:
    from shibokensupport.signature import get_signature

    signatures = get_signature(function) if function is not None else None
    if signatures is None:
        return []
    overloads = signatures if isinstance(signatures, list) else [signatures]
    return [
        [parameter.annotation for name, parameter in overload.parameters.items() if name != "self"]
        for overload in overloads
    ]


def _to_enum(argument: Any, wanted: Any) -> Any:
    is_plain_integer = isinstance(argument, int) and not isinstance(argument, bool | enum.Enum)
    wants_enum = isinstance(wanted, type) and issubclass(wanted, enum.Enum)
    return wanted(argument) if is_plain_integer and wants_enum else argument
