"""Every bad input ends with its exit code and one sentence that names it; what was refused has written nothing."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from MedUnlearnableLib.cli import main
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.files import formats
from MedUnlearnableLib.files.cases import find_cases, load_case
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "files"))  # its bad inputs are in the document, too
import test_dicom
import test_nnunet
from dicom_helpers import some_volume, write_series

DOCUMENT = Path(__file__).parents[2] / "docs" / "bad-inputs.md"


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder with its content."""
    return {os.path.relpath(path, folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


# --- Known before the start: name, files to make, arguments, exit code, message ---

BEFORE_START = {
    "missing image": ("--images none.nii.gz --out out", 1, r"none\.nii\.gz: there is no such file or folder"),
    "missing label": ("--images a.nii.gz --labels none.nii.gz --out out", 1, r"none\.nii\.gz: there is no such file"),
    "unknown format": ("--images notes.txt --out out", 1, r"notes\.txt: this format is not known"),
    "image without label": ("--images alone --out out", 1, r"1 of 2 cases have no label: b;"),
    "label without image": ("--images orphan --out out", 1, r"1 of 2 cases have no image: b;"),
    "single image without label": ("--images alone/b.nii.gz --out out", 1, r"b\.nii\.gz: no label for it in alone"),
    "x.nii beside x.nii.gz": ("--images twins --out out", 1, r"twins/a\.nii\.gz: lies beside a\.nii,"),
    "empty folder": ("--images empty --out out", 1, r"empty: the folder holds no image"),
    "output is the input": ("--images a.nii.gz --out .", 1, r"--out \. is the folder of the input"),
    "output is the label's": (
        "--images a.nii.gz --labels full/a_seg.nii.gz --out full",
        1,
        r"--out full is the folder",
    ),
    "private is the input": ("--images a.nii.gz --out out --private .", 1, r"--private \. is the folder of the input"),
    "output not empty": ("--images a.nii.gz --out full", 1, r"--out full is not empty"),
    "private not empty": ("--images a.nii.gz --out out --private full", 1, r"--private full is not empty"),
    "output is a file": ("--images a.nii.gz --out notes.txt", 1, r"--out notes\.txt is a file"),
    "output below a file": ("--images a.nii.gz --out notes.txt/out", 1, r"notes\.txt is not a folder"),
    "output on a system that takes none": ("--images a.nii.gz --out /proc/x/out", 1, r"/proc/x: "),
    "output with an endless name": (f"--images a.nii.gz --out {'x' * 300}", 1, r"x{300}.*: File name too long"),
    "private inside output": ("--images a.nii.gz --out out --private out/key", 1, r"--private out/key lies inside"),
    "state file inside output": (
        "--images a.nii.gz --out out --save-state out/key",
        1,
        r"--save-state out/key lies in",
    ),
    "state file is the output": ("--images a.nii.gz --out out --save-state out", 1, r"--save-state out lies in"),
    "state file exists": ("--images a.nii.gz --out out --save-state notes.txt", 1, r"notes\.txt exists already"),
    "state file below a file": (
        "--images a.nii.gz --out out --save-state notes.txt/k",
        1,
        r"notes\.txt is not a folder",
    ),
    "state is missing": ("--images a.nii.gz --out out --state none.json", 1, r"none\.json: there is no such file"),
    "state is no JSON": ("--images a.nii.gz --out out --state notes.txt", 1, r"notes\.txt: this is not a JSON object"),
    "state of another kind": ("--images a.nii.gz --out out --state other.json", 1, r"other\.json: .*format 'x'"),
    "state lacks its parts": ("--images a.nii.gz --out out --state broken.json", 1, r"broken\.json: .*state"),
    "unknown profile": ("--images a.nii.gz --out out --profile fast", 2, r"--profile fast is unknown"),
    "budget of nothing": ("--images a.nii.gz --out out --epsilon 0", 2, r"--epsilon 0 is out of range"),
    "budget not a number": ("--images a.nii.gz --out out --epsilon nan", 2, r"--epsilon nan is out of range"),
    "budget above all": ("--images a.nii.gz --out out --epsilon 256", 2, r"--epsilon 256 is out of range"),
    "window upside down": ("--images a.nii.gz --out out --window 9,1", 2, r"--window 9,1: the lower limit"),
    "window of words": ("--images a.nii.gz --out out --window wide", 2, r"--window wide is not one of"),
    "unknown device": ("--images a.nii.gz --out out --device tpu", 2, r"--device tpu is unknown"),
    "seed with a state": ("--images a.nii.gz --out out --seed 1 --state none.json", 2, r"--seed cannot be given"),
    "no images": ("--out out", 2, r"required: --images"),
}


@dataclass(frozen=True)
class Outcome:
    """What a command ended with, what it showed, and whether it left all files as they were."""

    code: object
    out: str
    err: str
    changed_nothing: bool

    @property
    def sentence(self) -> str:
        """Without the name of the program and `error:`."""
        return self.err.splitlines()[-1].rpartition("error: ")[2]


def make_folder(folder: Path, volumes: Any) -> Path:
    volumes.add(folder)
    for name in ("alone", "orphan", "twins", "full"):
        volumes.add(folder / name)
    (folder / "alone" / "b.nii.gz").touch()
    (folder / "orphan" / "b_seg.nii.gz").touch()
    (folder / "twins" / "a.nii").touch()
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("no image")
    (folder / "other.json").write_text('{"format": "x"}')
    (folder / "broken.json").write_text('{"format": "medunlearnable-umed-state/4", "seed": "zz"}')
    return folder


@pytest.fixture
def folder(tmp_path: Path, volumes: Any) -> Path:
    return make_folder(tmp_path, volumes)


@pytest.fixture(scope="module")
def before_start(tmp_path_factory: pytest.TempPathFactory, volumes: Any) -> dict[str, Outcome]:
    folder = make_folder(tmp_path_factory.mktemp("refused"), volumes)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return {name: refused(folder, arguments) for name, (arguments, *_) in BEFORE_START.items()}


def refused(folder: Path, arguments: str) -> Outcome:
    before = tree(folder)
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        try:
            code: object = main(["protect", "umed", *arguments.split()])
        except SystemExit as usage:
            code = usage.code
    return Outcome(code, out.getvalue(), err.getvalue(), tree(folder) == before)


@pytest.mark.parametrize(("name", "code", "message"), [(name, *row[1:]) for name, row in BEFORE_START.items()])
def test_refusal_before_the_start_leaves_no_file(
    before_start: dict[str, Outcome], name: str, code: int, message: str
) -> None:
    ended = before_start[name]
    assert re.search(message, ended.err), ended.err
    assert ended.code == code
    assert ended.changed_nothing
    if "usage:" not in ended.err:
        assert_one_sentence(ended)


@pytest.mark.parametrize("name", ["missing image", "x.nii beside x.nii.gz", "unknown profile", "no images"])
def test_the_exit_code_of_the_process_is_the_one_promised(folder: Path, cli: Any, name: str) -> None:
    arguments, code, message = BEFORE_START[name]
    ended = cli.run("protect", "umed", *arguments.split(), cwd=folder)
    assert ended.code == code
    assert re.search(message, ended.err), ended.err


def assert_one_sentence(shown: Any) -> None:
    assert len(shown.err.splitlines()) == 1, shown.err
    assert shown.err.startswith("error: ")
    assert shown.out == ""


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is here, so a device may be, too")
def test_a_device_that_is_absent_is_refused(folder: Path, cli: Any) -> None:
    before = tree(folder)
    ended = cli.protect(folder / "a.nii.gz", folder / "out", "--device", "cuda")
    assert ended.code == 1
    assert "--device cuda needs PyTorch, which is not installed; in Slicer install the extension PyTorch" in ended.err
    assert tree(folder) == before


# --- Found by the worker when it reads the voxels ---


def _nifti(path: Path, voxels: np.ndarray) -> None:
    nib.save(nib.Nifti1Image(voxels.T, np.diag([0.9, 0.9, 2.5, 1.0])), path)


def _empty(path: Path, volumes: Any) -> None:
    path.write_bytes(b"")


def _cut_off(path: Path, volumes: Any) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _other_bytes(path: Path, volumes: Any) -> None:
    path.write_bytes(gzip.compress(b"no image" * 100))


def _four_dimensions(path: Path, volumes: Any) -> None:
    _nifti(path, np.stack([volumes.tissue()] * 2))


def _nan_in_mask(path: Path, volumes: Any) -> None:
    voxels = volumes.tissue().astype(np.float32)
    voxels[3, 12, 11] = np.nan
    _nifti(path, voxels)


def _infinite_in_mask(path: Path, volumes: Any) -> None:
    voxels = volumes.tissue().astype(np.float32)
    voxels[2, 10, 9] = -np.inf
    _nifti(path, voxels)


def _constant(path: Path, volumes: Any) -> None:
    _nifti(path, np.full_like(volumes.tissue(), 300))


def _constant_air(path: Path, volumes: Any) -> None:
    _nifti(path, np.full_like(volumes.tissue(), -1000))


def _zero(path: Path, volumes: Any) -> None:
    _nifti(path, np.zeros_like(volumes.tissue()))


def _narrow(path: Path, volumes: Any) -> None:
    _nifti(path, 10 + volumes.tissue() % 21)


def _complex(path: Path, volumes: Any) -> None:
    _nifti(path, volumes.tissue().astype(np.complex64))


def _other_shape(path: Path, volumes: Any) -> None:
    volumes.add(path.parent, path.name.removesuffix(".nii.gz"), label=volumes.ball()[1:])


def _other_place(path: Path, volumes: Any) -> None:
    volumes.add(path.parent, path.name.removesuffix(".nii.gz"), affine=np.diag([0.9, 0.9, 2.6, 1]))


def _fractions(path: Path, volumes: Any) -> None:
    volumes.add(path.parent, path.name.removesuffix(".nii.gz"), label=volumes.ball() * np.float32(0.4))


WHILE_RUNNING = {
    "empty file": (_empty, r"bad\.nii\.gz: the file is empty"),
    "cut off": (_cut_off, r"bad\.nii\.gz: the gzip stream is damaged or cut off"),
    "corrupt": (_other_bytes, r"bad\.nii\.gz: this is not a NIfTI file"),
    "4D": (_four_dimensions, r"bad\.nii\.gz: this is a 22 x 24 x 6 x 2 image \(4D\)"),
    "NaN in the mask": (_nan_in_mask, r"bad: a voxel under the segments or their contour is NaN or Inf"),
    "Inf in the mask": (_infinite_in_mask, r"bad: a voxel under the segments or their contour is NaN or Inf"),
    "constant image": (_constant, r"bad: the image is constant"),
    "constant CT": (_constant_air, r"bad: the image is constant"),
    "zero image": (_zero, r"bad: the image is constant"),
    "budget below one level": (_narrow, r"bad: --epsilon 4 is .*; use --epsilon 13 or more"),
    "complex voxels": (_complex, r"bad\.nii\.gz: voxels of type .* are not supported"),
    "other shape": (
        _other_shape,
        r"bad_seg\.nii\.gz: the label has 22 x 24 x 5 voxels, its image .*bad\.nii\.gz 22 x 24 x 6",
    ),
    "other geometry": (
        _other_place,
        r"bad_seg\.nii\.gz: the label lies up to .* voxels away from its image .*bad\.nii\.gz",
    ),
    "label with fractions": (_fractions, r"bad_seg\.nii\.gz: label values must be whole numbers"),
}


@pytest.fixture(scope="module")
def mixed_run(
    tmp_path_factory: pytest.TempPathFactory, cli: Any, volumes: Any
) -> tuple[Path, Any, dict[str, bytes | None]]:
    """One run over a folder that holds every bad case between two good ones."""
    folder = tmp_path_factory.mktemp("mixed")
    volumes.add(folder / "in", "a_good")
    for name, (spoil, _) in WHILE_RUNNING.items():
        spoil(volumes.add(folder / "in", f"{name} bad"), volumes)
    volumes.add(folder / "in", "z_good")
    before = tree(folder / "in")
    return folder, cli.protect(folder / "in", folder / "out", "--profile", "instant", "--json"), before


@pytest.mark.parametrize(("name", "message"), [(n, m) for n, (_, m) in WHILE_RUNNING.items()], ids=WHILE_RUNNING.keys())
def test_a_bad_case_of_a_folder_is_named_in_the_manifest(mixed_run: Any, name: str, message: str) -> None:
    folder, ended, _ = mixed_run
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    (entry,) = (case for case in manifest["cases"] if case["id"] == f"{name} bad")
    assert entry["state"] == "failed"
    assert re.search(message, entry["error"])
    (event,) = (e for e in ended.events if e["event"] == "case" and e["case"] == f"{name} bad")
    assert re.search(message, event["error"])
    assert not [path for path in tree(folder / "out") if path.startswith(name)]


def test_the_other_cases_of_the_folder_are_finished_and_the_inputs_untouched(mixed_run: Any) -> None:
    folder, ended, before = mixed_run
    assert ended.code == 1
    assert ended.events[-1]["event"] == "finished"
    assert f"{len(WHILE_RUNNING)} of {len(WHILE_RUNNING) + 2} cases failed, the first: " in ended.events[-1]["message"]
    for name in ("a_good", "z_good"):
        assert (folder / "out" / f"{name}.nii.gz").is_file()
        assert (folder / "out" / f"{name}.medunlearnable.json").is_file()
    assert tree(folder / "in") == before


def test_what_may_be_handed_out_names_no_folder_of_the_owner(mixed_run: Any) -> None:
    folder, _, _ = mixed_run
    for name, content in tree(folder / "out").items():
        assert content is None or str(folder).encode() not in content, name


@pytest.mark.parametrize("name", ["empty file", "4D", "NaN in the mask", "constant CT", "other geometry"])
def test_a_single_bad_image_leaves_no_file(tmp_path: Path, cli: Any, volumes: Any, name: str) -> None:
    spoil, message = WHILE_RUNNING[name]
    spoil(volumes.add(tmp_path, "bad"), volumes)
    before = tree(tmp_path)
    ended = cli.protect(tmp_path / "bad.nii.gz", tmp_path / "new" / "deep" / "out", "--quiet")
    assert ended.code == 1
    assert re.search(message, ended.err), ended.err
    assert_one_sentence(ended)
    assert tree(tmp_path) == before


def test_a_constant_picture_is_refused(tmp_path: Path, cli: Any) -> None:
    Image.fromarray(np.full((20, 20), 99, np.uint8)).save(tmp_path / "flat.png")
    Image.fromarray(np.pad(np.full((8, 8), 255, np.uint8), 6)).save(tmp_path / "flat_mask.png")
    ended = cli.protect(tmp_path / "flat.png", tmp_path / "out")
    assert ended.code == 1
    assert re.search(r"flat: .*constant", ended.err)
    assert not (tmp_path / "out").exists()


def test_the_smallest_working_epsilon_is_named_and_works(tmp_path: Path, cli: Any, volumes: Any) -> None:
    _narrow(volumes.add(tmp_path / "in"), volumes)
    refused = cli.protect(tmp_path / "in", tmp_path / "out")
    assert refused.code == 1
    found = re.search(r"use --epsilon (\d+) or more", refused.err)
    assert found, refused.err
    smallest = int(found[1])
    assert cli.protect(tmp_path / "in", tmp_path / "less", "--epsilon", smallest - 1).code == 1
    assert cli.protect(tmp_path / "in", tmp_path / "out", "--epsilon", smallest).code == 0


def test_a_window_narrower_than_a_step_is_not_answered_with_an_impossible_epsilon(
    tmp_path: Path, cli: Any, volumes: Any
) -> None:
    volumes.add(tmp_path / "in")
    ended = cli.protect(tmp_path / "in", tmp_path / "out", "--window", "100,100.5")
    assert ended.code == 1
    assert "--window" in ended.err
    assert "--epsilon 510" not in ended.err


def test_a_label_without_foreground_alone_ends_with_1_and_names_the_case(
    tmp_path: Path, cli: Any, volumes: Any
) -> None:
    path = volumes.add(tmp_path / "in", "blank", label=np.zeros_like(volumes.ball()))
    ended = cli.protect(path, tmp_path / "out", "--quiet")
    assert ended.code == 1
    assert "blank" in ended.err
    assert (tmp_path / "out" / "blank.nii.gz").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("cases", "code"), [(10, 0), (9, 1)])
def test_more_than_a_tenth_of_clean_copies_ends_with_1(
    tmp_path: Path, cli: Any, volumes: Any, cases: int, code: int
) -> None:
    for number in range(cases - 1):
        volumes.add(tmp_path / "in", f"case{number}")
    volumes.add(tmp_path / "in", "blank", label=np.zeros_like(volumes.ball()))
    ended = cli.protect(tmp_path / "in", tmp_path / "out")
    assert ended.code == code
    assert "blank" in ended.err  # warned in any case
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == cases


# --- The document ---

_INTRODUCTION = """# Bad inputs, and what comes of them

Every row was tried: the tests give the input, look at the outcome and compare it with this page
(`Testing/jobs/test_bad_input.py`). Refused before the start, a run has written nothing. Of a folder, the other cases
are finished, the manifest names the bad one, and the exit code is 1.
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what the system itself says differs")
def test_the_document_of_bad_inputs_says_what_these_tests_found(
    before_start: dict[str, Outcome], mixed_run: Any, tmp_path: Path
) -> None:
    _, run, _ = mixed_run
    errors = {event["case"]: event["error"] for event in run.events if event["event"] == "case" and "error" in event}
    tables = {
        "Refused before the start": ((name, f"{o.code}: {o.sentence}") for name, o in before_start.items()),
        "Found when a case is read": ((name, errors[f"{name} bad"]) for name in WHILE_RUNNING),
        "DICOM series": dicom_outcomes(tmp_path),
        "Data sets in nnU-Net's layout": nnunet_outcomes(tmp_path),
    }
    text = "\n".join([_INTRODUCTION, *(table(title, rows) for title, rows in tables.items())])
    found = tmp_path / DOCUMENT.name
    found.write_text(text)
    assert DOCUMENT.read_text() == text, f"what was found lies in {found}; look at it and copy it to {DOCUMENT}"


def table(title: str, rows: Iterator[tuple[str, str]]) -> str:
    first = "exit code: " if title == "Refused before the start" else ""
    lines = [f"| {name} | {readable(name, sentence)} |" for name, sentence in rows]
    return "\n".join([f"## {title}", "", f"| input | {first}sentence |", "|---|---|", *lines, ""])


def readable(name: str, sentence: str) -> str:
    """Without the folders of this run, and no longer than a table bears."""
    without_folders = re.sub(r"\S*/pytest-of-[^/]+/pytest-\d+/\w+/((in|dicom|nnunet)/)?(\d+/)?", "", sentence)
    shorter = re.sub(r"x{300}", "xxx...", without_folders).replace(f"{name} bad", "bad")
    return shorter.replace("|", "\\|")


def sentence_of(read: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refusal:
        read()
    return str(refusal.value)


def dicom_outcomes(folder: Path) -> Iterator[tuple[str, str]]:
    for number, (name, (change, _)) in enumerate(test_dicom.REFUSED.items()):
        series = write_series(folder / "dicom" / f"{number}" / "ct", some_volume("i2"), change)
        yield name, sentence_of(lambda series=series: formats.read(series))


def nnunet_outcomes(folder: Path) -> Iterator[tuple[str, str]]:
    for number, (name, (spoil, _)) in enumerate(test_nnunet.REFUSED.items()):
        root = test_nnunet.make_data_set(folder / "nnunet" / f"{number}" / "set")
        spoil(root)
        yield name, sentence_of(lambda root=root: load_case(find_cases(root, None)[0]))
