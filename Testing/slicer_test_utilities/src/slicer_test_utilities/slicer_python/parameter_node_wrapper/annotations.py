"""What can stand in `Annotated[...]`: defaults, validators, and hints for widgets."""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


class Default:
    """The value of a parameter that was never written."""

    def __init__(self, value: Any = None, *, generator: Callable[[], Any] | None = None) -> None:
        self._value = value
        self._generator = generator

    @property
    def value(self) -> Any:
        return self._generator() if self._generator else self._value


class Validator:
    """Base class; `validate` raises ValueError."""

    def validate(self, value: Any) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class WithinRange(Validator):
    """Both ends belong to the range. Widgets get the two limits, not step or decimals."""

    minimum: float
    maximum: float

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"value must be within [{self.minimum}, {self.maximum}], is {value}")


@dataclass(frozen=True)
class Minimum(Validator):
    """A lower limit."""

    minimum: float

    def validate(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"value must be at least {self.minimum}, is {value}")


@dataclass(frozen=True)
class Maximum(Validator):
    """An upper limit."""

    maximum: float

    def validate(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"value must be at most {self.maximum}, is {value}")


@dataclass(frozen=True)
class Choice(Validator):
    """One of these values."""

    choices: Sequence[Any]

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"value must be one of {list(self.choices)}, is {value!r}")


class NotNone(Validator):
    """A node must be chosen."""

    def validate(self, value: Any) -> None:
        if value is None:
            raise ValueError("value must not be None")


@dataclass(frozen=True)
class Decimals:
    """Decimals of a slider or spin box."""

    value: int


@dataclass(frozen=True)
class SingleStep:
    """Step of a slider or spin box."""

    value: float


A = typing.TypeVar("A")


def split_annotations(data_type: Any) -> tuple[Any, tuple[Any, ...]]:
    """`Annotated[float, WithinRange(0, 1)]` -> (float, (WithinRange(0, 1),))"""
    if typing.get_origin(data_type) is typing.Annotated:
        plain, *annotations = typing.get_args(data_type)
        return plain, tuple(annotations)
    return data_type, ()


def first_of(annotations: Sequence[Any], kind: type[A]) -> A | None:
    return next((annotation for annotation in annotations if isinstance(annotation, kind)), None)
