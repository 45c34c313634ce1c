"""Turns problems and leaks into failures of the test that caused them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from . import exceptions, observers, vtk_errors
from .problems import Problem, Problems, problems

_installed = False


@contextmanager
def problems_fail_the_test(allowed: set[str]) -> Iterator[Problems]:
    """After the test, fail with every problem that was neither expected nor allowed."""
    _install_vtk_errors_once()
    problems.take()
    with exceptions.reported():
        yield problems
    found = [problem for problem in problems.take() if problem.kind not in allowed]
    if found:
        pytest.fail(_message(found), pytrace=False)


@contextmanager
def leaks_are_problems() -> Iterator[None]:
    """Observers, timers, processes, threads and wait cursors."""
    from . import leaks

    with leaks.watching(_report_leak):
        yield


@contextmanager
def left_observers_are_problems() -> Iterator[None]:
    """The part that needs no Qt."""
    with observers.watching_observers(_report_leak):
        yield


def _report_leak(text: str) -> None:
    problems.add("leak", text)


def dialogs_are_problems() -> None:
    """A dialog that is still shown when the test ends."""
    from PySide6 import QtWidgets

    for widget in QtWidgets.QApplication.topLevelWidgets():
        if isinstance(widget, QtWidgets.QDialog) and widget.visible:
            problems.add("popup", f"{type(widget).__name__} '{widget.windowTitle}' is still shown")


def _install_vtk_errors_once() -> None:
    global _installed
    if not _installed:
        vtk_errors.install()
        _installed = True


def _message(found: list[Problem]) -> str:
    return "\n".join([f"{len(found)} problem(s) that Slicer would not have shown to this test:", *map(str, found)])
