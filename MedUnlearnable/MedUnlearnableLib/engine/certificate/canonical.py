"""Canonical JSON: one value, one sequence of bytes, so that it can be signed. A subset of RFC 8785.

Left out are floats (programs print them differently; numbers that are no integers are written as text) and keys that
are not ASCII (whose order would depend on the encoding).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

#: Larger integers are not exact in every JSON reader.
LARGEST_INTEGER = 2**53 - 1
_DEEPEST = 16


def canonical(value: Any) -> bytes:
    """UTF-8, keys sorted, no space. Raises ValueError for what the format leaves out."""
    _refuse_foreign(value, _DEEPEST)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def parse(content: bytes) -> Any:
    """The value of any JSON text that can be made canonical. Raises ValueError for all others.

    A key that comes twice is refused: two readers could see different values under one signature.
    """
    try:
        value = json.loads(content.decode(), object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    canonical(value)
    return value


def text_of(data: bytes) -> str:
    """Base64 with padding, in one line."""
    return base64.b64encode(data).decode()


def bytes_of(text: str) -> bytes:
    """The inverse of `text_of`; raises ValueError for every other spelling of the same bytes."""
    data = base64.b64decode(text.encode(), validate=True)
    if text_of(data) != text:
        raise ValueError("not base64 as this format writes it")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def _refuse_foreign(value: Any, depth: int) -> None:
    if depth < 0:
        raise ValueError("nested too deeply")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not (isinstance(key, str) and key.isascii()):
                raise ValueError(f"the key {key!a} is not ASCII")
            _refuse_foreign(item, depth - 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_foreign(item, depth - 1)
    elif isinstance(value, int):  # True and False are
        if abs(value) > LARGEST_INTEGER:
            raise ValueError(f"the integer {value:.3g} is too large")
    elif not (value is None or isinstance(value, str)):
        raise ValueError(f"{type(value).__name__} is left out of the format")
