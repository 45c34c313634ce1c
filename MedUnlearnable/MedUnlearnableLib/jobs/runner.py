"""Starts a job, passes the events of its worker on, and leaves its folders in order, however it ends."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
from pathlib import Path

from ..engine.errors import Cancelled, Refused
from ..files.certificates import Sealer
from ..files.lock import LOCK_FILE, Lock, is_held
from ..files.outputs import OutputFolder, refuse_unwritable, remove_unfinished
from .account import Account
from .events import Event
from .job import JOB_FILE, Job
from .methods import build
from .process import WorkerProcess, wait_for_end
from .share import ALONE, Share
from .workspace import KEPT_FILE

JOB_FOLDER = "job"
_WORKER = "MedUnlearnableLib.jobs.worker"


def start(job: Job, resume: bool = False, share: Share = ALONE, sealer: Sealer | None = None) -> RunningJob:
    """Checks a job and starts it.

    A job refused here, or one that finishes no case, leaves nothing behind, except a training that can go on.

    `resume`: goes on with the same job where it was killed or cancelled; without one there, it begins. `sealer`: signs
    a certificate for each image; its secrets go to the worker, the job names its public keys.
    """
    if sealer is not None:
        job = replace(job, key=sealer.issuer.public.text, recipient=sealer.recipient_names)
    folder = job.private / JOB_FOLDER
    if not share.leads:
        return _follow(job, folder, share, sealer)
    refuse_before_start(job, resume)
    made = _missing_folders(job.out, job.private)
    lock: Lock | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        job.out.mkdir(parents=True, exist_ok=True)
        lock = _lock_or_refuse(job.out)
        return RunningJob(job, folder, made, lock, share, sealer)
    except BaseException:
        if lock is not None:
            lock.release()
            _leave_nothing_of_nothing(job, folder, made)
        raise


def _follow(job: Job, folder: Path, share: Share, sealer: Sealer | None) -> RunningJob:
    """Starts the share of a rank that is not the first, once the first has looked at the cohort."""
    build(job)
    share.wait_until_ready(folder, job.out, or_training=True)
    _refuse_other_job(job, folder)
    own = share.folder(folder)
    own.mkdir(exist_ok=True)
    return RunningJob(job, folder, (), _lock_or_refuse(own), share, sealer)


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

    def __init__(
        self, job: Job, job_folder: Path, made: Sequence[Path], lock: Lock, share: Share, sealer: Sealer | None
    ) -> None:
        self.job = job
        self.folder = share.folder(job_folder)
        self._job_folder = job_folder
        self._made = made
        self._lock = lock
        self._share = share
        job.write(self.folder)
        secret = sealer.to_text() if sealer else None
        self._worker = WorkerProcess(_WORKER, (job_folder, *astuple(share)), self.folder, lock, secret)

    @property
    def process_id(self) -> int:
        return self._worker.process_id

    @property
    def result(self) -> Event | None:
        """The last event; None while the job runs."""
        return self._worker.result

    def poll(self) -> list[Event]:
        """New events. Ends a cancelled worker that does not stop, and tidies up when the run is over."""
        was_running = self.result is None
        events = self._worker.poll()
        if was_running and self.result is not None:
            if self._worker.died:
                self._tidy_up_after_a_kill()
            self._close()
        return events

    @property
    def finished_any(self) -> bool:
        """Whether there is something to hand out; known once the run is over."""
        return Account(self.job, self._job_folder).finished_any

    def end(self) -> None:
        """Ends the worker at once, in the middle of whatever it does."""
        if self.result is None:
            self._worker.kill_at_next_poll()
            self.poll()

    def cancel(self) -> None:
        """Asks the worker to stop after its present step; `poll` ends it if it does not."""
        self._worker.cancel()

    def wait(self, on_event: Callable[[Event], None] | None = None, pause: Callable[[], None] | None = None) -> Event:
        """Polls until the run is over. `pause` is called in between (default: 50 ms of sleep). Returns the result."""
        return wait_for_end(self.poll, lambda: self.result, on_event, pause)

    def _close(self) -> None:
        self._lock.release()
        if self._share.leads and not self._stopped_in_training:
            _leave_nothing_of_nothing(self.job, self._job_folder, self._made)

    @property
    def _stopped_in_training(self) -> bool:
        """Cancelled or killed where --resume can go on, though no case is finished."""
        assert self.result is not None
        stopped = self._worker.died or self.result["exit_code"] == Cancelled.exit_code
        return stopped and (self._job_folder / KEPT_FILE).exists()

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
    refuse_unusable_folders(job, resume)


def refuse_unusable_folders(job: Job, resume: bool = False) -> None:
    """Folders and state file that the job may not write to."""
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
