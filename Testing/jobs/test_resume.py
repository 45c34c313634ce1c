"""A run that was killed or cancelled goes on with its key, ends with the same bytes, and never shares its folder."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.files.cases import find_cases
from MedUnlearnableLib.files.lock import LOCK_FILE, Lock, is_held
from MedUnlearnableLib.files.volume import TEMPORARY_PREFIX
from MedUnlearnableLib.jobs.job import Job
from MedUnlearnableLib.jobs.runner import RunningJob, start

CASES = 200  # more than fifty interrupted runs get done
SOME = 6  # cases that are finished when a run is interrupted
KILLS = 50
KILLS_INSIDE_WRITES = 10
SEED = 5


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory, volumes: Any) -> Path:
    """Many small CTs, so that the window is the cohort's, too."""
    folder = tmp_path_factory.mktemp("cohort") / "in"
    for number in range(CASES):
        volumes.add(folder, f"case{number:03}", image=(volumes.tissue(number) * 2 - 1100).astype(np.int16))
    return folder


def job_of(cohort: Path, out: Path, **options: Any) -> Job:
    cases = tuple(find_cases(cohort, None))
    return Job("umed", cases, out, out.with_name("private"), profile="instant", window="ct", **options)


def images(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.nii.gz"))}


@pytest.fixture(scope="module")
def undisturbed(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert start(job_of(cohort, out, seed=SEED)).wait()["exit_code"] == 0
    return images(out)


def finished_images(out: Path) -> list[Path]:
    return sorted(out.glob("case*.nii.gz"))


def wait_for_some_cases(out: Path) -> None:
    while len(finished_images(out)) < SOME:
        time.sleep(0.01)


def kill(running: RunningJob) -> None:
    """Ends worker and starter as one would see it after a power cut: nobody tidies up, the lock dies with them."""
    os.killpg(running.process_id, signal.SIGKILL)
    running._worker._process.wait()
    running._worker._process.stdin.close()
    os.close(running._lock.descriptor)


def at_a_write(out: Path, running: RunningJob) -> bool:
    """Waits until a file is half written; False when the run was over before."""
    while running._worker._process.poll() is None:
        if any(path.name.startswith(TEMPORARY_PREFIX) for path in out.iterdir()):
            return True
    return False


def after_some_cases(out: Path, running: RunningJob, chance: random.Random) -> None:
    """Waits for up to two more cases, however fast the machine is, and then a moment."""
    goal = len(finished_images(out)) + chance.randrange(3)
    while running._worker._process.poll() is None and len(finished_images(out)) < goal:
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.03))


@pytest.mark.skipif(sys.platform == "win32", reason="kills with a signal")
def test_a_run_killed_at_fifty_random_points_ends_with_the_bytes_of_an_undisturbed_one(
    cohort: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Each kill hits the run that the one before has left, so all are resumed from, too."""
    out, chance = tmp_path / "out", random.Random(1)
    inside_writes = 0
    for number in range(KILLS):
        running = start(job_of(cohort, out, seed=SEED), resume=True)
        if number % 4 == 0:
            inside_writes += at_a_write(out, running)
        elif number % 4 == 1:
            time.sleep(chance.uniform(0.02, 0.3))  # starting up, or looking at the cohort
        else:
            after_some_cases(out, running, chance)
        kill(running)
    assert len(finished_images(out)) < CASES, "the last kills came too late to interrupt anything"
    running = start(job_of(cohort, out, seed=SEED), resume=True)
    assert running.wait()["exit_code"] == 0
    assert images(out) == undisturbed
    assert json.loads((out / "manifest.json").read_text())["complete"]
    assert not list(tmp_path.rglob(f"{TEMPORARY_PREFIX}*"))
    assert not (out / LOCK_FILE).exists()
    assert inside_writes >= KILLS_INSIDE_WRITES


@pytest.fixture
def interrupted(cohort: Path, tmp_path: Path) -> Path:
    """A run with a secret seed that was killed after some cases."""
    running = start(job_of(cohort, tmp_path / "out"))
    wait_for_some_cases(tmp_path / "out")
    kill(running)
    return tmp_path / "out"


def resumed(cohort: Path, out: Path, **options: Any) -> RunningJob:
    return start(job_of(cohort, out, **options), resume=True)


def test_a_resumed_run_keeps_key_and_finished_files_and_shows_what_it_kept(cohort: Path, interrupted: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in interrupted.glob("case*.json")}
    state = json.loads((interrupted.with_name("private") / "job" / "state.json").read_text())
    events: list[dict[str, Any]] = []
    assert resumed(cohort, interrupted).wait(events.append)["exit_code"] == 0
    assert events[0]["event"] == "started"
    assert events[0]["finished"] in (len(before), len(before) - 1)
    private = json.loads((interrupted.with_name("private") / "manifest.json").read_text())
    assert (private["seed"], private["state"]) == (state["state"]["seed"], state["state"])
    unchanged = [path for path, time_ns in before.items() if path.stat().st_mtime_ns == time_ns]
    assert len(unchanged) == events[0]["finished"]
    assert len(json.loads((interrupted / "manifest.json").read_text())["cases"]) == CASES


def test_a_finished_case_is_known_by_its_bytes_not_by_its_existence(cohort: Path, interrupted: Path) -> None:
    first, second, third = finished_images(interrupted)[:3]
    whole = {path: path.read_bytes() for path in (first, second, third)}
    first.write_bytes(whole[first][:-9])
    second.unlink()
    (interrupted / "labels" / third.name.replace(".nii.gz", "_seg.nii.gz")).write_bytes(b"x")
    (interrupted / "case119.nii.gz").write_bytes(b"of somebody else")
    assert resumed(cohort, interrupted).wait()["exit_code"] == 0
    assert {path: path.read_bytes() for path in whole} == whole
    assert (interrupted / "case119.nii.gz").stat().st_size > 100
    for path in cohort.glob("*_seg.nii.gz"):
        assert (interrupted / "labels" / path.name).read_bytes() == path.read_bytes()


def test_another_job_is_refused_and_changes_nothing(cohort: Path, interrupted: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in interrupted.parent.rglob("*") if path.is_file()}
    fewer = tmp_path / "fewer"
    shutil.copytree(cohort, fewer)
    for options, message in (
        ({"epsilon": 0.02}, r"was started with another --epsilon;"),
        ({"seed": 3}, r"was started with another --seed;"),
    ):
        with pytest.raises(Refused, match=message):
            resumed(cohort, interrupted, **options)
    with pytest.raises(Refused, match=r"was started with another --images or --labels; repeat its command with"):
        resumed(fewer, interrupted)
    shutil.rmtree(fewer)
    with pytest.raises(Refused, match=r"is not empty; .* by --resume"):
        start(job_of(cohort, interrupted))
    assert {path: path.read_bytes() for path in interrupted.parent.rglob("*") if path.is_file()} == before


def test_an_input_that_has_changed_is_refused_by_name(volumes: Any, cli: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        volumes.add(tmp_path / "in", name)
    assert cli.protect(tmp_path / "in", tmp_path / "out").code == 0
    volumes.add(tmp_path / "in", "a", image=volumes.tissue(9))
    ended = cli.protect(tmp_path / "in", tmp_path / "out", "--resume")
    assert ended.code == 1
    assert "in/a.nii.gz: this input has changed since the run was started; start a new run" in ended.err
    assert (tmp_path / "out" / "a.nii.gz").exists()


def test_resuming_what_is_finished_or_never_began_is_no_error(volumes: Any, cli: Any, tmp_path: Path) -> None:
    volumes.add(tmp_path / "in")
    arguments = (tmp_path / "in", tmp_path / "out", "--save-state", tmp_path / "key", "--resume")
    shown = [cli.protect(*arguments) for _ in range(2)]
    assert [ended.code for ended in shown] == [0, 0]
    assert "going on with an interrupted run: 1 cases are finished" in shown[1].out


def test_a_failed_case_gets_another_chance(volumes: Any, cli: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        volumes.add(tmp_path / "in", name)
    good = (tmp_path / "in" / "b.nii.gz").read_bytes()
    (tmp_path / "in" / "b.nii.gz").write_bytes(b"")
    assert cli.protect(tmp_path / "in", tmp_path / "out").code == 1
    (tmp_path / "in" / "b.nii.gz").write_bytes(good)
    assert cli.protect(tmp_path / "in", tmp_path / "out", "--resume").code == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [case["state"] for case in manifest["cases"]] == ["protected", "protected"]


# --- Two runs on one folder ---


def test_a_second_run_on_a_folder_is_refused_while_the_first_one_lives(cohort: Path, tmp_path: Path) -> None:
    first = start(job_of(cohort, tmp_path / "out"))
    for resume in (False, True):
        with pytest.raises(Refused, match=r"out: another run is writing there; wait for its end"):
            start(job_of(cohort, tmp_path / "out"), resume)
    assert first.wait()["exit_code"] == 0
    assert len(images(tmp_path / "out")) == 2 * CASES


def test_of_many_runs_started_at_once_exactly_one_gets_the_folder(cli: Any, volumes: Any, tmp_path: Path) -> None:
    volumes.add(tmp_path / "in")
    command = ("protect", "umed", "--images", tmp_path / "in", "--out", tmp_path / "out")
    ends = [cli.end(process) for process in [cli.start(*command) for _ in range(5)]]
    assert sorted(ended.code for ended in ends) == [0, 1, 1, 1, 1]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.medunlearnable.json", "a.nii.gz", "labels", "manifest.json"
    ]  # fmt: skip


def test_the_lock_of_a_dead_process_is_taken_over_whatever_the_clock_says(tmp_path: Path) -> None:
    code = f"import sys; from pathlib import Path; from MedUnlearnableLib.files.lock import Lock; \
Lock.take(Path({str(tmp_path / LOCK_FILE)!r})); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    os.utime(tmp_path / LOCK_FILE, (0, 0))
    assert is_held(tmp_path / LOCK_FILE)
    assert Lock.take(tmp_path / LOCK_FILE) is None
    holder.kill()
    holder.communicate()
    os.utime(tmp_path / LOCK_FILE, (2**32, 2**32))
    assert (tmp_path / LOCK_FILE).exists()
    assert not is_held(tmp_path / LOCK_FILE)
    lock = Lock.take(tmp_path / LOCK_FILE)
    assert lock is not None
    lock.release()
    assert not (tmp_path / LOCK_FILE).exists()


# --- Disks and folders that fail in the middle ---


def limited(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_after_a_full_disk_the_run_goes_on(volumes: Any, cli: Any, tmp_path: Path) -> None:
    """The system cuts files off at 20 kB: the small case fits, the large one does not."""
    rng = np.random.default_rng(0)
    label = np.zeros((12, 60, 60), np.uint8)
    label[4:8, 20:40, 20:40] = 1
    volumes.add(tmp_path / "in", "a")
    volumes.add(tmp_path / "in", "b", image=rng.integers(-30000, 30000, label.shape).astype(np.int16), label=label)
    command = ("protect", "umed", "--images", tmp_path / "in", "--out", tmp_path / "out")
    full = cli.run(*command, preexec_fn=limited(20_000))
    assert full.code == 1
    assert "b.nii.gz: cannot be written (File too large); check the folder and the free space" in full.err
    kept = (tmp_path / "out" / "a.nii.gz").read_bytes()
    assert cli.run(*command, "--resume").code == 0
    assert (tmp_path / "out" / "a.nii.gz").read_bytes() == kept
    assert (tmp_path / "out" / "b.nii.gz").exists()


def test_a_disk_too_full_for_the_journal_ends_the_run_in_a_sentence(
    cohort: Path, undisturbed: dict[str, bytes], cli: Any, tmp_path: Path
) -> None:
    command = ("protect", "umed", "--images", cohort, "--out", tmp_path / "out", "--profile", "instant",
               "--seed", SEED, "--window", "ct")  # fmt: skip
    size = 8_000 + (cohort / "case000.nii.gz").stat().st_size
    full = cli.run(*command, preexec_fn=limited(size), env={**os.environ})
    assert full.code == 1
    assert full.err.count("\n") >= 1
    assert "Traceback" not in full.err
    again = cli.run(*command, "--resume")
    assert again.code == 0, again.err
    assert images(tmp_path / "out") == undisturbed


@pytest.mark.parametrize("vanishes", ["in", "out"])
def test_a_folder_that_vanishes_costs_nothing_that_was_finished(
    volumes: Any, tmp_path: Path, cohort: Path, undisturbed: dict[str, bytes], vanishes: str
) -> None:
    """As when a network drive goes and comes back."""
    shutil.copytree(cohort, tmp_path / "in", copy_function=os.link)
    running = start(job_of(tmp_path / "in", tmp_path / "out", seed=SEED))
    wait_for_some_cases(tmp_path / "out")
    (tmp_path / vanishes).rename(tmp_path / "gone")
    result = running.wait()
    if vanishes == "in":
        assert result["exit_code"] == 1
        assert "cases failed, the first: " in result["message"]
    shutil.rmtree(tmp_path / vanishes, ignore_errors=True)
    (tmp_path / "gone").rename(tmp_path / vanishes)
    again = resumed(tmp_path / "in", tmp_path / "out", seed=SEED)
    assert again.wait()["exit_code"] == 0
    assert images(tmp_path / "out") == undisturbed


def test_manifests_are_not_rewritten_for_each_case(cohort: Path, tmp_path: Path) -> None:
    """The journal grows by a line a case; the manifests come at the end."""
    running = start(job_of(cohort, tmp_path / "out"))
    wait_for_some_cases(tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert running.wait()["exit_code"] == 0
    lines = (tmp_path / "private" / "job" / "journal-0.jsonl").read_text().splitlines()
    assert [json.loads(line)["entry"]["id"] for line in lines] == [f"case{n:03}" for n in range(CASES)]
