"""Runs over folders that were killed or cancelled, and can go on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..engine.errors import Refused
from ..files.lock import LOCK_FILE, is_held
from ..files.outputs import MANIFEST
from ..files.volume import read_json
from ..jobs.account import FAILED, Account
from ..jobs.job import JOB_FILE, Job
from ..jobs.runner import JOB_FOLDER


@dataclass(frozen=True)
class Interrupted:
    """How far an interrupted run had come, in cases."""

    finished: int
    total: int


def interrupted_run(out: Path) -> Interrupted | None:
    """What is to be gone on with in the folder `out`; None where nothing is, or a run is still at work."""
    if not _job_file(out).exists() or is_held(out / LOCK_FILE):
        return None
    if (out / MANIFEST).exists() and read_json(out / MANIFEST)["complete"]:
        return None
    job = Job.read(_job_file(out))
    finished = [entry for entry in Account(job, _job_file(out).parent).entries() if entry["state"] != FAILED]
    return Interrupted(len(finished), len(job.cases))


def interrupted_job(out: Path) -> Job:
    """The job that was started in the folder `out`."""
    if not _job_file(out).exists():
        raise Refused(f"{out}: no interrupted run is there; choose the folder that the run was writing to")
    job = Job.read(_job_file(out))
    if not all(path.is_absolute() for path in (job.out, *job.cases[0].inputs)):
        raise Refused(f"{out}: this run was started on the command line; go on there, by the same command and --resume")
    if job.out.resolve() != out.resolve():
        raise Refused(f"{out}: this run was writing to {job.out}; move the folder back, or start a new run")
    return job


def _job_file(out: Path) -> Path:
    return out.with_name(f"{out.name}-private") / JOB_FOLDER / JOB_FILE
