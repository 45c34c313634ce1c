"""SALM on the real command line and in the real worker: labels shown first, what is written, refusals, resume."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from MedUnlearnableLib.files.labeled_cases import find_labeled_cases
from MedUnlearnableLib.jobs.job import Job
from MedUnlearnableLib.jobs.runner import RunningJob, start
from PIL import Image

COUNT = 8


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small gray pictures, and a table of their classes beside the folder."""
    folder = tmp_path_factory.mktemp("salm") / "in"
    folder.mkdir()
    lines = ["case,label"]
    for number in range(COUNT):
        image = np.random.default_rng(number).integers(20, 230, (20, 20)).astype(np.uint8)
        image[:4] = 0  # air
        Image.fromarray(image).save(folder / f"p{number}.png")
        lines.append(f"p{number},{'ab'[number % 2]}")
    folder.with_name("classes.csv").write_text("\n".join(lines))
    return folder


def classes_of(pictures: Path) -> Path:
    return pictures.with_name("classes.csv")


def protect(cli: Any, pictures: Path, out: Path, *more: object, classes: Path | None = None) -> Any:
    table = ["--classes", classes or classes_of(pictures)]
    return cli.run("protect", "salm", "--images", pictures, *table, "--out", out, *more)


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def test_the_table_of_classes_is_shown_before_the_run_and_every_picture_is_protected(
    cli: Any, pictures: Path, tmp_path: Path
) -> None:
    ended = protect(cli, pictures, tmp_path / "out", "--seed", 1)
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[:3] == ["classes of 8 cases, from classes.csv:", "  a  4", "  b  4"]
    assert "warning: class 'a' has 4 samples" in ended.err
    for number in range(COUNT):
        difference = read(tmp_path / "out" / f"p{number}.png") - read(pictures / f"p{number}.png")
        assert np.count_nonzero(difference) == round(0.25 * 16 * 20)
        assert np.abs(difference).max() in (5, 1)  # one class gets its pattern faint
        assert not difference[:4].any()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["method"], manifest["profile"], manifest["complete"]) == ("SALM", "standard", True)
    handed_out = "".join(path.read_text() for path in (tmp_path / "out").glob("*.json"))
    private = json.loads((tmp_path / "out-private" / "manifest.json").read_text())
    assert private["seed"] not in handed_out


def test_a_folder_for_each_class_and_a_saved_state_with_a_single_case(cli: Any, pictures: Path, tmp_path: Path) -> None:
    for number in range(COUNT):
        (tmp_path / "in" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / "ab"[number % 2] / f"p{number}.png").symlink_to(pictures / f"p{number}.png")
    state = tmp_path / "state.json"
    ended = protect(cli, tmp_path / "in", tmp_path / "out", "--save-state", state, "--quiet", classes=tmp_path / "in")
    assert ended.code == 0, ended.err
    (tmp_path / "one.csv").write_text("case,label\np1,b\n")
    again = protect(
        cli, pictures / "p1.png", tmp_path / "one", "--state", state, "--json", classes=tmp_path / "one.csv"
    )
    assert again.code == 0, again.err
    assert np.array_equal(read(tmp_path / "one" / "p1.png"), read(tmp_path / "out" / "p1.png"))


@pytest.mark.parametrize(
    ("text", "more", "code", "sentence"),
    [
        ("case,label\np0,a\n", (), 1, "have no class label"),
        (None, ("--class-names", "a,c"), 1, "the class 'b', which --class-names leaves out"),
        (None, ("--region", "inside"), 1, "no label"),
        (None, ("--profile", "fast"), 2, "--profile fast is unknown"),
        (None, ("--epsilon", "0"), 2, "out of range"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_writes_nothing(
    cli: Any, pictures: Path, tmp_path: Path, text: str | None, more: tuple[str, ...], code: int, sentence: str
) -> None:
    table = classes_of(pictures)
    if text is not None:
        table = tmp_path / "classes.csv"
        table.write_text(text)
    ended = protect(cli, pictures, tmp_path / "out", *more, classes=table)
    assert ended.code == code
    assert sentence in ended.err and ended.err.count("error:") == 1
    assert not (tmp_path / "out").exists() and not (tmp_path / "out-private").exists()


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four tiny pictures, which a training takes seconds for."""
    folder = tmp_path_factory.mktemp("few") / "in"
    folder.mkdir()
    for number in range(4):
        image = np.random.default_rng(number).integers(20, 230, (8, 8)).astype(np.uint8)
        Image.fromarray(image).save(folder / f"p{number}.png")
    folder.with_name("classes.csv").write_text("case,label\np0,a\np1,b\np2,a\np3,b\n")
    return folder


def job_of(pictures: Path, out: Path) -> Job:
    cases, _ = find_labeled_cases(pictures, None, classes_of(pictures))
    return Job("salm", tuple(cases), out, out.with_name("private"), profile="paper", seed=3, device="cpu")


def kill(running: RunningJob) -> None:
    """As a power cut would."""
    os.killpg(running.process_id, signal.SIGKILL)
    running._worker._process.wait()
    running._worker._process.stdin.close()
    os.close(running._lock.descriptor)


@pytest.mark.skipif(sys.platform == "win32", reason="kills with a signal")
def test_a_training_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    undisturbed = start(job_of(few, tmp_path / "undisturbed" / "out"))
    assert undisturbed.wait()["exit_code"] == 0
    out = tmp_path / "killed" / "out"
    running = start(job_of(few, out))
    kept = out.with_name("private") / "job" / "training.json"
    while not kept.exists() and running._worker._process.poll() is None:
        running.poll()
    kill(running)
    assert not list(out.glob("*.png"))
    assert start(job_of(few, out), resume=True).wait()["exit_code"] == 0
    for number in range(4):
        name = f"p{number}.png"
        assert (out / name).read_bytes() == (tmp_path / "undisturbed" / "out" / name).read_bytes()


def test_a_training_can_be_cancelled(few: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    running = start(job_of(few, tmp_path / "out"))
    events: list[dict[str, Any]] = []

    def cancel(event: dict[str, Any]) -> None:
        events.append(event)
        if event["event"] == "started":
            running.cancel()

    assert running.wait(cancel)["exit_code"] == 130
    assert not list((tmp_path / "out").glob("*.png"))
