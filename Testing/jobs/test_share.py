"""One run by several processes: the bytes of one process, one manifest, and no hang when one of them is missing."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from MedUnlearnableLib.engine.errors import UsageError
from MedUnlearnableLib.jobs.process import own_gpu
from MedUnlearnableLib.jobs.share import Share

CASES = 7


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory, volumes: Any) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "in"
    for number in range(CASES):
        volumes.add(folder, f"case{number}", image=(volumes.tissue(number) * 2 - 1100).astype(np.int16))
    return folder


def ranks(cli: Any, size: int, *arguments: object) -> list[Any]:
    """Started last to first, as a launcher may."""
    command = ("protect", "umed", *arguments)
    started = [
        cli.start(*command, env={**os.environ, "RANK": str(rank), "WORLD_SIZE": str(size)})
        for rank in reversed(range(size))
    ]
    return [cli.end(process) for process in reversed(started)]


def images(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.nii.gz")}


def test_two_ranks_give_the_bytes_and_the_manifest_of_one_process(cohort: Path, cli: Any, tmp_path: Path) -> None:
    alone = cli.protect(cohort, tmp_path / "alone", "--window", "ct", "--save-state", tmp_path / "key")
    assert alone.code == 0
    arguments = ("--images", cohort, "--out", tmp_path / "out", "--state", tmp_path / "key")
    ended = ranks(cli, 2, *arguments)
    assert [one.code for one in ended] == [0, 0], [one.err for one in ended]
    assert f"{CASES} of {CASES} cases done" in ended[0].out
    assert images(tmp_path / "out") == images(tmp_path / "alone")
    manifests = [json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("alone", "out")]
    assert [[case["id"] for case in manifest["cases"]] for manifest in manifests] == [
        [f"case{number}" for number in range(CASES)]
    ] * 2
    assert manifests[1]["complete"]
    journals = sorted((tmp_path / "out-private" / "job").glob("journal-*.jsonl"))
    assert [len(path.read_text().splitlines()) for path in journals] == [4, 3]


def test_what_two_ranks_left_one_process_resumes(cohort: Path, cli: Any, tmp_path: Path) -> None:
    arguments = ("--images", cohort, "--out", tmp_path / "out", "--window", "ct")
    assert [one.code for one in ranks(cli, 2, *arguments)] == [0, 0]
    before = images(tmp_path / "out")
    (tmp_path / "out" / "case1.nii.gz").unlink()
    assert cli.run("protect", "umed", *arguments, "--resume").code == 0
    assert images(tmp_path / "out") == before


def test_a_rank_that_waits_in_vain_can_be_interrupted(cohort: Path, cli: Any, tmp_path: Path) -> None:
    arguments = ("protect", "umed", "--images", cohort, "--out", tmp_path / "out")
    process = cli.start(*arguments, env={**os.environ, "RANK": "1", "WORLD_SIZE": "2"})
    with pytest.raises(Exception, match="timed out"):
        process.wait(6)  # long enough to have begun to wait
    process.send_signal(signal.SIGINT)
    assert cli.end(process).code == 130
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("-1", "1"), ("x", "2")])
def test_numbers_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch, rank: str, size: str) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", size)
    with pytest.raises(UsageError, match="do not fit together"):
        Share.from_environment()


def test_each_process_of_a_machine_has_a_gpu_of_its_own() -> None:
    assert [own_gpu(rank, None) for rank in range(3)] == ["0", "1", "2"]
    assert [own_gpu(rank, "4,7") for rank in range(3)] == ["4", "7", "4"]
    assert own_gpu(1, "") == ""
