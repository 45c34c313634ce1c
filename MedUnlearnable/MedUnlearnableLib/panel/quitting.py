"""Asks before quitting, when a run is going on."""

from __future__ import annotations

from typing import Any, Protocol

import qt
import slicer
import slicer.util


class Keeper(Protocol):
    """Holds a run that outlives its panel."""

    def isRunning(self) -> bool: ...


class QuitGuard(qt.QWidget):
    """Sees the main window's close event before the window does. Never shown; a widget, as only these have filters."""

    def __init__(self, keeper: Keeper, window: Any, question: str) -> None:
        qt.QWidget.__init__(self)
        self._keeper = keeper
        self._question = question
        window.installEventFilter(self)

    @classmethod
    def of_main_window(cls, keeper: Keeper, question: str) -> QuitGuard | None:
        """To be made once the application has started: only now is there a main window, if any."""
        window = slicer.util.mainWindow()
        return None if window is None else cls(keeper, window, question)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        if event.type() != qt.QEvent.Close or not self._keeper.isRunning() or self._may_quit():
            # Closing goes on. The worker ends with the application: Slicer may still ask for the scene and stay open.
            return False
        event.ignore()
        return True

    def _may_quit(self) -> bool:
        """Nobody answers a test of Slicer, and its questions are answered by No there."""
        return slicer.app.testingEnabled() or slicer.util.confirmYesNoDisplay(self._question)
