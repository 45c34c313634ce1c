"""The event file: one JSON object a line, appended by the worker, read by whoever watches.

started   method, profile, why, finished (cases of an interrupted run that are kept)
progress  stage, case, number, of (cases), done, total (steps), case_share (0..1), case_eta_s, eta_s, memory_mb
curve     name, step, value: a point of a curve worth showing, such as a loss
forecast  message: what to expect of the training that begins
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
_SECONDS_BETWEEN = 0.1  # within a stage, neither event nor look at the cancel file more often than this
#: Where in the time of a case a stage begins and ends (measured on CT of 50 to 300 slices).
PARTS_OF_A_CASE = {"read": (0.0, 0.1), "protect": (0.1, 0.6), "quality": (0.6, 0.8), "write": (0.8, 1.0)}
_TOO_EARLY = 0.15  # of a case: before this its own pace says nothing
_TOO_EARLY_FOR_ALL = 0.01  # of a stage of the whole cohort, such as a training

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
        self._number = 0
        self._begun = 0  # cases begun by this process; a resumed run has finished ones that took no time
        self._first_began = self._case_began = 0.0
        self._stage, self._last = "", 0.0
        self._stage_began, self._done_before = 0.0, 0  # a training that goes on has steps that took no time
        self._points: dict[str, tuple[int, float]] = {}  # the newest of each curve, not yet written
        self._points_written = 0.0

    def begin(self, case_id: str, number: int) -> None:
        """Cases before `number` are finished; `case_id` is next."""
        self._case, self._number = case_id, number
        self._case_began = time.monotonic()
        if not self._begun:
            self._first_began = self._case_began
        self._begun += 1
        self._stage = ""
        self.step("read", 0, 1)

    def step(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage == self._stage and now - self._last < _SECONDS_BETWEEN:
            return
        if stage != self._stage:
            self._stage_began, self._done_before = now, done
        self._stage, self._last = stage, now
        self._write_points()
        if self._orphaned() or self._cancel.exists():
            raise Cancelled
        share = self._share_of_case(stage, done / total if total else 0.0)
        if self._case is None:
            case_left, left = None, self._time_left_of_stage(now, done, total)
        else:
            case_left, left = self._time_left(now, share)
        self._events.write(
            "progress",
            stage=stage,
            case=self._case,
            number=self._number,
            of=self._cases,
            done=done,
            total=total,
            case_share=round(share, 3),
            case_eta_s=case_left,
            eta_s=left,
            memory_mb=peak_memory_mb(),
        )

    def curve(self, name: str, step: int, value: float) -> None:
        """A point that comes too soon waits for the next, or for the next step: the last one is never lost."""
        self._points[name] = (step, value)
        if time.monotonic() - self._points_written >= _SECONDS_BETWEEN:
            self._write_points()

    def _write_points(self) -> None:
        self._points_written = time.monotonic()
        for name, (step, value) in self._points.items():
            self._events.write("curve", name=name, step=step, value=float(value))
        self._points.clear()

    def _share_of_case(self, stage: str, share_of_stage: float) -> float:
        """How much of the case is done; 0 while the cohort is looked at."""
        if self._case is None or stage not in PARTS_OF_A_CASE:
            return 0.0
        begin, end = PARTS_OF_A_CASE[stage]
        return begin + share_of_stage * (end - begin)

    def _time_left(self, now: float, done: float) -> tuple[float | None, float | None]:
        """Seconds left for this case and for the run: from its own pace in the first case, then from the mean."""
        if self._begun > 1:
            seconds_per_case = (self._case_began - self._first_began) / (self._begun - 1)
        elif done >= _TOO_EARLY:
            seconds_per_case = (now - self._case_began) / done
        else:
            return None, None
        case_left = (1 - done) * seconds_per_case
        later = (self._cases - self._number - 1) * seconds_per_case
        return round(case_left, 1), round(case_left + later, 1)

    def _time_left_of_stage(self, now: float, done: int, total: int) -> float | None:
        """Seconds left of a stage of the whole cohort, from its pace; how long the cases will take is not known yet."""
        fresh = done - self._done_before
        if fresh <= 0 or fresh < _TOO_EARLY_FOR_ALL * total:
            return None
        return round((now - self._stage_began) / fresh * (total - done), 1)


def peak_memory_mb() -> float | None:
    """Largest resident memory of this process so far; None where the system does not tell (Windows)."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
