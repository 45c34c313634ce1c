"""The worker process: `python -m MedUnlearnableLib.jobs.worker FOLDER` does the job in FOLDER/job.json.

A process of its own, because a Python thread starves inside Slicer's event loop and a lack of memory must not take
Slicer down. It stops when FOLDER/cancel appears or when the process that started it closes its end of stdin.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

from .. import __version__
from ..engine.errors import Cancelled, MedUnlearnableError
from ..engine.record import Record
from ..files.cases import FileCases, first_names
from ..files.outputs import OutputFolder, private_entry, unprotected_share, write_private_manifest
from ..files.volume import PRIVATE_MODE, write_json
from .events import EventWriter, WatchedProgress
from .job import JOB_FILE, Job
from .methods import METHOD_NAMES, build

#: Above this share of clean copies the protection of the others is undone; the run then ends with exit code 1.
LARGEST_UNPROTECTED_SHARE = 0.10
_NO_MEMORY = "the memory does not suffice for this image; close other programs or use a smaller image"


def main(folder: Path) -> int:
    """Does the job; whatever happens, the last event says how it ended."""
    events = EventWriter(folder)
    try:
        job = Job.read(folder / JOB_FILE)
        os.set_blocking(0, False)
        progress = WatchedProgress(folder, events, len(job.cases), _starter_is_gone)
        code, message = Run(job, events, progress).run()
    except MedUnlearnableError as error:
        code, message = error.exit_code, str(error)
    except MemoryError:
        code, message = 1, _NO_MEMORY
    events.write("finished", exit_code=code, message=message)
    return code


class Run:
    """One run over all cases: fit, protect each case and write it, then the manifests."""

    def __init__(self, job: Job, events: EventWriter, progress: WatchedProgress) -> None:
        self.job = job
        self.events = events
        self.progress = progress
        self.cases = FileCases(job.cases)
        self.out = OutputFolder(job.out)
        self.entries: list[dict[str, Any]] = []
        self.private_entries: list[dict[str, Any]] = []

    def run(self) -> tuple[int, str]:
        method, why = build(self.job)
        self.events.write("started", method=METHOD_NAMES[self.job.method], profile=method.params.profile, why=why)
        cancelled: Cancelled | None = None
        try:
            if self.job.state is None:
                method.fit(self.cases, self.progress)
            for number, case_id in enumerate(self.cases.ids):
                self.progress.begin(case_id, number)
                self.entries.append(self._protect(method, case_id))
                if self.private_entries:
                    self._write_account(method, why)  # after each case: a run that is killed must not lose its key
        except Cancelled as stop:
            cancelled = stop
        if self.job.save_state and self.private_entries and cancelled is None:
            write_json(self.job.save_state, method.state_dict(), mode=PRIVATE_MODE)
        return self._verdict(cancelled)

    def _protect(self, method: Any, case_id: str) -> dict[str, Any]:
        """One case to its end. A case that cannot be protected is named and the others go on."""
        try:
            protected = method.protect(self.cases.load(case_id), self.progress)
            self.progress.step("write", 0, 1)
            entry = self.out.write(self.cases.files[case_id], self.cases.stored(case_id), protected)
        except Cancelled:
            raise
        except (MedUnlearnableError, MemoryError) as error:
            message = _NO_MEMORY if isinstance(error, MemoryError) else str(error)
            files = self.cases.files[case_id]
            names_a_file = any(path.name in message for path in (files.image, files.label) if path)
            named = message if names_a_file else f"{case_id}: {message}"
            self.events.write("case", case=case_id, state="failed", error=named)
            return {"id": case_id, "state": "failed", "error": named}
        self.private_entries.append(private_entry(self.cases.files[case_id]))
        self.events.write("case", case=case_id, state=entry["state"], **_figures(protected.record))
        return entry

    def _write_account(self, method: Any, why: str) -> None:
        run = {
            "software": f"MedUnlearnable {__version__}",
            "method": METHOD_NAMES[self.job.method],
            "profile": method.params.profile,
            "profile_reason": why,
            "seed_id": method.streams.seed_id,
            "complete": len(self.entries) == len(self.cases.ids),
        }
        self.out.write_manifest(run, [self._without_folders(entry) for entry in self.entries])
        secrets = {**run, "seed": method.streams.seed.hex(), "state": method.state_dict()}
        write_private_manifest(self.job.private, secrets, self.private_entries)

    def _without_folders(self, entry: dict[str, Any]) -> dict[str, Any]:
        """For the manifest that is handed out: names of files stay, where they lie at the owner's does not."""
        if "error" not in entry:
            return entry
        files = self.cases.files[entry["id"]]
        text = entry["error"].replace(f"{self.job.out}{os.sep}", "")
        for path in (files.image, files.label):
            text = text.replace(str(path), path.name) if path else text
        return {**entry, "error": text}

    def _verdict(self, cancelled: Cancelled | None) -> tuple[int, str]:
        failed = [entry for entry in self.entries if entry["state"] == "failed"]
        clean = [entry["id"] for entry in self.entries if entry["state"] == "unchanged"]
        share = unprotected_share(self.entries)
        if cancelled is not None:
            return cancelled.exit_code, str(cancelled)
        if failed and len(self.entries) == 1:
            return 1, failed[0]["error"]
        if failed:
            return 1, f"{len(failed)} of {len(self.entries)} cases failed, the first: {failed[0]['error']}"
        if share > LARGEST_UNPROTECTED_SHARE:
            return 1, (
                f"{share:.0%} of the cases stay clean copies ({first_names(clean)}); above "
                f"{LARGEST_UNPROTECTED_SHARE:.0%} they undo the protection of the others: leave them out"
            )
        return 0, f"{len(self.entries)} of {len(self.cases.ids)} cases done"


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


def _starter_is_gone() -> bool:
    """The starter holds the other end of stdin and writes nothing: its death is the end of the stream."""
    try:
        return not os.read(0, 1)
    except BlockingIOError:
        return False


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sys.exit(main(Path(sys.argv[1])))
