"""What went wrong while a test ran, although Slicer (or Qt) would only have printed it.

Every part of the host reports here; the plug-in fails the test that left a problem behind.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Problem:
    """kind: short name that a test can expect, such as "exception in a slot"; text: one sentence or a traceback."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


class Problems:
    """Collects problems until the test that caused them is over."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def add(self, kind: str, text: str) -> None:
        logger.error("%s: %s", kind, text)
        self._problems.append(Problem(kind, text))

    def add_exception(self, kind: str, error: BaseException) -> None:
        sys.last_value = error  # as PyErr_Print does, which Slicer's slots go through
        self.add(kind, "".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip())

    def take(self, kind: str | None = None) -> list[Problem]:
        """Remove and return the problems, or those of one kind."""
        taken = [problem for problem in self._problems if kind in (None, problem.kind)]
        self._problems = [problem for problem in self._problems if problem not in taken]
        return taken

    @contextmanager
    def expected(self, kind: str, containing: str = "") -> Iterator[list[Problem]]:
        """Demand that the block causes a problem of this kind, and forgive it."""
        before = self._problems
        self._problems = []
        found: list[Problem] = []
        try:
            yield found
        finally:
            found.extend(p for p in self._problems if p.kind == kind and containing in p.text)
            self._problems = before + [p for p in self._problems if p not in found]
        if not found:
            raise AssertionError(
                f"expected a problem of kind '{kind}' containing '{containing}', but none was reported"
            )


problems = Problems()
