"""One process against two of torchrun on two cores: 200 small CT stacks, and what a resume in the middle costs.

python Testing/benchmarks/scale_ranks.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import common
from MedUnlearnableLib.files.lock import LOCK_FILE, is_held
from scale_thousand_cases import cohort

COUNT = 200
KILLED_AT = 100  # finished cases
_LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
_PROTECT = ("-m", "MedUnlearnableLib", "protect", "umed", "--profile", "instant", "--quiet")


def command(images: Path, out: Path, *options: str, ranks: int = 1) -> list[str]:
    launcher = _LAUNCHER if ranks == 2 else ()
    return [sys.executable, *launcher, *_PROTECT, "--images", str(images), "--out", str(out), *options]


def seconds_of(words: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(words, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return time.perf_counter() - started


def interrupted(images: Path, out: Path) -> dict[str, float]:
    """Seconds until the kill and of the resumed run, against a whole one."""
    started = time.perf_counter()
    process = subprocess.Popen(command(images, out))
    while len(list(out.glob("case*.nrrd"))) < KILLED_AT:
        time.sleep(0.01)
    process.kill()
    process.wait()
    until_kill = time.perf_counter() - started
    while is_held(out / LOCK_FILE):  # its worker ends after the present step
        time.sleep(0.01)
    return {"until_killed_seconds": until_kill, "resumed_seconds": seconds_of(command(images, out, "--resume"))}


def measure(folder: Path) -> list[dict[str, Any]]:
    images = cohort(folder, COUNT)
    rows: list[dict[str, Any]] = [
        {"ranks": ranks, "seconds": seconds_of(command(images, folder / f"out{ranks}", ranks=ranks))}
        for ranks in (1, 2)
    ]
    parts = interrupted(images, folder / "interrupted")
    whole = rows[0]["seconds"]
    rows.append({"ranks": 1, **parts, "resume_overhead_seconds": sum(parts.values()) - whole})
    return [
        {"cases": COUNT, "load": os.getloadavg()[2], **row}
        | {name: round(value, 2) for name, value in row.items() if isinstance(value, float)}
        for row in rows
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name))
    for row in found:
        print(row)
    common.save("scale_ranks", found)
