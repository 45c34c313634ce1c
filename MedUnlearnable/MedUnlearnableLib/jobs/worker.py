"""The worker process: `python -m MedUnlearnableLib.jobs.worker FOLDER RANK SIZE` does its share of FOLDER/job.json.

A process of its own, because a Python thread starves inside Slicer's event loop and a lack of memory must not take
Slicer down. It stops when FOLDER/cancel appears or when the process that started it closes its end of stdin.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

from ..engine.errors import Cancelled, MedUnlearnableError, Refused
from ..engine.method import Method, State
from ..engine.record import Record
from ..files.cases import FileCases, first_names
from ..files.certificates import Sealer
from ..files.lock import Lock
from ..files.outputs import OutputFolder, private_entry, remove_unfinished, unprotected_share
from ..files.volume import PRIVATE_MODE, write_json
from .account import FAILED, Account
from .events import EventWriter, WatchedProgress
from .job import JOB_FILE, Job
from .methods import METHODS, build
from .plan import memory_warnings
from .process import read_secret, starter_is_gone
from .share import READY_FILE, Share
from .team import JobTeam
from .workspace import FolderWorkspace

#: Above this share of clean copies the protection of the others is undone; the run then ends with exit code 1.
LARGEST_UNPROTECTED_SHARE = 0.10
_NO_MEMORY = "the memory does not suffice for this image; close other programs or use a smaller image"


def main(job_folder: Path, share: Share) -> int:
    """Does the job; whatever happens, the last event says how it ended."""
    folder = share.folder(job_folder)
    events = EventWriter(folder)
    try:
        job = Job.read(folder / JOB_FILE)
        sealer = Sealer.from_text(read_secret()) if job.key else None
        os.set_blocking(0, False)
        progress = WatchedProgress(folder, events, len(share.of(job.cases)), starter_is_gone)
        code, message = Run(job, job_folder, share, events, progress, sealer).run()
    except MedUnlearnableError as error:
        code, message = error.exit_code, str(error)
    except (MemoryError, OSError) as error:
        code, message = 1, _sentence(error)
    events.write("finished", exit_code=code, message=message)
    return code


class Run:
    """One run over the cases of a share: fit, protect each case and write it; rank 0 writes the manifests."""

    def __init__(
        self,
        job: Job,
        job_folder: Path,
        share: Share,
        events: EventWriter,
        progress: WatchedProgress,
        sealer: Sealer | None = None,
    ) -> None:
        self.job = job
        self.job_folder = job_folder
        self.share = share
        self.events = events
        self.progress = progress
        self.sealer = sealer
        self.account = Account(job, job_folder, share.rank)
        self.cases = FileCases(job.cases)
        self.workspace = FolderWorkspace(job_folder, progress, job.device, JobTeam.of(share, job_folder))
        self.out = OutputFolder(job.out)

    def run(self) -> tuple[int, str]:
        try:
            finished = self._take_up() if self.share.leads else 0
            method = self._method(finished)
            if self.share.leads:
                Lock.take(self.job_folder / READY_FILE)  # held to the end of this process: the other ranks begin
            done = {line["entry"]["id"] for line in self.account.lines().values() if line["private"]}
            for number, case_id in enumerate(self.share.of(self.cases.ids)):
                if case_id not in done:
                    self.progress.begin(case_id, number)
                    self._protect(method, case_id)
            self.share.say_done(self.job_folder)
            if self.share.leads:
                self.share.wait_for_others(
                    self.job_folder, lambda rank: self.progress.step("wait", rank, self.share.size)
                )
        except MedUnlearnableError:
            if self.share.leads:
                self.account.write_manifests()
            raise
        if not self.share.leads:
            return 0, f"share {self.share.rank + 1} of {self.share.size} done; rank 0 writes the manifest"
        self.account.write_manifests()
        if self.job.save_state and self.account.finished_any:
            write_json(self.job.save_state, method.state().to_json(), mode=PRIVATE_MODE)
        return self._verdict()

    def _take_up(self) -> int:
        """Clears what an interrupted run has left, and returns how many of its cases are finished."""
        self.share.forget_done(self.job_folder)
        if self.account.saved_state() is None:
            return 0
        remove_unfinished(self.job.out)
        remove_unfinished(self.job.private)
        return self.account.keep_verified()

    def _method(self, finished: int) -> Method:
        """As the interrupted run, or rank 0, left it; else new and fitted. The key is saved before it is used."""
        saved = self.account.saved_state()
        if saved is None:
            method, why = build(self.job)
            self.account.save_state(method, why, fitted=False)
        else:
            kind = METHODS[self.job.method]
            method, why = kind.from_state(State.from_json(saved["state"])), saved["run"]["profile_reason"]
        self.events.write(
            "started", method=METHODS[self.job.method].name, profile=method.params.profile, why=why, finished=finished
        )
        for warning in (*self.job.warnings, *memory_warnings(self.job.cases)):
            self.events.write("warning", message=warning)
        if saved is None or not saved["fitted"]:
            if self.share.leads and METHODS[self.job.method].trains(method, self.job):
                self._forecast(method)
            if self.job.state is None:
                method.fit(self.cases, self.workspace)
            if not self.share.leads:
                return self._as_rank_0_left_it()
            self.account.save_state(method, why, fitted=True)
        return method

    def _forecast(self, method: Method) -> None:
        """Says what to expect of the training that begins or goes on; made once, with random numbers of its own."""
        make, forecast = METHODS[self.job.method].forecast, self.account.forecast()
        if make is None:
            return
        if forecast is None:
            forecast = make(self.cases, method.streams.generator("forecast"), self.progress)
            self.account.save_forecast(forecast)
        self.events.write("forecast", message=forecast.sentence)

    def _as_rank_0_left_it(self) -> Method:
        self.share.wait_until_ready(self.job_folder, self.job.out)
        saved = self.account.saved_state()
        assert saved is not None
        return METHODS[self.job.method].from_state(State.from_json(saved["state"]))

    def _protect(self, method: Method, case_id: str) -> None:
        """One case to its end. A case that cannot be protected is named and the others go on."""
        files = self.cases.files[case_id]
        try:
            protected = method.protect(self.cases.load(case_id), self.workspace)
            self.progress.step("write", 0, 1)
            entry = self.out.write(files, self.cases.stored(case_id), protected, self.sealer)
            private = private_entry(files)
        except Cancelled:
            raise
        except (MedUnlearnableError, MemoryError, OSError) as error:
            self.out.remove_cases([files], ())
            message = _sentence(error)
            names_a_file = any(path.name in message for path in files.inputs)
            named = message if names_a_file else f"{case_id}: {message}"
            self.account.add_failed(case_id, named)
            self.events.write("case", case=case_id, state=FAILED, error=named)
            return
        try:
            self.account.add_finished(entry, private)
        except Refused:
            self.out.remove_cases([files], ())  # not in the journal, so not there
            raise
        self.events.write("case", case=case_id, state=entry["state"], **_figures(protected.record))

    def _verdict(self) -> tuple[int, str]:
        lines = self.account.lines().values()
        entries = [line["entry"] for line in lines]
        failed = [line["error"] for line in lines if "error" in line]
        clean = [entry["id"] for entry in entries if entry["state"] == "unchanged"]
        share = unprotected_share(entries)
        if failed and len(entries) == 1:
            return 1, failed[0]
        if failed:
            return 1, f"{len(failed)} of {len(entries)} cases failed, the first: {failed[0]}"
        if share > LARGEST_UNPROTECTED_SHARE:
            return 1, (
                f"{share:.0%} of the cases stay clean copies ({first_names(clean)}); above "
                f"{LARGEST_UNPROTECTED_SHARE:.0%} they undo the protection of the others: leave them out"
            )
        return 0, f"{len(entries)} of {len(self.cases.ids)} cases done"


def _sentence(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return _NO_MEMORY
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}; check the folder and the disk"
    return str(error)


def _figures(record: Record) -> dict[str, Any]:
    names = (
        "psnr_db",
        "ssim",
        "max_change_physical",
        "units",
        "share_changed",
        "budget",
        "window",
        "seconds",
        "warnings",
    )
    return {name: getattr(record, name) for name in names}


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sys.exit(main(Path(sys.argv[1]), Share(int(sys.argv[2]), int(sys.argv[3]))))
