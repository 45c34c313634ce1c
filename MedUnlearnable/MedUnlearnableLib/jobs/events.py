"""The event file: one JSON object a line, appended by the worker, read by whoever watches.

progress  stage, case, number, of (cases), done, total (steps of the stage), eta_s, memory_mb
case      case, state, error or warnings, psnr_db, ssim, max_change, units, share_changed, seconds
warning   message
finished  exit_code, message, out, private: the last line of every run
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..engine.errors import Cancelled
from ..engine.progress import Progress

EVENTS_FILE = "events.jsonl"
CANCEL_FILE = "cancel"
_SECONDS_BETWEEN = 0.1  # neither event nor look at the cancel file more often than this

Event = dict[str, Any]


class EventWriter:
    """Appends events; each is flushed as one write, so a reader never sees a torn line as whole."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / EVENTS_FILE).open("a", encoding="utf-8")

    def write(self, event: str, **values: Any) -> None:
        self._file.write(json.dumps({"time": round(time.time(), 3), "event": event, **values}) + "\n")
        self._file.flush()


class EventReader:
    """Gives the events that have come since the last look."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / EVENTS_FILE
        self._position = 0

    def new_events(self) -> list[Event]:
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._position)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._position += len(whole) + len(newline)
        return [json.loads(line) for line in whole.splitlines()]


class WatchedProgress(Progress):
    """Writes progress events and stops the work when the cancel file appears or `orphaned()` says nobody waits."""

    def __init__(self, folder: Path, events: EventWriter, cases: int, orphaned: Callable[[], bool]) -> None:
        self._orphaned = orphaned
        self._cancel = folder / CANCEL_FILE
        self._events = events
        self._cases = cases
        self._case: str | None = None
        self._finished = 0
        self._started = time.monotonic()
        self._last = 0.0

    def begin(self, case_id: str, number: int) -> None:
        """Cases before `number` are finished; `case_id` is next."""
        self._case, self._finished = case_id, number
        self._last = 0.0
        self.step("read", 0, 1)

    def step(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN:
            return
        self._last = now
        if self._orphaned() or self._cancel.exists():
            raise Cancelled
        self._events.write(
            "progress",
            stage=stage,
            case=self._case,
            number=self._finished,
            of=self._cases,
            done=done,
            total=total,
            eta_s=self._eta(now),
            memory_mb=peak_memory_mb(),
        )

    def _eta(self, now: float) -> float | None:
        """Seconds left, from the mean of the finished cases; unknown during the first."""
        if not self._finished:
            return None
        return round((now - self._started) / self._finished * (self._cases - self._finished), 1)


def peak_memory_mb() -> float | None:
    """Largest resident memory of this process so far; None where the system does not tell (Windows)."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
