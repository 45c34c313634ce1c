"""Exceptions that Qt and VTK would only print: in virtual methods, timers and observers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from .problems import problems


@contextmanager
def reported() -> Iterator[None]:
    """PySide6 and VTK hand uncaught exceptions to sys.excepthook."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        problems.add_exception("exception in a callback", error)

    before = sys.excepthook
    sys.excepthook = hook
    try:
        yield
    finally:
        sys.excepthook = before
