"""A thousand cases in one run: all are finished, and memory does not grow with their number."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from MedUnlearnableLib.engine.case import Geometry
from MedUnlearnableLib.files import nrrd
from MedUnlearnableLib.files.cases import find_cases
from MedUnlearnableLib.jobs.events import EVENTS_FILE
from MedUnlearnableLib.jobs.job import Job
from MedUnlearnableLib.jobs.runner import JOB_FOLDER, start

CASES = 1000
WARM = 100  # cases after which nothing new is loaded any more


def cohort(folder: Path) -> Path:
    """Tiny volumes; all but the first are links to it."""
    folder.mkdir()
    image = np.random.default_rng(0).integers(100, 900, (1, 3, 12, 12)).astype(np.int16)
    label = np.zeros((1, 3, 12, 12), np.uint8)
    label[0, 1, 4:9, 4:9] = 1
    for suffix, array in (("", image), ("_seg", label)):
        first = folder / f"case0000{suffix}.nrrd"
        with first.open("wb") as file:
            nrrd.write(file, array, Geometry(np.eye(4)), None)
        for number in range(1, CASES):
            os.link(first, folder / f"case{number:04}{suffix}.nrrd")
    return folder


def test_a_thousand_cases_are_finished_in_memory_that_does_not_grow(tmp_path: Path) -> None:
    cases = tuple(find_cases(cohort(tmp_path / "in"), None))
    job = Job("umed", cases, tmp_path / "out", tmp_path / "private", profile="instant", window="mr", seed=1)
    assert start(job).wait()["exit_code"] == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["complete"]
    assert [case["id"] for case in manifest["cases"]] == [f"case{number:04}" for number in range(CASES)]
    assert {case["state"] for case in manifest["cases"]} == {"protected"}
    lines = (tmp_path / "private" / JOB_FOLDER / EVENTS_FILE).read_text().splitlines()
    steps = [event for event in map(json.loads, lines) if event["event"] == "progress" and event["memory_mb"]]
    warm = max(event["memory_mb"] for event in steps if event["number"] <= WARM)
    assert steps[-1]["memory_mb"] <= 1.1 * warm
    assert steps[-1]["number"] == CASES - 1
