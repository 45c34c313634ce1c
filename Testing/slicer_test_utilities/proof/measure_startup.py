"""Prints what one panel test costs in a new process, and what each further one adds.

python proof/measure_startup.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "tests" / "modules" / "Sample" / "Sample.py"
TEST = """
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_panel(scripted_module, number):
    module = scripted_module({path!r})
    module.ui.epsilonSlider.value = 5
    assert module.widget.parameterNode.epsilon == 5.0
"""
FURTHER = 20


def cost(count: int) -> tuple[float, float]:
    """Wall time and processor time of pytest, from the start of Python to its end; the best of five."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "test_panel.py"
        file.write_text(TEST.format(count=count, path=str(SAMPLE)))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
        runs = [_run(command, folder) for _ in range(5)]
        return min(wall for wall, _ in runs), min(processor for _, processor in runs)


def _run(command: list[str], folder: str) -> tuple[float, float]:
    start, before = time.perf_counter(), os.times()
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    after = os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - start, processor


if __name__ == "__main__":
    first, many = cost(1), cost(1 + FURTHER)
    further = [(m - f) / FURTHER for m, f in zip(many, first, strict=True)]
    sys.stdout.write(f"first panel test, whole process: {first[0]:.2f} s wall, {first[1]:.2f} s processor\n")
    sys.stdout.write(f"each further one: {further[0]:.3f} s wall, {further[1]:.3f} s processor\n")
