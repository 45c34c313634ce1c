"""What the benchmarks share: the worker run as users run it, and raw results kept as JSON beside the scripts."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from MedUnlearnableLib import __version__
from MedUnlearnableLib.files.volume import read_json
from MedUnlearnableLib.jobs.events import EVENTS_FILE

RESULTS = Path(__file__).parent / "results"
#: Real images that lie beside the repository, not in it; rows that need them are left out without them.
SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "data" / "samples"


def protect(images: Path, labels: Path, *options: str) -> dict[str, Any]:
    """Runs `medunlearnable protect umed` in a fresh folder; wall seconds, peak memory and the record of each case."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = [sys.executable, "-m", "MedUnlearnableLib", "protect", "umed", "--quiet"]
        started = time.perf_counter()
        subprocess.run(
            [*command, "--images", str(images), "--labels", str(labels), "--out", str(out), *options], check=True
        )
        seconds = time.perf_counter() - started
        lines = (Path(folder) / "out-private" / "job" / EVENTS_FILE).read_text().splitlines()
        memory = [event["memory_mb"] for event in map(json.loads, lines) if event.get("memory_mb")]
        records = [read_json(path) for path in sorted(out.glob("*.medunlearnable.json"))]
    return {"seconds": seconds, "idle_mb": memory[0], "peak_mb": max(memory), "records": records}


def save(name: str, rows: list[dict[str, Any]]) -> None:
    """Keeps the raw result with what it was measured on."""
    RESULTS.mkdir(exist_ok=True)
    machine = {"processor": platform.processor() or platform.machine(), "python": platform.python_version()}
    data = {"version": __version__, "machine": machine, "rows": rows}
    (RESULTS / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")
