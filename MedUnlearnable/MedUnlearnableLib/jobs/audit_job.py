"""The Audit as a job: which pairs, how long, where to; and the running one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..engine.errors import Refused, UsageError
from ..files.lock import LOCK_FILE, Lock
from ..files.outputs import refuse_unwritable
from ..files.pairs import Pair, Pairs
from ..files.volume import PRIVATE_MODE, read_json, write_json
from .events import Event
from .methods import DEVICES
from .process import WorkerProcess, wait_for_end

REPORT_FILE, RESULTS_FILE = "report.html", "report.json"
JOB_FOLDER, CELLS_FOLDER = "job", "cells"
_JOB_FILE = "audit.json"
_FORMAT = "medunlearnable-audit-job/1"
_WORKER = "MedUnlearnableLib.jobs.audit_worker"


@dataclass(frozen=True)
class AuditJob:
    """What to audit. `out` gets report.html and report.json; the report shows originals, so it stays with the owner."""

    pairs: tuple[Pair, ...]
    out: Path
    budget_seconds: float
    unpaired: tuple[str, ...] = ()  # ids without a partner, for the report
    device: str = "auto"
    weights: Path | None = None  # of the attacker's own network, for a pretrained start

    @classmethod
    def of(cls, found: Pairs, out: Path, budget_seconds: float, **more: Any) -> AuditJob:
        return cls(found.pairs, out, budget_seconds, found.unpaired, **more)

    def write(self, folder: Path) -> None:
        data = {**asdict(self), "pairs": [pair.to_json() for pair in self.pairs], "out": str(self.out.resolve())}
        data["weights"] = str(self.weights.resolve()) if self.weights else None
        write_json(folder / _JOB_FILE, {"format": _FORMAT, **data}, mode=PRIVATE_MODE)

    @classmethod
    def read(cls, folder: Path) -> AuditJob:
        data = read_json(folder / _JOB_FILE)
        del data["format"]
        data["pairs"] = tuple(Pair.from_json(pair) for pair in data["pairs"])
        data["weights"] = Path(data["weights"]) if data["weights"] else None
        return cls(**{**data, "out": Path(data["out"]), "unpaired": tuple(data["unpaired"])})


def start_audit(job: AuditJob, resume: bool = False) -> RunningAudit:
    """Checks the job and starts it. `resume`: goes on in a folder that holds cells; finished ones are kept."""
    _refuse_bad_job(job, resume)
    folder = job.out / JOB_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    lock = Lock.take(job.out / LOCK_FILE)
    if lock is None:
        raise Refused(f"{job.out}: another audit is writing there; wait for its end, or give another folder")
    try:
        return RunningAudit(job, folder, lock)
    except BaseException:
        lock.release()
        raise


def holds_audit(folder: Path) -> bool:
    """Whether an audit was begun there, which can be gone on with."""
    return (folder / JOB_FOLDER / _JOB_FILE).exists()


def _refuse_bad_job(job: AuditJob, resume: bool) -> None:
    if job.device not in DEVICES:
        raise UsageError(f"--device {job.device} is unknown; give one of {', '.join(DEVICES)}")
    if job.weights is not None and not job.weights.is_file():
        raise Refused(f"--weights {job.weights}: there is no such file; check the path")
    if job.out.exists() and not job.out.is_dir():
        raise Refused(f"--out {job.out} is a file; give a folder")
    refuse_unwritable("--out", job.out)
    inputs = {path.parent.resolve() for pair in job.pairs for path in (*pair.clean.inputs, *pair.protected.inputs)}
    if job.out.resolve() in inputs:
        raise Refused(f"--out {job.out} is a folder of the images; give another folder, inputs are never written to")
    used = job.out.is_dir() and any(path.name != LOCK_FILE for path in job.out.iterdir())
    if used and not (resume and holds_audit(job.out)):
        raise Refused(
            f"--out {job.out} is not empty; give a new or an empty folder, or go on with the interrupted audit in it "
            "by --resume"
        )


class RunningAudit:
    """An audit in its worker process. Call `poll()` from a timer; `result` is the last event once it has ended."""

    def __init__(self, job: AuditJob, folder: Path, lock: Lock) -> None:
        self.job = job
        self._lock = lock
        job.write(folder)
        self._worker = WorkerProcess(_WORKER, (folder,), folder, lock)

    @property
    def result(self) -> Event | None:
        return self._worker.result

    @property
    def report(self) -> Path:
        """The HTML file; there once the audit has ended well."""
        return self.job.out / REPORT_FILE

    def poll(self) -> list[Event]:
        """New events; never blocks."""
        was_running = self.result is None
        events = self._worker.poll()
        if was_running and self.result is not None:
            self._lock.release()
        return events

    def cancel(self) -> None:
        """Asks the worker to stop; finished cells are kept for --resume."""
        self._worker.cancel()

    def end(self) -> None:
        """Ends the worker at once."""
        if self.result is None:
            self._worker.kill_at_next_poll()
            self.poll()

    def wait(self, on_event: Callable[[Event], None] | None = None, pause: Callable[[], None] | None = None) -> Event:
        """Polls until the audit is over and returns the result."""
        return wait_for_end(self.poll, lambda: self.result, on_event, pause)
