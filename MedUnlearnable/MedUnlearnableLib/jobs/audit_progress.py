"""How the Audit's worker says where it is, and hears that it should stop."""

from __future__ import annotations

import time
from pathlib import Path

from ..engine.errors import Cancelled
from ..engine.progress import Progress
from .events import CANCEL_FILE, EventWriter
from .process import starter_is_gone

_SECONDS_BETWEEN = 0.1


class AuditProgress(Progress):
    """Writes progress events, and stops the work when the cancel file appears or the starter is gone."""

    def __init__(self, folder: Path, events: EventWriter, budget_seconds: float) -> None:
        self._cancel = folder / CANCEL_FILE
        self._events = events
        self._budget = budget_seconds
        self._began = time.monotonic()
        self._last = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def begin(self, stage: str, number: int, of: int) -> None:
        self._last = 0.0
        self.step(stage, number, of)

    def step(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN:
            return
        self._last = now
        if starter_is_gone() or self._cancel.exists():
            raise Cancelled
        spent = {"elapsed_s": round(self.elapsed, 1), "budget_s": self._budget}
        self._events.write("progress", stage=stage, done=done, total=total, **spent)
