"""`--dry-run` says what the run then does, and writes nothing; a case too large for the memory is named."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from MedUnlearnableLib.engine.case import Geometry
from MedUnlearnableLib.files import nrrd
from MedUnlearnableLib.files.cases import CaseFiles, find_cases
from MedUnlearnableLib.files.size import voxel_bytes
from MedUnlearnableLib.jobs import plan
from MedUnlearnableLib.jobs.job import Job
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "files"))
from dicom_helpers import some_volume, write_series


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory, volumes: Any) -> Path:
    """Two CTs, whose window is merged, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("cohort") / "in"
    for number in range(2):
        volumes.add(folder, f"case{number}", image=(volumes.tissue(number) * 2 - 1100).astype(np.int16))
    return folder


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_dry_run_says_windows_levels_and_labels_and_writes_nothing(cohort: Path, cli: Any, tmp_path: Path) -> None:
    before = everything_in(cohort.parent)
    arguments = ("protect", "umed", "--images", cohort, "--profile", "instant", "--window", "ct")
    dry = cli.run(*arguments, "--out", tmp_path / "out", "--dry-run")
    assert dry.code == 0, dry.err
    assert everything_in(tmp_path) == []
    assert everything_in(cohort.parent) == before
    seen = json.loads(cli.run(*arguments, "--out", tmp_path / "out", "--dry-run", "--json").out)
    assert cli.run(*arguments, "--out", tmp_path / "out").code == 0
    for case in seen["cases"]:
        record = json.loads((tmp_path / "out" / f"{case['case']}.medunlearnable.json").read_text())
        assert case["windows"] == [record["window"]]
        assert case["levels"] == [record["budget"]]  # a step is 1
        assert (case["size"], case["dtype"], case["labels"]) == ([22, 24, 6], "int16", [1])
        lo, hi = record["window"]
        line = f"  {case['case']}: 22 x 24 x 6 int16; labels 1; window [{lo:g}, {hi:g}], {record['budget']:g} levels"
        assert line in dry.out.splitlines()
    assert 0 < seen["seconds"] < 60
    assert "UMed, profile instant (asked for); nothing is written" in dry.out
    assert dry.out.splitlines()[-1].startswith("2 of 2 cases, about ")


def test_what_a_dry_run_finds_wrong_ends_with_1(cohort: Path, cli: Any, tmp_path: Path) -> None:
    for path in cohort.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "case1.nii.gz").unlink()
    (tmp_path / "case1.nii.gz").touch()
    dry = cli.protect(tmp_path, tmp_path / "out", "--dry-run")
    assert dry.code == 1
    assert "case1.nii.gz: the file is empty" in dry.out
    assert "1 of 2 cases" in dry.out
    assert not (tmp_path / "out").exists()


def test_a_dry_run_refuses_what_the_run_would_refuse(cohort: Path, cli: Any) -> None:
    ended = cli.protect(cohort, cohort, "--dry-run")
    assert ended.code == 1
    assert "is the folder of the input" in ended.err


def test_the_size_of_an_image_is_known_from_its_header(tmp_path: Path, volumes: Any) -> None:
    volume = volumes.tissue()
    with (tmp_path / "a.nrrd").open("wb") as file:
        nrrd.write(file, volume[np.newaxis], Geometry(np.eye(4)), None)
    Image.fromarray(np.zeros((30, 20, 3), np.uint8)).save(tmp_path / "b.png")
    series = write_series(tmp_path / "series", some_volume("u2", (5, 7, 9)))
    (tmp_path / "broken.nrrd").write_bytes(b"NRRD")
    sizes = {
        volumes.add(tmp_path, "c"): volume.nbytes,
        tmp_path / "a.nrrd": volume.nbytes,
        tmp_path / "b.png": 1800,
        series: 5 * 7 * 9 * 2,
        tmp_path / "broken.nrrd": None,
    }
    assert {path: voxel_bytes(path) for path in sizes} == sizes


def test_a_case_too_large_for_the_memory_is_named_before_the_start(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A computer with hardly any memory is the one thing that is made up here."""
    cases = find_cases(cohort, None)
    assert plan.memory_warnings(cases) == ()
    monkeypatch.setattr(plan, "free_mb", lambda device: 100.0)
    (sentence,) = plan.memory_warnings(cases)
    assert sentence.startswith("case")
    assert "this case needs about 150 MB and 100 MB are free; close other programs" in sentence
    job = Job("umed", tuple(cases), tmp_path / "out", tmp_path / "private", profile="instant")
    assert plan.plan_of(job).warnings == (sentence,)


def test_the_estimate_grows_with_the_voxels_not_with_the_file(tmp_path: Path) -> None:
    """Zeros are packed to nothing."""
    for name, side in (("small", 10), ("large", 400)):
        with (tmp_path / f"{name}.nrrd").open("wb") as file:
            nrrd.write(file, np.zeros((1, 40, side, side), np.int16), Geometry(np.eye(4)), None)
    small, large = (plan.needed_mb(CaseFiles(name, tmp_path / f"{name}.nrrd", None)) for name in ("small", "large"))
    assert large - small == pytest.approx(3 * 40 * (400**2 - 10**2) * 2 / 2**20)
