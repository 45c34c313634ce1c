"""What a test leaves behind: observers, timers, processes, threads, windows, wait cursors."""

from __future__ import annotations

import subprocess
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import shiboken6
import slicer
from PySide6 import QtCore, QtWidgets

from .observers import watching_observers
from .problems import problems

_timers: weakref.WeakSet = weakref.WeakSet()
_processes: weakref.WeakSet = weakref.WeakSet()
_single_shots: set[QtCore.QTimer] = set()
_GRACE_MS = 50  # a single shot of this length is a deferred call, not a leak


def install() -> None:
    """Remember every timer and process that Python code makes."""
    _remember(QtCore.QTimer, _timers)
    _remember(QtCore.QProcess, _processes)
    _remember(subprocess.Popen, _processes)
    QtCore.QTimer.singleShot = staticmethod(_single_shot)  # type: ignore[assignment]


def _remember(cls: Any, known: weakref.WeakSet) -> None:
    init = cls.__init__

    def remembering_init(self: Any, *arguments: Any, **keywords: Any) -> None:
        init(self, *arguments, **keywords)
        known.add(self)

    cls.__init__ = remembering_init


def _single_shot(milliseconds: int, *target: Any) -> None:
    """Like Qt's, but known: a call that is pending at the end of a test is a leak."""
    timer = QtCore.QTimer()
    timer.setSingleShot(True)
    receiver = target[0] if len(target) == 1 else getattr(target[0], target[1].split("(")[0])

    def fire() -> None:
        _single_shots.discard(timer)
        receiver()

    timer.connect("timeout()", fire)
    _single_shots.add(timer)
    timer.start(int(milliseconds))


@contextmanager
def watching(report: Callable[[str], None]) -> Iterator[None]:
    """Report what is there after the block and was not there before."""
    with _watching_threads():
        before = {id(timer) for timer in active_timers()} | {id(process) for process in running_processes()}
        with watching_observers(report):
            yield
            QtWidgets.QApplication.processEvents()
        for timer in active_timers():
            if id(timer) not in before:
                report(f"a timer is still active ({timer.interval} ms)")
                timer.stop()
        for process in running_processes():
            if id(process) not in before:
                report(f"a child process is still running: {_command(process)}")
                process.kill()
        _single_shots.clear()
        if slicer.app.overrideCursors():
            report("a wait cursor is still set")


def active_timers() -> list[Any]:
    timers = [timer for timer in _timers if shiboken6.isValid(timer) and timer.active]
    return [timer for timer in timers if not (timer.singleShot and timer.interval <= _GRACE_MS)]


def running_processes() -> list[Any]:
    return [process for process in _processes if _is_running(process)]


def _is_running(process: Any) -> bool:
    if isinstance(process, subprocess.Popen):
        return process.poll() is None
    return shiboken6.isValid(process) and process.state() != 0


def _command(process: Any) -> str:
    return str(process.args) if isinstance(process, subprocess.Popen) else str(process.program())


@contextmanager
def _watching_threads() -> Iterator[None]:
    """Python threads starve in Slicer's event loop; here they run, so starting one is a problem in itself."""
    start = threading.Thread.start

    def reporting_start(thread: threading.Thread) -> None:
        problems.add("thread", f"Python thread '{thread.name}' was started; in Slicer it would starve")
        start(thread)

    threading.Thread.start = reporting_start  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        threading.Thread.start = start  # type: ignore[method-assign,assignment]
