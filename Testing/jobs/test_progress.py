"""What a watcher hears of a run: how far a case is, and how long it will take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from MedUnlearnableLib.engine.errors import Cancelled
from MedUnlearnableLib.files import nrrd
from MedUnlearnableLib.files.cases import find_cases
from MedUnlearnableLib.files.samples import synthetic_ct
from MedUnlearnableLib.files.volume import write_atomically
from MedUnlearnableLib.jobs import events
from MedUnlearnableLib.jobs.events import CANCEL_FILE, EventReader, EventWriter, WatchedProgress
from MedUnlearnableLib.jobs.job import Job
from MedUnlearnableLib.jobs.runner import start


def test_the_share_of_a_case_rises_and_the_time_left_is_told(tmp_path: Path) -> None:
    sample = synthetic_ct((100, 320, 320))
    for name, array in (("ct", sample.image), ("ct_seg", sample.labels)):
        voxels = array[np.newaxis]
        write_atomically(
            tmp_path / "in" / f"{name}.nrrd",
            lambda file, voxels=voxels: nrrd.write(file, voxels, sample.geometry, None),
        )
    job = Job("umed", tuple(find_cases(tmp_path / "in", None)), tmp_path / "out", tmp_path / "private")
    events: list[dict[str, Any]] = []
    assert start(job).wait(events.append)["exit_code"] == 0
    of_case = [event for event in events if event["event"] == "progress" and event["case"]]
    shares = [event["case_share"] for event in of_case]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < 0.2
    assert shares[-1] >= 0.5
    told = [event for event in of_case if event["eta_s"] is not None]
    assert told
    assert all(event["eta_s"] >= event["case_eta_s"] >= 0 for event in told)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that a test lets pass."""
    now = [100.0]
    monkeypatch.setattr(events.time, "monotonic", lambda: now[0])
    return now


def watched(folder: Path) -> WatchedProgress:
    return WatchedProgress(folder, EventWriter(folder), 3, lambda: False)


def test_a_curve_loses_points_that_come_too_soon_but_never_the_last(tmp_path: Path, clock: list[float]) -> None:
    progress = watched(tmp_path)
    for step in range(1, 101):
        clock[0] += 0.01
        progress.curve("loss", step, 1 / step)
    progress.step("protect", 0, 1)
    points = [event for event in EventReader(tmp_path).new_events() if event["event"] == "curve"]
    steps = [event["step"] for event in points]
    assert steps == sorted(set(steps))
    assert 5 <= len(steps) <= 12
    assert points[-1]["step"] == 100
    assert points[-1]["value"] == 0.01


def test_the_last_points_are_written_when_the_training_is_cancelled(tmp_path: Path, clock: list[float]) -> None:
    progress = watched(tmp_path)
    progress.curve("loss", 1, 0.5)
    progress.curve("loss", 2, 0.4)
    (tmp_path / CANCEL_FILE).touch()
    with pytest.raises(Cancelled):
        progress.step("train", 2, 10)
    assert [event["step"] for event in EventReader(tmp_path).new_events()] == [1, 2]


def test_a_training_tells_its_time_left_by_its_own_pace(tmp_path: Path, clock: list[float]) -> None:
    """Also when it goes on at step 40 of 100: the first forty took no time here."""
    progress = watched(tmp_path)
    for done in (40, 50, 60):
        progress.curve("loss", done, 0.1)  # a curve must not keep the steps from being told
        progress.step("train", done, 100)
        clock[0] += 20.0
    told = [event for event in EventReader(tmp_path).new_events() if event["event"] == "progress"]
    assert [event["eta_s"] for event in told] == [None, 100.0, 80.0]
