"""A worker process: started, listened to, and stopped, softly first, then with its whole process tree."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..engine.errors import Cancelled, Refused
from ..files.lock import Lock
from .events import CANCEL_FILE, EVENTS_FILE, Event, EventReader

#: A cancelled worker that has not stopped by itself after this time is ended.
GRACE_SECONDS = 5.0
_LOG_FILE = "worker.log"
_LAST_LOG_LINES = 3


class WorkerProcess:
    """`python -m MODULE ARGUMENTS` with `folder` for events.jsonl, the cancel file and worker.log.

    Call `poll()` from a timer; it never blocks. `result` is the last event once the process has ended. The worker
    holds `lock` as well. `secret`, one line, goes through the pipe that is the worker's stdin: other processes see
    arguments and environment, and a file stays on the disk. The worker takes it by `read_secret`.
    """

    def __init__(
        self, module: str, arguments: Sequence[object], folder: Path, lock: Lock, secret: str | None = None
    ) -> None:
        self.result: Event | None = None
        self.died = False  # it ended without a last word
        self._folder = folder
        for name in (EVENTS_FILE, CANCEL_FILE):  # of a run that is resumed
            (folder / name).unlink(missing_ok=True)
        self._events = EventReader(folder)
        self._last_word: Event | None = None
        self._kill_at: float | None = None
        with (folder / _LOG_FILE).open("wb") as log:
            self._process = subprocess.Popen(
                [python_executable(), "-m", module, *map(str, arguments)],
                stdin=subprocess.PIPE,  # its closing tells the worker that this process is gone
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
                **_inherited(lock),
            )
        if secret is not None:
            self._send(secret)

    @property
    def process_id(self) -> int:
        return self._process.pid

    def poll(self) -> list[Event]:
        """New events. Ends a cancelled worker that does not stop, and notes the result when the run is over."""
        over = self._process.poll() is not None  # before reading, so that the last events are not missed
        if not over and self._kill_at is not None and time.monotonic() > self._kill_at:
            self._end_process_tree()
            over = True
        events = self._events.new_events()
        self._last_word = next((event for event in events if event["event"] == "finished"), self._last_word)
        if over and self.result is None:
            if self._last_word is None:
                self.died = True
                self._last_word = self._unexplained_end()
                events.append(self._last_word)
            if self._process.stdin is not None:
                self._process.stdin.close()
            self.result = self._last_word
        return events

    def cancel(self) -> None:
        """Asks the worker to stop after its present step; `poll` ends it if it does not."""
        if self._kill_at is None:
            (self._folder / CANCEL_FILE).touch()
            self._kill_at = time.monotonic() + GRACE_SECONDS

    def kill_at_next_poll(self) -> None:
        """In the middle of whatever it does."""
        self._kill_at = 0.0

    def _send(self, secret: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has died already; `poll` says so
            self._process.stdin.write(f"{secret}\n".encode())
            self._process.stdin.flush()

    def _unexplained_end(self) -> Event:
        if self._kill_at is not None:
            return {"event": "finished", "exit_code": Cancelled.exit_code, "message": str(Cancelled())}
        code = self._process.returncode
        how = f"was ended by signal {-code} (9: often for lack of memory)" if code < 0 else f"ended with code {code}"
        lines = (self._folder / _LOG_FILE).read_text("utf-8", "replace").splitlines()[-_LAST_LOG_LINES:]
        message = f"the worker process {how}; {' / '.join(lines) or 'no message'}"
        return {"event": "finished", "exit_code": 1, "message": message}

    def _end_process_tree(self) -> None:
        if sys.platform == "win32":
            subprocess.run(["taskkill", "/PID", str(self._process.pid), "/T", "/F"], check=False, capture_output=True)
        else:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def wait_for_end(
    poll: Callable[[], list[Event]],
    result: Callable[[], Event | None],
    on_event: Callable[[Event], None] | None = None,
    pause: Callable[[], None] | None = None,
) -> Event:
    """Polls until there is a result. `pause` is called in between (default: 50 ms of sleep)."""
    while (last := result()) is None:
        for event in poll():
            if on_event is not None:
                on_event(event)
        if result() is None:
            (pause or _sleep)()
    return last


def read_secret() -> str:
    """For a worker that was given a secret, before anything else: waits for its line on stdin."""
    received = b""
    while not received.endswith(b"\n"):
        piece = os.read(0, 1 << 16)
        if not piece:
            raise Cancelled  # the starter is gone
        received += piece
    return received.decode().removesuffix("\n")


def starter_is_gone() -> bool:
    """For the worker: its starter holds the other end of stdin and writes nothing more; its death is the stream's end.

    Stdin must not block, see `os.set_blocking`.
    """
    try:
        return not os.read(0, 1)
    except BlockingIOError:
        return False


def python_executable() -> str:
    """The Python to run the worker with. Inside Slicer that is PythonSlicer: sys.executable may be empty there."""
    home = os.environ.get("SLICER_HOME")
    if home is None:
        return sys.executable
    name = "PythonSlicer.exe" if sys.platform == "win32" else "PythonSlicer"
    found = shutil.which("PythonSlicer") or str(Path(home) / "bin" / name)
    if not Path(found).is_file():
        raise Refused(
            f"{found}: PythonSlicer is not there, so no worker can be started; repair the Slicer installation"
        )
    return found


def own_gpu(local_rank: int, visible: str | None) -> str:
    """The GPU of one of the processes on a machine; `visible`: those that all may use, None for every one."""
    return str(local_rank) if visible is None else visible.split(",")[local_rank % len(visible.split(","))]


def _environment() -> dict[str, str]:
    """This environment, with the folder of this library on the path (Slicer's module folders are not inherited).

    Of several processes that a launcher starts on one machine, each sees the GPU of its number.
    """
    library_parent = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (library_parent, inherited)))}
    number = os.environ.get("LOCAL_RANK")
    if number is not None:
        environment["CUDA_VISIBLE_DEVICES"] = own_gpu(int(number), os.environ.get("CUDA_VISIBLE_DEVICES"))
    return environment


def _inherited(lock: Lock) -> dict[str, Any]:
    """Its own process group: Ctrl-C in the terminal reaches this process only; the worker is stopped by the cancel
    file. The lock: a worker whose starter was killed finishes its step before another run may begin (not on Windows,
    where locks are not inherited).
    """
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True, "pass_fds": (lock.descriptor,)}


def _sleep() -> None:
    time.sleep(0.05)
