"""Starts the worker process, passes its events on, and stops it: softly first, then with its whole process tree."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from ..engine.errors import Refused
from ..files.lock import LOCK_FILE, Lock, is_held
from ..files.outputs import OutputFolder, refuse_unwritable, remove_unfinished
from .account import Account
from .events import CANCEL_FILE, EVENTS_FILE, Event, EventReader
from .job import JOB_FILE, Job
from .methods import build
from .share import ALONE, Share

#: A cancelled worker that has not stopped by itself after this time is ended.
GRACE_SECONDS = 5.0
JOB_FOLDER = "job"
_LOG_FILE = "worker.log"
_LAST_LOG_LINES = 3


def start(job: Job, resume: bool = False, share: Share = ALONE) -> RunningJob:
    """Checks a job and starts it. A job refused here, or one that finishes no case, leaves nothing behind.

    `resume`: goes on with the same job where it was killed or cancelled; without one there, it begins.
    """
    folder = job.private / JOB_FOLDER
    if not share.leads:
        return _follow(job, folder, share)
    refuse_before_start(job, resume)
    made = _missing_folders(job.out, job.private)
    lock: Lock | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        job.out.mkdir(parents=True, exist_ok=True)
        lock = _lock_or_refuse(job.out)
        return RunningJob(job, folder, made, lock, share)
    except BaseException:
        if lock is not None:
            lock.release()
            _leave_nothing_of_nothing(job, folder, made)
        raise


def _follow(job: Job, folder: Path, share: Share) -> RunningJob:
    """Starts the share of a rank that is not the first, once the first has looked at the cohort."""
    build(job)
    share.wait_until_ready(folder, job.out)
    _refuse_other_job(job, folder)
    own = share.folder(folder)
    own.mkdir(exist_ok=True)
    return RunningJob(job, folder, (), _lock_or_refuse(own), share)


def _lock_or_refuse(folder: Path) -> Lock:
    lock = Lock.take(folder / LOCK_FILE)
    if lock is None:
        raise _in_use(folder)
    return lock


def _in_use(folder: Path) -> Refused:
    return Refused(f"{folder}: another run is writing there; wait for its end, or give another folder")


def _missing_folders(*folders: Path) -> list[Path]:
    """Every folder that has to be made for these, the deepest first."""
    needed = {path for folder in folders for path in (folder, *folder.parents) if not path.exists()}
    return sorted(needed, key=lambda path: len(path.parts), reverse=True)


def _leave_nothing_of_nothing(job: Job, job_folder: Path, made: Sequence[Path]) -> None:
    """Removes a job that has nothing to show, and of the folders made for it those that are empty."""
    if Account(job, job_folder).finished_any:
        return
    shutil.rmtree(job_folder, ignore_errors=True)
    for folder in made:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


class RunningJob:
    """A job in its worker process. `folder` holds events.jsonl and worker.log.

    Call `poll()` from a timer; it never blocks. `result` is the last event once the run has ended. `made`: folders that
    are there for this job alone, and go with it when no case was finished. `lock` is held by the worker as well.
    """

    def __init__(self, job: Job, job_folder: Path, made: Sequence[Path], lock: Lock, share: Share) -> None:
        self.job = job
        self.folder = share.folder(job_folder)
        self._job_folder = job_folder
        self._made = made
        self._lock = lock
        self._share = share
        self.result: Event | None = None
        for name in (EVENTS_FILE, CANCEL_FILE):  # of the run that is resumed
            (self.folder / name).unlink(missing_ok=True)
        self._events = EventReader(self.folder)
        self._last_word: Event | None = None
        self._kill_at: float | None = None
        job.write(self.folder)
        with (self.folder / _LOG_FILE).open("wb") as log:
            self._process = subprocess.Popen(
                [
                    python_executable(),
                    "-m",
                    "MedUnlearnableLib.jobs.worker",
                    str(job_folder),
                    *map(str, astuple(share)),
                ],
                stdin=subprocess.PIPE,  # its closing tells the worker that this process is gone
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
                **_inherited(lock),
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
            if self._last_word is None:
                self._last_word = self._unexplained_end()
                events.append(self._last_word)
                self._tidy_up_after_a_kill()
            self._close()
            self.result = self._last_word
        return events

    @property
    def finished_any(self) -> bool:
        """Whether there is something to hand out; known once the run is over."""
        return Account(self.job, self._job_folder).finished_any

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
        self._lock.release()
        if self._share.leads:
            _leave_nothing_of_nothing(self.job, self._job_folder, self._made)

    def _tidy_up_after_a_kill(self) -> None:
        """What the worker would have done itself. Other ranks may be writing still: then it is left to --resume."""
        if not self._share.is_alone:
            return
        remove_unfinished(self.job.out)
        remove_unfinished(self.job.private)
        account = Account(self.job, self._job_folder)
        account.remove_unfinished_cases()
        account.write_manifests()


def refuse_before_start(job: Job, resume: bool = False) -> None:
    """Everything that can be known without reading a voxel. A job refused here has written nothing."""
    build(job)
    if is_held(job.out / LOCK_FILE):
        raise _in_use(job.out)
    resumes = resume and (job.private / JOB_FOLDER / JOB_FILE).exists()
    OutputFolder(job.out).refuse_unusable(job.private, job.cases, resumes)
    if resumes:
        _refuse_other_job(job, job.private / JOB_FOLDER)
    if job.save_state is not None and not (resumes and job.save_state.exists()):
        _refuse_state_file(job.save_state, job.out)


def _refuse_state_file(path: Path, out: Path) -> None:
    if path.exists():
        raise Refused(f"--save-state {path} exists already; give a new name, an old key is never overwritten")
    if out.resolve() in (path.resolve(), *path.resolve().parents):
        raise Refused(f"--save-state {path} lies in --out, which is handed out; keep the key elsewhere")
    refuse_unwritable("--save-state", path)


def _refuse_other_job(job: Job, job_folder: Path) -> None:
    """A run goes on with the inputs and options it was started with, or not at all."""
    differences = job.differences(job_folder / JOB_FILE)
    if differences:
        raise Refused(
            f"{job.out}: the run in this folder was started with another {', '.join(differences)}; "
            "repeat its command with --resume, or give a new folder"
        )


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
