"""Starts the worker process, passes its events on, and stops it: softly first, then with its whole process tree."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..engine.errors import Refused
from ..files.outputs import MANIFEST, OutputFolder, refuse_unwritable, remove_unfinished
from .events import CANCEL_FILE, Event, EventReader
from .job import Job
from .methods import build

#: A cancelled worker that has not stopped by itself after this time is ended.
GRACE_SECONDS = 5.0
_JOB_FOLDER = "job"
_LOG_FILE = "worker.log"
_LAST_LOG_LINES = 3


def start(job: Job) -> RunningJob:
    """Checks a job and starts it. A job refused here, or one that finishes no case, leaves nothing behind."""
    refuse_before_start(job)
    made = _missing_folders(job.out, job.private)
    folder = job.private / _JOB_FOLDER
    try:
        folder.mkdir(parents=True)
        return RunningJob(job, folder, made)
    except BaseException:
        _remove(folder, made)
        raise


def _missing_folders(*folders: Path) -> list[Path]:
    """Every folder that has to be made for these, the deepest first."""
    needed = {path for folder in folders for path in (folder, *folder.parents) if not path.exists()}
    return sorted(needed, key=lambda path: len(path.parts), reverse=True)


def _remove(job_folder: Path, made: Sequence[Path]) -> None:
    """Removes a job that has nothing to show, and of the folders made for it those that are empty."""
    shutil.rmtree(job_folder, ignore_errors=True)
    for folder in made:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


class RunningJob:
    """A job in its worker process. `folder` holds job.json, events.jsonl, worker.log, and must exist.

    Call `poll()` from a timer; it never blocks. `result` is the last event once the run has ended. `made`: folders that
    are there for this job alone, and go with it when no case was finished.
    """

    def __init__(self, job: Job, folder: Path, made: Sequence[Path]) -> None:
        self.job = job
        self.folder = folder
        self._made = made
        self.result: Event | None = None
        self._events = EventReader(folder)
        self._last_word: Event | None = None
        self._kill_at: float | None = None
        job.write(folder)
        with (folder / _LOG_FILE).open("wb") as log:
            self._process = subprocess.Popen(
                [python_executable(), "-m", "MedUnlearnableLib.jobs.worker", str(folder)],
                stdin=subprocess.PIPE,  # its closing tells the worker that this process is gone
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
                **_own_process_group(),
            )

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
            self._close()
            if self._last_word is None:
                self._last_word = self._unexplained_end()
                events.append(self._last_word)
            self._leave_nothing_of_nothing()
            self.result = self._last_word
        return events

    @property
    def finished_any(self) -> bool:
        """Whether there is something to hand out; known once the run is over."""
        return (self.job.private / MANIFEST).exists()

    def end(self) -> None:
        """Ends the worker at once, in the middle of whatever it does."""
        if self.result is None:
            self._kill_at = 0.0
            self.poll()

    def cancel(self) -> None:
        """Asks the worker to stop after its present step; `poll` ends it if it does not."""
        if self._kill_at is None:
            (self.folder / CANCEL_FILE).touch()
            self._kill_at = time.monotonic() + GRACE_SECONDS

    def wait(self, on_event: Callable[[Event], None] | None = None, pause: Callable[[], None] | None = None) -> Event:
        """Polls until the run is over. `pause` is called in between (default: 50 ms of sleep). Returns the result."""
        while self.result is None:
            for event in self.poll():
                if on_event is not None:
                    on_event(event)
            if self.result is None:
                (pause or _sleep)()
        return self.result

    def _unexplained_end(self) -> Event:
        if self._kill_at is not None:
            return {"event": "finished", "exit_code": 130, "message": "cancelled; finished cases are kept"}
        code = self._process.returncode
        how = f"was ended by signal {-code} (9: often for lack of memory)" if code < 0 else f"ended with code {code}"
        lines = (self.folder / _LOG_FILE).read_text("utf-8", "replace").splitlines()[-_LAST_LOG_LINES:]
        return {
            "event": "finished",
            "exit_code": 1,
            "message": f"the worker process {how}; {' / '.join(lines) or 'no message'}",
        }

    def _end_process_tree(self) -> None:
        if sys.platform == "win32":
            subprocess.run(["taskkill", "/PID", str(self._process.pid), "/T", "/F"], check=False, capture_output=True)
        else:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        remove_unfinished(self.job.out)
        remove_unfinished(self.job.private)

    def _leave_nothing_of_nothing(self) -> None:
        """A run that finished no case takes its folders along."""
        if not self.finished_any:
            _remove(self.folder, self._made)


def refuse_before_start(job: Job) -> None:
    """Everything that can be known without reading a voxel. A job refused here has written nothing."""
    build(job)
    OutputFolder(job.out).refuse_unusable(job.private, job.cases)
    if job.save_state is not None:
        if job.save_state.exists():
            raise Refused(
                f"--save-state {job.save_state} exists already; give a new name, an old key is never overwritten"
            )
        if job.out.resolve() in (job.save_state.resolve(), *job.save_state.resolve().parents):
            raise Refused(f"--save-state {job.save_state} lies in --out, which is handed out; keep the key elsewhere")
        refuse_unwritable("--save-state", job.save_state)


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


def _environment() -> dict[str, str]:
    """This environment, with the folder of this library on the path (Slicer's module folders are not inherited)."""
    library_parent = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (library_parent, inherited)))}


def _own_process_group() -> dict[str, Any]:
    """Ctrl-C in the terminal reaches this process only; the worker is stopped by the cancel file."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _sleep() -> None:
    time.sleep(0.05)
