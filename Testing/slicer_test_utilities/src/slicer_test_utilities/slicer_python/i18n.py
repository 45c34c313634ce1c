"""Stands in for `slicer.i18n`. Nothing is translated; wrong use fails."""

from __future__ import annotations


def tr(text: str) -> str:
    """Imported as `_`. Needs a literal text, which only the linter can see."""
    if not isinstance(text, str):
        raise TypeError(f"_() needs a text, got {text!r}")
    return text


def translate(context: str, text: str) -> str:
    if not isinstance(context, str):
        raise TypeError(f"translate() needs a context and a text, got {context!r}")
    return tr(text)
