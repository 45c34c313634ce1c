"""What a run has to show at any moment: its key and state, one journal line for each case, and the manifests of both.

A case is finished when its line is in the journal, which is written after its files. So a run that is killed anywhere
has lost one case at most, its cost does not grow with the square of the cases, and the manifests can be made of state
and journal by whoever is left: the worker, its starter, or the run that resumes it.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import __version__
from ..engine.errors import Refused
from ..engine.forecast import Forecast
from ..engine.method import Method, State
from ..files.cases import CaseFiles
from ..files.outputs import OutputFolder, sha256_of, write_private_manifest
from ..files.volume import PRIVATE_MODE, read_json, write_atomically, write_json
from .job import Job
from .methods import METHODS

_STATE_FILE = "state.json"
_FORECAST_FILE = "forecast.json"
_JOURNALS = "journal-*.jsonl"
FAILED = "failed"

#: entry: of the manifest; private: of the private manifest, or None for a failed case, whose error it has in full
Line = dict[str, Any]


class Account:
    """State and journal of a job in its job folder. `rank`: several processes have a journal each."""

    def __init__(self, job: Job, job_folder: Path, rank: int = 0) -> None:
        self.job = job
        self._folder = job_folder
        self._journal = job_folder / f"journal-{rank}.jsonl"
        self._files = {case.id: case for case in job.cases}
        self._out = OutputFolder(job.out)

    def save_state(self, method: Method, why: str, fitted: bool) -> None:
        """Before and after `fit`: the key is on the disk before anything is made with it."""
        run = {
            "software": f"MedUnlearnable {__version__}",
            "method": METHODS[self.job.method].name,
            "profile": method.params.profile,
            "profile_reason": why,
            "seed_id": method.streams.seed_id,
        }
        state = {"run": run, "fitted": fitted, "state": method.state().to_json()}
        write_json(self._folder / _STATE_FILE, state, mode=PRIVATE_MODE)

    def saved_state(self) -> dict[str, Any] | None:
        """run, fitted, state; None before the start."""
        path = self._folder / _STATE_FILE
        return read_json(path) if path.exists() else None

    def save_forecast(self, forecast: Forecast) -> None:
        write_json(self._folder / _FORECAST_FILE, asdict(forecast), mode=PRIVATE_MODE)

    def forecast(self) -> Forecast | None:
        """None where none was made."""
        path = self._folder / _FORECAST_FILE
        return Forecast(**read_json(path)) if path.exists() else None

    def add_finished(self, entry: dict[str, Any], private: dict[str, Any]) -> None:
        self._append({"entry": entry, "private": private})

    def add_failed(self, case_id: str, error: str) -> None:
        entry = {"id": case_id, "state": FAILED, "error": self._without_folders(self._files[case_id], error)}
        self._append({"entry": entry, "private": None, "error": error})

    def lines(self) -> dict[str, Line]:
        """The journal by case id, in the order of the job."""
        found = {line["entry"]["id"]: line for path in sorted(self._folder.glob(_JOURNALS)) for line in _read(path)}
        return {case_id: found[case_id] for case_id in self._files if case_id in found}

    def entries(self) -> list[dict[str, Any]]:
        return [line["entry"] for line in self.lines().values()]

    @property
    def finished_any(self) -> bool:
        return any(entry["state"] != FAILED for entry in self.entries())

    def write_manifests(self) -> None:
        """Both manifests, of all that is finished now; none of a run that has finished nothing."""
        saved, lines = self.saved_state(), self.lines()
        if saved is None or not self.finished_any:
            return
        run = {**saved["run"], "complete": len(lines) == len(self._files), "warnings": list(self.job.warnings)}
        self._out.write_manifest(run, [line["entry"] for line in lines.values()])
        header = State.from_json(saved["state"]).header
        secrets = {**run, "seed": header["seed"], "state": header}  # trained weights are in the job folder
        forecast = self.forecast()
        if forecast is not None:  # which training gets around the protection is nothing to hand out
            secrets["forecast"] = asdict(forecast)
        finished = [line["private"] for line in lines.values() if line["private"]]
        write_private_manifest(self.job.private, secrets, finished)

    def keep_verified(self) -> int:
        """For a run that resumes: forgets and removes every case whose files are not what the journal says.

        Returns how many cases are finished. Failed ones get another chance.
        """
        lines = self.lines()
        kept = [line for line in lines.values() if self._holds(line)]
        for path in self._folder.glob(_JOURNALS):
            if path != self._journal:
                path.unlink()
        text = "".join(map(_text, kept))
        write_atomically(self._journal, lambda file: file.write(text.encode()), mode=PRIVATE_MODE)
        self.remove_unfinished_cases()
        return len(kept)

    def remove_unfinished_cases(self) -> None:
        """Removes files of cases that were killed before their journal line: of those no key would be kept."""
        finished = {entry["id"]: entry["files"] for entry in self.entries() if entry["state"] != FAILED}
        kept = {"labels"}.union(*finished.values())
        self._out.remove_cases([files for case_id, files in self._files.items() if case_id not in finished], kept)

    def _holds(self, line: Line) -> bool:
        """Whether the output files are still those of the journal. An input that has changed is refused."""
        if line["private"] is None:
            return False
        for name, digest in line["private"]["inputs_sha256"].items():
            path = Path(name)
            if path.exists() and sha256_of(path) != digest:
                raise Refused(
                    f"{path}: this input has changed since the run was started; start a new run in a new folder"
                )
        outputs = {self.job.out / name: digest for name, digest in line["entry"]["files"].items()}
        return all(path.exists() and sha256_of(path) == digest for path, digest in outputs.items())

    def _append(self, line: Line) -> None:
        """Writes the whole line or, on a full disk, none of it."""
        try:
            descriptor = os.open(self._journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_MODE)
            with os.fdopen(descriptor, "ab", buffering=0) as file:
                before = os.fstat(descriptor).st_size
                text = _text(line).encode()
                try:
                    if file.write(text) != len(text):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.fsync(descriptor)
                except OSError:
                    os.ftruncate(descriptor, before)
                    raise
        except OSError as error:
            raise Refused(
                f"{self._journal}: cannot be written ({error.strerror}); free some space, then go on with --resume"
            ) from None

    def _without_folders(self, files: CaseFiles, error: str) -> str:
        """For the manifest that is handed out: names of files stay, where they lie at the owner's does not."""
        text = error.replace(f"{self.job.out}{os.sep}", "")
        for path in files.inputs:
            text = text.replace(str(path), path.name)
        return text


def _text(line: Line) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"


def _read(path: Path) -> Iterator[Line]:
    """The whole lines; one that a kill has cut off was never finished."""
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    for line in whole.splitlines():
        yield json.loads(line)
