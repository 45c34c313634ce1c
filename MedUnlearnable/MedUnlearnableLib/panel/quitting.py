"""Asks before quitting, when a run is going on."""

from __future__ import annotations

from typing import Any

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from .run import RunKeeper


class QuitGuard(qt.QWidget):
    """Sees the main window's close event before the window does. Never shown; a widget, as only these have filters."""

    def __init__(self, keeper: RunKeeper, window: Any) -> None:
        qt.QWidget.__init__(self)
        self._keeper = keeper
        window.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        if event.type() != qt.QEvent.Close or not self._keeper.isRunning() or self._may_quit():
            # Closing goes on. The worker ends with the application: Slicer may still ask for the scene and stay open.
            return False
        event.ignore()
        return True

    def _may_quit(self) -> bool:
        """Nobody answers a test of Slicer, and its questions are answered by No there."""
        return slicer.app.testingEnabled() or slicer.util.confirmYesNoDisplay(
            _(
                "MedUnlearnable is still protecting cases. Quit and stop it? Finished cases of folders are kept; "
                "volumes of the scene that are not back yet are not."
            )
        )
