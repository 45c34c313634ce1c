"""Many small CT stacks (64x64x16) in one run: cases a second, peak memory, what a resume costs.

python Testing/benchmarks/scale_thousand_cases.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import common
import numpy as np
from MedUnlearnableLib.files import nrrd
from MedUnlearnableLib.files.samples import synthetic_ct
from MedUnlearnableLib.jobs.events import EVENTS_FILE

SHAPE = (16, 64, 64)
COUNTS = (100, 1000)
KINDS = 10  # different images; the others are links to them


def cohort(folder: Path, count: int) -> Path:
    (folder / "in").mkdir()
    for number in range(count):
        for suffix in ("", "_seg"):
            path = folder / "in" / f"case{number:04}{suffix}.nrrd"
            if number >= KINDS:
                os.link(folder / "in" / f"case{number % KINDS:04}{suffix}.nrrd", path)
                continue
            sample = synthetic_ct(SHAPE, number)
            array = sample.labels if suffix else sample.image
            with path.open("wb") as file:
                nrrd.write(file, array[np.newaxis], sample.geometry, None)
    return folder / "in"


def seconds_of(images: Path, out: Path, *options: str) -> float:
    command = [
        sys.executable,
        "-m",
        "MedUnlearnableLib",
        "protect",
        "umed",
        "--profile",
        "instant",
        "--quiet",
        *options,
    ]
    started = time.perf_counter()
    subprocess.run([*command, "--images", str(images), "--out", str(out)], check=True)
    return time.perf_counter() - started


def measure(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = cohort(folder, count)
        seconds = seconds_of(images, folder / "out")
        lines = (folder / "out-private" / "job" / EVENTS_FILE).read_text().splitlines()
        memory = max(event["memory_mb"] for event in map(json.loads, lines) if event.get("memory_mb"))
        resume = seconds_of(images, folder / "out", "--resume")
    return {
        "cases": count,
        "seconds": round(seconds, 2),
        "cases_per_second": round(count / seconds, 1),
        "peak_mb": memory,
        "resume_of_a_finished_run_seconds": round(resume, 2),
    }


if __name__ == "__main__":
    rows = [measure(count) for count in COUNTS]
    for row in rows:
        print(row)
    common.save("scale_thousand_cases", rows)
