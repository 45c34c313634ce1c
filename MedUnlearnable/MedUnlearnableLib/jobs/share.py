"""One run by several processes, on one machine or many: each does its share of the cases in one shared folder.

`torchrun`, Slurm and MPI launchers start the same command several times and number the processes; RANK and WORLD_SIZE
are torchrun's names. Rank 0 looks at the cohort and writes the manifests. The barriers are locks, which are never
stale: the others start when rank 0 holds `training`, to train with it, or `ready`, to protect their cases, and rank 0
ends when each has left its `done` file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..engine.errors import Refused, UsageError
from ..files.lock import LOCK_FILE, is_held

READY_FILE = "ready"
TRAINING_FILE = "training"
_DONE_FILE = "done"
_STARTUP_SECONDS = 300.0  # processes of one run that start further apart than this do not belong together
_SECONDS_BETWEEN_LOOKS = 0.05

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """The part of process `rank` (0, 1, ...) of `size` processes."""

    rank: int = 0
    size: int = 1

    @classmethod
    def from_environment(cls) -> Share:
        """As the launcher says; alone without one."""
        words = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
        try:
            rank, size = (int(word) for word in words)
        except ValueError:
            rank, size = -1, 0
        if not 0 <= rank < size:
            raise UsageError(
                f"RANK={words[0]} and WORLD_SIZE={words[1]} do not fit together; start with torchrun, or unset both"
            )
        return cls(rank, size)

    @property
    def leads(self) -> bool:
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        return self.size == 1

    def of(self, cases: Sequence[T]) -> Sequence[T]:
        """Every `size`-th case, so that large cases, which often lie together, are spread."""
        return cases[self.rank :: self.size]

    def folder(self, job_folder: Path) -> Path:
        """Where this process has its events and its log; rank 0 in the job folder itself."""
        return job_folder if self.leads else job_folder / f"rank{self.rank}"

    def wait_until_ready(self, job_folder: Path, out: Path, or_training: bool = False) -> None:
        """Waits, as any rank but 0, until rank 0 has learned on the cohort, or `or_training` until it wants help."""
        last_sign = time.monotonic()
        signs = (READY_FILE, TRAINING_FILE) if or_training else (READY_FILE,)
        while not any(is_held(job_folder / sign) for sign in signs):
            if is_held(out / LOCK_FILE):
                last_sign = time.monotonic()
            elif time.monotonic() - last_sign > _STARTUP_SECONDS:
                raise Refused(f"rank {self.rank} of {self.size}: rank 0 has not started in {out}; see its message")
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def forget_done(self, job_folder: Path) -> None:
        """Removes, as rank 0 and before `ready`, what an earlier start has left."""
        for path in job_folder.glob(f"rank*/{_DONE_FILE}"):
            path.unlink()

    def say_done(self, job_folder: Path) -> None:
        if not self.leads:
            (self.folder(job_folder) / _DONE_FILE).touch()

    def wait_for_others(self, job_folder: Path, on_wait: Callable[[int], None]) -> None:
        """Waits, as rank 0, for the shares of all others. Refuses when one has died or never came."""
        started = time.monotonic()
        for rank in range(1, self.size):
            folder = Share(rank, self.size).folder(job_folder)
            was_there = False
            while not (folder / _DONE_FILE).exists():
                here = is_held(folder / LOCK_FILE)
                late = time.monotonic() - started > _STARTUP_SECONDS
                if not here and (was_there or late) and not (folder / _DONE_FILE).exists():
                    how = "ended before its cases were done" if was_there else "has not started"
                    raise Refused(f"rank {rank} of {self.size} {how}; start again with --resume")
                was_there |= here
                on_wait(rank)
                time.sleep(_SECONDS_BETWEEN_LOOKS)


ALONE = Share()
