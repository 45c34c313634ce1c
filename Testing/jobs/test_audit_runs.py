"""Whole audits by the command line: real pairs, real workers, tiny attackers; and what is left when they go wrong."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from MedUnlearnableLib.engine.audit.budget import Effort
from MedUnlearnableLib.files.pairs import find_pairs
from MedUnlearnableLib.jobs import audit_images, audit_progress, audit_worker
from MedUnlearnableLib.jobs.audit_job import CELLS_FOLDER, JOB_FOLDER, AuditJob, start_audit
from MedUnlearnableLib.jobs.events import EventWriter

CASES, SHAPE = 4, (16, 20, 20)  # so few that all are looked at in any time
#: So little time that the first condition alone is run, with the fewest steps.
SHORT = ("--budget", "1s", "--device", "cpu")


def ball(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Seen on every slice."""
    random = np.random.default_rng(number)
    row, column = np.mgrid[: SHAPE[1], : SHAPE[2]]
    label = np.zeros(SHAPE, np.uint8)
    for plane in label:
        y, x = random.integers(6, 14, 2)
        plane[(row - y) ** 2 + (column - x) ** 2 < 16] = 1
    return (random.integers(80, 120, SHAPE) + 40 * label).astype(np.int16), label


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory, cli: Any, volumes: Any) -> Path:
    """`in` with volumes and labels, `out` as `protect umed` made it."""
    folder = tmp_path_factory.mktemp("audit")
    for number in range(CASES):
        volumes.add(folder / "in", f"c{number}", *ball(number))
    ended = cli.protect(folder / "in", folder / "out", "--profile", "instant", "--epsilon", "16", "--quiet")
    assert ended.code == 0, ended.err
    return folder


def audit(cli: Any, release: Path, out: Path, *more: object) -> Any:
    return cli.run("audit", "--clean", release / "in", "--protected", release / "out", "--out", out, *more)


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def audited(release: Path, cli: Any) -> tuple[Path, Any, dict[str, str]]:
    pytest.importorskip("torch")
    before = hashes(release)
    ended = audit(cli, release, release.parent / "report", *SHORT, "--json")
    assert ended.code == 0, ended.err
    return release.parent / "report", ended, before


def results(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report.json").read_text())
    return found


def test_an_audit_measures_every_pair_and_trains_all_arms(audited: Any) -> None:
    out, ended, _ = audited
    found = results(out)
    assert len(found["changes"]) == CASES
    assert all(set(change["checks"].values()) == {True} for change in found["changes"])
    (name,) = found["attack"]["cells"]
    assert name == "training from scratch"
    arms = [event["arm"] for event in ended.events if event["event"] == "cell"]
    assert sorted(arms) == ["clean", "label-free", "protected"]
    assert ended.events[-1]["event"] == "finished"


def test_its_verdict_is_indicative_and_says_what_was_left_out(audited: Any) -> None:
    summary = results(audited[0])["attack"]["summary"]
    assert summary["indicative_only"]
    assert "the attackers are small and train for a short time" in summary["reservations"]
    assert "training from scratch was done with 1 of 3 seeds" in summary["reservations"]
    assert "blur: there was no time" in summary["not_tested"]
    assert any(line.startswith("a network for volumes: 3 volumes to train on") for line in summary["not_tested"])


def test_test_cases_were_not_trained_on(audited: Any) -> None:
    attack = results(audited[0])["attack"]
    assert attack["split"].startswith("by case")
    (cells,) = attack["cells"].values()
    assert attack["test_cases"] == len(cells[0]["cases"])
    assert (attack["train_images"], attack["test_images"]) == (48, 16)


def test_the_report_lies_beside_and_inputs_are_unchanged(audited: Any, release: Path) -> None:
    out, _, before = audited
    page = (out / "report.html").read_text()
    assert "data:image/png;base64," in page and "<script" not in page
    assert hashes(release) == before


def test_resuming_trains_no_attacker_twice(audited: Any, release: Path, cli: Any, tmp_path: Path) -> None:
    out = tmp_path / "report"
    shutil.copytree(audited[0], out)
    cells = hashes(out / CELLS_FOLDER)
    ended = audit(cli, release, out, *SHORT, "--resume", "--json")
    assert ended.code == 0, ended.err
    assert not [event for event in ended.events if event["event"] == "cell"]
    assert hashes(out / CELLS_FOLDER) == cells
    before, after = results(audited[0]), results(out)
    assert before["attack"]["verdicts"] == after["attack"]["verdicts"]
    attackers = sum(cell["seconds"] for cells in after["attack"]["cells"].values() for cell in cells)
    assert after["seconds"] >= round(attackers, 1)  # the time told is that of both runs, in tenths of a second


def test_a_changed_file_is_found_and_the_exit_code_says_so(release: Path, cli: Any, tmp_path: Path) -> None:
    changed = tmp_path / "release"
    shutil.copytree(release / "out", changed / "out")
    shutil.copytree(release / "in", changed / "in")
    harmed = nib.load(changed / "out" / "c3.nii.gz")
    voxels = np.asarray(harmed.dataobj).copy()
    voxels[0, 0, 0] += 1000
    nib.save(nib.Nifti1Image(voxels, harmed.affine, harmed.header), changed / "out" / "c3.nii.gz")
    shutil.rmtree(changed / "out" / "labels")
    for label in (changed / "in").glob("*_seg.nii.gz"):
        label.unlink()  # without labels nothing is attacked
    ended = audit(cli, changed, tmp_path / "report", *SHORT)
    assert ended.code == 1
    assert "2 findings in the files, the first: c3: the check 'budget' failed" in ended.err
    found = results(tmp_path / "report")
    assert found["attack"] is None
    assert "neither labels nor classes" in found["why_no_attack"]


def test_without_torch_images_are_measured_and_the_report_says_what_is_missing(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_worker.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(audit_progress, "starter_is_gone", lambda: False)
    job = AuditJob.of(find_pairs(release / "in", release / "out", None, None), tmp_path, 60.0)
    events = EventWriter(tmp_path)
    progress = audit_progress.AuditProgress(tmp_path, events, job.budget_seconds)
    code, message = audit_worker.Audit(job, tmp_path, events, progress).run()
    assert code == 0
    assert "PyTorch is not installed" in message
    assert len(results(tmp_path)["changes"]) == CASES
    assert "PyTorch is not installed" in (tmp_path / "report.html").read_text()


def test_what_there_is_no_time_for_is_counted_and_a_resumed_audit_looks_at_the_same(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_progress, "starter_is_gone", lambda: False)
    monkeypatch.setattr(audit_images, "_FEWEST_PAIRS", 1)
    pairs = find_pairs(release / "in", release / "out", None, None).pairs
    events = EventWriter(tmp_path)
    looked_at = []
    for budget in (0.0, 600.0):
        progress = audit_progress.AuditProgress(tmp_path, events, budget)
        images = audit_images.ImageComparison(pairs, Effort.of(600), tmp_path, events, progress)
        images.run(budget)
        assert images.not_looked_at == CASES - 1
        looked_at.append([change["case"] for change in images.changes])
    assert looked_at[0] == looked_at[1]


def test_no_more_images_are_picked_than_attackers_take(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_progress, "starter_is_gone", lambda: False)
    pairs = find_pairs(release / "in", release / "out", None, None).pairs
    events = EventWriter(tmp_path)
    progress = audit_progress.AuditProgress(tmp_path, events, 600.0)
    images = audit_images.ImageComparison(pairs, replace(Effort.of(600), images=3), tmp_path, events, progress)
    images.run(600.0)
    assert [len(slices.targets) for slices in images.slices] == [1, 1, 1]
    assert len(images.changes) == CASES


def test_a_single_volume_is_split_into_slabs_or_said_to_be_too_little(cli: Any, volumes: Any, tmp_path: Path) -> None:
    volumes.add(tmp_path / "in", "a")
    assert cli.protect(tmp_path / "in", tmp_path / "out", "--quiet").code == 0
    ended = audit(cli, tmp_path, tmp_path / "report", *SHORT)
    assert ended.code == 0, ended.err
    assert "too few for an attack" in results(tmp_path / "report")["why_no_attack"] or "PyTorch" in ended.out


def test_cancelling_keeps_finished_attackers(release: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    running = start_audit(AuditJob.of(find_pairs(release / "in", release / "out", None, None), tmp_path / "r", 600.0))
    seen: list[str] = []
    end = time.monotonic() + 120
    while "attack" not in seen and running.result is None:
        seen += [event.get("stage", "") for event in running.poll()]
        assert time.monotonic() < end
        time.sleep(0.05)
    running.cancel()
    result = running.wait()
    assert result["exit_code"] == 130
    assert not running.report.exists()
    assert (tmp_path / "r" / JOB_FOLDER).is_dir()


def test_what_cannot_be_audited_is_refused_before_the_start(release: Path, cli: Any, tmp_path: Path) -> None:
    occupied = tmp_path / "occupied"
    occupied.mkdir()
    (occupied / "mine.txt").write_text("mine")
    no_weights = tmp_path / "none.pt"
    for more, code, words in (
        (("--budget", "ten minutes"), 2, "--budget ten minutes is no time"),
        (("--device", "tpu"), 2, "--device tpu is unknown"),
        (("--weights", no_weights), 1, "there is no such file"),
    ):
        ended = audit(cli, release, tmp_path / "out", *more)
        assert (ended.code, words in ended.err) == (code, True), ended.err
    for out, words in ((occupied, "is not empty"), (release / "in", "folder of the images")):
        ended = audit(cli, release, out)
        assert (ended.code, words in ended.err) == (1, True), ended.err
    assert [path.name for path in occupied.iterdir()] == ["mine.txt"]
    assert not (tmp_path / "out").exists()
