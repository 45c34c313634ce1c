"""Methods of Qt objects: no keyword arguments, tuples for lists, integers for enums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import shiboken6

from .conversions import from_qt, with_enums


class Method:
    """A method of one Qt object, called with PythonQt's rules."""

    def __init__(self, owner: Any, name: str, builtin: Callable[..., Any]) -> None:
        self._owner = owner
        self._builtin = builtin
        self.__name__ = name

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        if keywords:
            raise ValueError(f"{self}() takes no keyword arguments")
        try:
            return from_qt(self._call(arguments))
        except TypeError as error:
            raise ValueError(f"called {self}() with wrong arguments: {error}") from error
        except RuntimeError as error:
            raise destroyed_error(self._owner, self.__name__) or error from None

    def _call(self, arguments: tuple[Any, ...]) -> Any:
        try:
            return self._builtin(*arguments)
        except TypeError:
            converted = with_enums(getattr(type(self._owner), self.__name__, None), arguments)
            if converted is None:
                raise
        return self._builtin(*converted)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Method) and self._owner is other._owner and self.__name__ == other.__name__

    def __hash__(self) -> int:
        return hash((id(self._owner), self.__name__))

    def __str__(self) -> str:
        return f"{type(self._owner).__name__}.{self.__name__}"


def destroyed_error(owner: Any, name: str) -> ValueError | None:
    """PythonQt's error for an object whose C++ part is gone."""
    if shiboken6.isValid(owner):
        return None
    return ValueError(f"trying to access {name} of a destroyed {type(owner).__name__} object")
