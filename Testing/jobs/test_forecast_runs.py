"""A run that trains says first what to expect of it, and `--dry-run` also how long it takes and how much memory."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from MedUnlearnableLib import cli as command_line
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.engine.forecast import HIT_RATE
from MedUnlearnableLib.engine.method import Workspace
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import UMed, UMedParams
from MedUnlearnableLib.files import nrrd
from MedUnlearnableLib.files.cases import FileCases, find_cases
from MedUnlearnableLib.files.samples import synthetic_ct
from MedUnlearnableLib.files.volume import read_json, write_atomically
from MedUnlearnableLib.jobs.events import EVENTS_FILE
from MedUnlearnableLib.jobs.job import Job
from MedUnlearnableLib.jobs.methods import build
from MedUnlearnableLib.jobs.plan import plan_of
from MedUnlearnableLib.jobs.runner import JOB_FOLDER, RunningJob, start
from MedUnlearnableLib.reporters import LineReporter
from PIL import Image

CASES = 16  # the smallest cohort that can be trained on
TINY = {"width": 2, "iterations": 4}

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="trains")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small color pictures with a bright square, which is easy to learn."""
    folder = tmp_path_factory.mktemp("cohort") / "in"
    folder.mkdir()
    for number in range(CASES):
        chance = np.random.default_rng(number)
        label = np.zeros((32, 32), np.uint8)
        row, column = chance.integers(4, 16, 2)
        label[row : row + 12, column : column + 12] = 1
        image = chance.integers(80, 140, (32, 32, 3)) + 80 * label[..., np.newaxis]
        Image.fromarray(image.astype(np.uint8)).save(folder / f"p{number:02}.png")
        Image.fromarray(label).save(folder / f"p{number:02}_mask.png")
    return folder


@pytest.fixture(scope="module")
def volumes_in_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("volumes")
    for number in range(CASES):
        sample = synthetic_ct((18, 30, 34), number)
        for ending, array in (("", sample.image), ("_seg", sample.labels)):
            voxels = array if array.ndim == 4 else array[np.newaxis]
            write_atomically(
                folder / f"v{number:02}{ending}.nrrd",
                lambda file, voxels=voxels, sample=sample: nrrd.write(file, voxels, sample.geometry, None),
            )
    return folder


def job_of(folder: Path, out: Path, **changes: Any) -> Job:
    options = {"profile": "standard", "seed": 3, "device": "cpu", "parameters": TINY, **changes}
    return Job("umed", tuple(find_cases(folder, None)), out, out.with_name(f"{out.name}-private"), **options)


def told(job_folder: Path) -> list[dict[str, Any]]:
    path = job_folder / EVENTS_FILE
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return list(map(json.loads, lines))


def stages(events: list[dict[str, Any]]) -> list[str]:
    """Those of the whole cohort, in the order they were entered."""
    seen = [event["stage"] for event in events if event["event"] == "progress" and not event["case"]]
    return list(dict.fromkeys(seen))


def forecasts(events: list[dict[str, Any]]) -> list[str]:
    return [event["message"] for event in events if event["event"] == "forecast"]


def kill_with_starter(running: RunningJob) -> None:
    """Nobody tidies up, and the lock dies with them."""
    os.killpg(running.process_id, signal.SIGKILL)
    running._worker._process.wait()
    os.close(running._lock.descriptor)


@needs_torch
@pytest.mark.skipif(sys.platform == "win32", reason="kills with a signal")
def test_the_forecast_is_made_once_said_everywhere_and_changes_no_weight(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed when the forecast is made, and resumed: it is said again, but nothing is tried again."""
    job = job_of(cohort, tmp_path / "out")
    killed = start(job)
    while not forecasts(told(killed.folder)):
        assert killed.result is None
        time.sleep(0.005)
    kill_with_starter(killed)
    before = told(killed.folder)
    (sentence,) = forecasts(before)
    assert sentence.startswith("forecast: these segments are easy to learn, so expect protection from plain training")
    assert HIT_RATE in sentence
    assert "train" not in stages(before)
    reporter = LineReporter()
    assert start(job, resume=True).wait(reporter.show)["exit_code"] == 0
    assert sentence in capsys.readouterr().out.splitlines()
    after = told(killed.folder)
    assert forecasts(after) == [sentence]
    assert stages(after) == ["window", "samples", "train"]
    private = read_json(job.private / "manifest.json")
    assert private["forecast"]["sentence"] == sentence
    assert sentence not in (job.out / "manifest.json").read_text(), "what gets around the protection is not handed out"
    method = UMed(UMedParams(profile="standard", **TINY), RandomStreams.from_number(3))
    method.fit(FileCases(job.cases), Workspace(device="cpu"))  # makes no forecast
    trained = read_json(killed.folder / "state.json")["state"]
    assert trained == json.loads(json.dumps(method.state().to_json()))


@needs_torch
def test_a_run_is_cancelled_while_its_forecast_is_made(cohort: Path, tmp_path: Path, cli: Any) -> None:
    out = tmp_path / "out"
    process = cli.start("protect", "umed", "--images", cohort, "--out", out, "--profile", "standard", "--json")
    events = map(json.loads, process.stdout)
    progress = (event for event in events if event["event"] == "progress" and event["stage"] == "forecast")
    next(event for event in progress if event["done"] > CASES)  # the tiny network learns
    process.send_signal(signal.SIGINT)
    ended = cli.end(process)
    assert ended.code == 130
    assert not forecasts(ended.events)
    assert list(tmp_path.iterdir()) == []


def test_profile_instant_is_not_forecast(cohort: Path, tmp_path: Path) -> None:
    job = job_of(cohort, tmp_path / "out", profile="instant", parameters={})
    assert start(job).wait()["exit_code"] == 0
    assert not forecasts(told(job.private / JOB_FOLDER))
    assert "forecast" not in read_json(job.private / "manifest.json")
    plan = plan_of(job)
    assert (plan.training, plan.forecast) == (None, None)


def dry_run(cohort: Path, out: Path, *more: str) -> int:
    arguments = ("--images", str(cohort), "--out", str(out), "--profile", "standard", "--device", "cpu", "--dry-run")
    return command_line.main(["protect", "umed", *arguments, *more])


@needs_torch
def test_a_dry_run_says_what_a_training_takes_and_what_to_expect_of_it(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dry_run(cohort, tmp_path / "out", "--json") == 0
    seen = json.loads(capsys.readouterr().out)
    assert not list(tmp_path.iterdir())
    assert seen["training"]["plan"]["sides"] == [32, 32]
    assert seen["training"]["seconds"] > 0
    assert seen["training"]["memory_mb"] > 0
    assert seen["forecast"]["sentence"].startswith("forecast: these segments are easy to learn")
    assert [case["levels"] for case in seen["cases"]] == [[6] * 3] * CASES


@needs_torch
def test_a_dry_run_of_volumes_in_words(volumes_in_folder: Path, tmp_path: Path) -> None:
    lines = list(plan_of(job_of(volumes_in_folder, tmp_path / "out", profile="paper")).lines())
    training, forecast, last = lines[CASES + 1 :]
    assert re.fullmatch(
        r"training: 4 iterations of \d+ patches of \d+ x \d+ x \d+; about \d+ MB of memory, about \d+ (s|min)", training
    )
    assert "forecast: " in forecast
    assert last.startswith(f"{CASES} of {CASES} cases, after a training")


def test_a_dry_run_without_torch_says_what_it_can_and_then_what_is_missing(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else found(name))
    assert dry_run(cohort, tmp_path / "out") == 1
    seen = capsys.readouterr()
    assert "patches of 32 x 32; about" in seen.out
    assert "how long it takes, and a forecast, can be told with PyTorch installed" in seen.out
    assert f"{CASES} of {CASES} cases, after a training" in seen.out
    assert "error: profile standard needs PyTorch, which is not installed" in seen.err


@needs_torch
def test_a_saved_state_of_standard_protects_without_torch_and_one_of_paper_says_what_is_missing(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    new = {}
    for name in ("standard", "paper"):
        state = tmp_path / f"{name}.json"
        assert start(job_of(cohort, tmp_path / name, profile=name, save_state=state)).wait()["exit_code"] == 0
        new[name] = job_of(cohort, tmp_path / "new", profile="auto", seed=None, parameters={}, state=state)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else found(name))
    assert build(new["standard"])[0].params.profile == "standard"
    with pytest.raises(Refused, match="profile paper needs PyTorch"):
        build(new["paper"])


@needs_torch
def test_a_dry_run_refuses_too_few_cases_as_the_run_does(cohort: Path, tmp_path: Path) -> None:
    job = job_of(cohort, tmp_path / "out")
    with pytest.raises(Refused, match="15 cases with segments are too few to train on"):
        plan_of(replace(job, cases=job.cases[1:]))
