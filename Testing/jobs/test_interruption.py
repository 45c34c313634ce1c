"""Runs that do not reach their end: cancelled, killed, abandoned, or on a full disk."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from MedUnlearnableLib.files import formats, nrrd
from MedUnlearnableLib.files.cases import CaseFiles
from MedUnlearnableLib.files.samples import synthetic_ct
from MedUnlearnableLib.files.volume import TEMPORARY_PREFIX
from MedUnlearnableLib.jobs.events import CANCEL_FILE, EVENTS_FILE, EventReader
from MedUnlearnableLib.jobs.job import Job
from MedUnlearnableLib.jobs.runner import RunningJob, start

CASES = 40
INSTANT = ("--profile", "instant")  # so many cases would be trained on
CANCEL_LIMIT_SECONDS = 1.0


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Links to one CT of some size: a run over them lasts long enough to be interrupted anywhere."""
    folder = tmp_path_factory.mktemp("cohort")
    sample = synthetic_ct((48, 160, 160))
    for name, array in (("ct.nrrd", sample.image), ("label.nrrd", sample.labels)):
        with (folder / name).open("wb") as file:
            nrrd.write(file, array[np.newaxis], sample.geometry, None)
    (folder / "in").mkdir()
    for number in range(CASES):
        os.link(folder / "ct.nrrd", folder / "in" / f"case{number:02}.nrrd")
        os.link(folder / "label.nrrd", folder / "in" / f"case{number:02}_seg.nrrd")
    return folder / "in"


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def images(out: Path) -> list[Path]:
    return sorted(out.glob("case*.nrrd"))


def assert_whole(out: Path) -> None:
    """Every image is readable to its last voxel, and nothing unfinished lies about."""
    for path in images(out):
        assert formats.read(path).array.shape == (1, 48, 160, 160)
    assert not list(out.parent.rglob(f"{TEMPORARY_PREFIX}*"))


def worker_of(process: subprocess.Popen[str]) -> int:
    """The process id of the only child."""
    found: list[int] = []

    def look() -> bool:
        text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        found[:] = [int(number) for number in text.split()]
        return bool(found)

    wait_for(look)
    return found[0]


def alive(process_id: int) -> bool:
    stat = Path(f"/proc/{process_id}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for the worker in /proc")


@pytest.fixture
def running(cohort: Path, tmp_path: Path, cli: Any) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A run that has finished its first cases."""
    out = tmp_path / "out"
    process = cli.start("protect", "umed", "--images", cohort, "--out", out, *INSTANT, "--window", "-100,300")
    wait_for(lambda: len(images(out)) >= 2 or process.poll() is not None)
    yield process, out
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_with_130_and_keeps_the_finished_cases(running: Any, cli: Any, number: int) -> None:
    process, out = running
    process.send_signal(number)
    ended = cli.end(process)
    assert ended.code == 130
    assert ended.err.splitlines()[-1] == "error: cancelled; finished cases are kept"
    assert_whole(out)
    manifest = json.loads((out / "manifest.json").read_text())
    assert not manifest["complete"]
    assert [entry["images"] for entry in manifest["cases"]] == [[path.name] for path in images(out)]
    assert 2 <= len(images(out)) < CASES
    assert (out.parent / "out-private" / "manifest.json").exists()


def test_an_interrupt_before_the_first_case_leaves_nothing(cohort: Path, tmp_path: Path, cli: Any) -> None:
    process = cli.start("protect", "umed", "--images", cohort, "--out", tmp_path / "out", *INSTANT)
    wait_for((tmp_path / "out-private" / "job" / EVENTS_FILE).exists)
    process.send_signal(signal.SIGINT)
    ended = cli.end(process)
    assert ended.code == 130
    assert not list(tmp_path.iterdir())


@needs_proc
def test_a_killed_worker_leaves_no_half_file_and_a_sentence(running: Any, cli: Any) -> None:
    process, out = running
    os.kill(worker_of(process), signal.SIGKILL)
    ended = cli.end(process)
    assert ended.code == 1
    assert "error: the worker process was ended by signal 9 (9: often for lack of memory)" in ended.err
    assert_whole(out)
    manifest, private = (json.loads((at / "manifest.json").read_text()) for at in (out, out.with_name("out-private")))
    assert not manifest["complete"]
    assert len(manifest["cases"]) in (len(images(out)), len(images(out)) - 1)  # killed between image and manifest
    assert len(bytes.fromhex(private["seed"])) == 16


@needs_proc
def test_the_worker_of_a_killed_command_stops_by_itself_and_leaves_whole_files(running: Any) -> None:
    process, out = running
    worker = worker_of(process)
    process.kill()
    process.wait()
    try:
        wait_for(lambda: not alive(worker), seconds=10)
    finally:
        if alive(worker):
            os.kill(worker, signal.SIGKILL)
    assert_whole(out)
    assert not json.loads((out / "manifest.json").read_text())["complete"]
    assert len(images(out)) < CASES


def started(cohort: Path, out: Path) -> RunningJob:
    cases = tuple(
        CaseFiles(f"case{n:02}", cohort / f"case{n:02}.nrrd", cohort / f"case{n:02}_seg.nrrd") for n in range(CASES)
    )
    return start(Job("umed", cases, out, out.with_name("private"), profile="instant", window="-100,300"))


def test_the_cancel_file_is_honored_within_a_second(cohort: Path, tmp_path: Path) -> None:
    job = started(cohort, tmp_path / "out")
    wait_for(lambda: job.poll() and len(images(tmp_path / "out")) >= 2)
    (job.folder / CANCEL_FILE).touch()
    cancelled = time.monotonic()
    result = job.wait()
    assert time.monotonic() - cancelled < CANCEL_LIMIT_SECONDS
    assert (result["event"], result["exit_code"]) == ("finished", 130)
    assert_whole(tmp_path / "out")


@pytest.mark.skipif(sys.platform == "win32", reason="stops the process with a signal")
def test_a_worker_that_hangs_is_ended_with_its_tree(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("MedUnlearnableLib.jobs.process.GRACE_SECONDS", 0.5)
    job = started(cohort, tmp_path / "out")
    wait_for(lambda: job.poll() and len(images(tmp_path / "out")) >= 1)
    os.kill(job.process_id, signal.SIGSTOP)
    job.cancel()
    assert job.wait()["exit_code"] == 130
    assert not alive(job.process_id)
    assert_whole(tmp_path / "out")


def test_a_full_disk_names_the_case_and_leaves_nothing(volumes: Any, cli: Any, tmp_path: Path) -> None:
    """The system cuts files off at 20 kB: the images do not fit, events and manifests do."""
    image = np.random.default_rng(0).integers(-30000, 30000, (12, 60, 60)).astype(np.int16)
    label = np.zeros(image.shape, np.uint8)
    label[4:8, 20:40, 20:40] = 1
    volumes.add(tmp_path / "in", image=image, label=label)
    ended = cli.run(
        "protect", "umed", "--images", tmp_path / "in", "--out", tmp_path / "out",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )  # fmt: skip
    assert ended.code == 1
    assert (
        ended.err
        == f"error: {tmp_path}/out/a.nii.gz: cannot be written (File too large); check the folder and the free space\n"
    )
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.nii.gz", "a_seg.nii.gz", "in"]


def test_a_case_too_large_for_the_memory_is_named_and_the_others_finished(
    volumes: Any, cli: Any, tmp_path: Path
) -> None:
    """A hole of 64 GB on the disk needs no room, but reading it does."""
    for name in ("good", "huge"):
        volumes.add(tmp_path / "in", name)
    (tmp_path / "in" / "huge.nii.gz").rename(tmp_path / "in" / "huge.nii")
    os.truncate(tmp_path / "in" / "huge.nii", 64 << 30)
    ended = cli.run(
        "protect", "umed", "--images", tmp_path / "in", "--out", tmp_path / "out",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30)),
    )  # fmt: skip
    assert ended.code == 1
    assert "error: huge: the memory does not suffice for this image" in ended.err
    assert (tmp_path / "out" / "good.nii.gz").exists()


def test_a_torn_last_line_of_the_events_is_not_read_early(tmp_path: Path) -> None:
    reader = EventReader(tmp_path)
    assert reader.new_events() == []
    with (tmp_path / EVENTS_FILE).open("w") as file:
        for text, expected in (
            ('{"event": "a"}\n{"eve', ["a"]),
            ('nt": "b"', []),
            ("}", []),
            ('\n{"event": "c"}\n', ["b", "c"]),
            ("", []),
        ):
            file.write(text)
            file.flush()
            assert [event["event"] for event in reader.new_events()] == expected


def test_a_job_survives_its_file(tmp_path: Path) -> None:
    case = CaseFiles("a", tmp_path / "a.png", None)
    for job in (
        Job("umed", (case,), tmp_path / "out", tmp_path / "private"),
        Job("umed", (case,), tmp_path, tmp_path, "instant", 0.1, "1,2", 3, "cpu", tmp_path / "s", tmp_path / "t"),
    ):
        assert Job.read(job.write(tmp_path)) == job
