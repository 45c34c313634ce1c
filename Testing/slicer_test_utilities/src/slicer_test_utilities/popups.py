"""Dialogs in tests: a test says in advance what the user answers; a dialog nobody expects fails the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6 import QtGui, QtWidgets

from .problems import problems

_REJECTED = 0


class Popups:
    """Answers for the dialogs that a test expects, in order."""

    def __init__(self) -> None:
        self._answers: list[Any] = []
        self.shown: list[str] = []

    def answer(self, *answers: Any) -> None:
        """What the next dialogs return: a button, a path, a text, or a function that gets the dialog."""
        self._answers.extend(answers)

    def unused(self) -> list[Any]:
        return self._answers

    def clear(self) -> None:
        self._answers, self.shown = [], []

    def ask(self, description: str, default: Any, dialog: Any = None) -> Any:
        self.shown.append(description)
        if not self._answers:
            problems.add("popup", f"{description} was opened, and the test has no answer for it")
            return default
        answer = self._answers.pop(0)
        return answer(dialog) if callable(answer) else answer


popups = Popups()


def install() -> None:
    """Replace everything in Qt that waits for the user. A real `exec` would block the test for ever."""
    for name in ("exec", "exec_"):
        setattr(QtWidgets.QDialog, name, _execute)
        setattr(QtWidgets.QMessageBox, name, _execute)
        setattr(QtWidgets.QFileDialog, name, _execute)
        setattr(QtWidgets.QMenu, name, lambda menu, *_: popups.ask("a menu", None, menu))
    for name in ("information", "question", "warning", "critical", "about"):
        _replace(QtWidgets.QMessageBox, name, 0)
    for name in ("getOpenFileName", "getSaveFileName", "getExistingDirectory"):
        _replace(QtWidgets.QFileDialog, name, "")
    _replace(QtWidgets.QFileDialog, "getOpenFileNames", ())
    for name in ("getText", "getMultiLineText", "getItem"):
        _replace(QtWidgets.QInputDialog, name, "")
    for name in ("getInt", "getDouble"):
        _replace(QtWidgets.QInputDialog, name, 0)
    if hasattr(QtWidgets, "QColorDialog"):
        _replace(QtWidgets.QColorDialog, "getColor", QtGui.QColor())


def _replace(cls: type, name: str, default: Any) -> None:
    def static(*arguments: Any) -> Any:
        texts = [argument for argument in arguments if isinstance(argument, str)]
        return popups.ask(f"{cls.__name__}.{name}({', '.join(texts)})", default)

    setattr(cls, name, staticmethod(static))


def _execute(dialog: Any) -> Any:
    """PythonQt spells it exec_(); the dialog is shown and closed, so that its events run."""
    text = getattr(dialog, "text", "")
    description = f"{type(dialog).__name__} '{text if isinstance(text, str) else dialog.windowTitle}'"
    show: Callable[[], None] = dialog.show
    show()
    result = popups.ask(description, _REJECTED, dialog)
    dialog.hide()
    return result
