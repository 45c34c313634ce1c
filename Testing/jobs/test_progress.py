"""What a watcher hears of a run: how far a case is, and how long it will take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from MedUnlearnableLib.files import nrrd
from MedUnlearnableLib.files.cases import find_cases
from MedUnlearnableLib.files.samples import synthetic_ct
from MedUnlearnableLib.files.volume import write_atomically
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
