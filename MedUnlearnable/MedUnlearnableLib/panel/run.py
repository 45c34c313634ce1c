"""Runs: what one click on Protect starts. They belong to the module, not to its panel, so that a reload keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..engine.errors import MedUnlearnableError
from ..scene.protect_job import FolderJob, Outcome, ProtectJob

AnyJob = ProtectJob | FolderJob


class Run:
    """Jobs done one after another: all volumes of the scene as one data set, then each folder."""

    def __init__(self, starters: Sequence[Callable[[], AnyJob]]) -> None:
        self._waiting = list(starters)
        self._jobs: list[AnyJob] = []
        self._error = ""
        self._cancelled = False
        self.total = len(starters)
        self._start_next()  # errors of the first one go to who clicked

    @property
    def number(self) -> int:
        """Which job is running, from 1."""
        return len(self._jobs)

    def isRunning(self) -> bool:
        return bool(self._jobs and self._jobs[-1].isRunning()) or bool(self._waiting)

    def poll(self) -> list[dict[str, Any]]:
        """New events; starts the next job when one has ended."""
        events = self._jobs[-1].poll()
        if not self._jobs[-1].isRunning() and self._waiting:
            try:
                self._start_next()
            except MedUnlearnableError as error:
                self._error = str(error)
                self._waiting.clear()
        return events

    def cancel(self) -> None:
        self._cancelled = True
        self._waiting.clear()
        self._jobs[-1].cancel()

    def discard(self) -> None:
        self._waiting.clear()
        self._jobs[-1].discard()

    def outcomes(self) -> list[Outcome]:
        """Of all jobs that were started. Adds the new nodes to the scene."""
        return [outcome for job in self._jobs for outcome in job.outcomes()]

    def message(self) -> str:
        """How it ended, in one sentence; empty when all went well."""
        results = [job.result for job in self._jobs]
        failures = [result["message"] for result in results if result is not None and result["exit_code"] != 0]
        return self._error or (failures[0] if failures else "")

    @property
    def folders(self) -> list[tuple[Path, Path]]:
        """What may be handed out, and what must stay with the owner, of each folder that was protected."""
        done = [job for job in self._jobs if isinstance(job, FolderJob) and job.outcomes()]
        return [(job.outputFolder, job.privateFolder) for job in done]

    def _start_next(self) -> None:
        self._jobs.append(self._waiting.pop(0)())


class RunKeeper:
    """Holds the run across reloads of the panel and ends it when the application quits."""

    def __init__(self) -> None:
        self.run: Run | None = None

    def isRunning(self) -> bool:
        return self.run is not None and self.run.isRunning()

    def end(self) -> None:
        """Ends the worker; folder jobs keep their finished cases."""
        if self.run is not None and self.run.isRunning():
            self.run.discard()
        self.run = None
