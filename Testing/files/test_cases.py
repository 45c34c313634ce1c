"""Which files are one case: pairs, labels beside, and everything that is ambiguous refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.files.cases import LABEL_SUFFIXES, CaseFiles, find_cases


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def pairs(cases: list[CaseFiles]) -> list[tuple[str, str, str]]:
    return [(case.id, case.image.name, case.label.name if case.label else "") for case in cases]


def test_equal_stems_of_two_folders_are_a_case_whatever_the_format(tmp_path: Path) -> None:
    images = touch(tmp_path / "images", "b.nii.gz", "a.nrrd", "c.PNG", "d.v2.nii", "notes.txt")
    labels = touch(tmp_path / "labels", "a.seg.nrrd", "b.nii", "c.png", "d.v2.nii.gz", "readme.md")
    assert pairs(find_cases(images, labels)) == [
        ("a", "a.nrrd", "a.seg.nrrd"),
        ("b", "b.nii.gz", "b.nii"),
        ("c", "c.PNG", "c.png"),
        ("d.v2", "d.v2.nii", "d.v2.nii.gz"),
    ]


@pytest.mark.parametrize("suffix", LABEL_SUFFIXES)
def test_a_label_beside_its_image_is_found_by_its_suffix(tmp_path: Path, suffix: str) -> None:
    folder = touch(tmp_path, "a.nii.gz", f"a{suffix}.nii.gz")
    for label_path in (None, folder):
        assert pairs(find_cases(folder, label_path)) == [("a", "a.nii.gz", f"a{suffix}.nii.gz")]
    assert pairs(find_cases(folder / "a.nii.gz", None)) == [("a", "a.nii.gz", f"a{suffix}.nii.gz")]


def test_a_slicer_segmentation_beside_its_volume_is_its_label(tmp_path: Path) -> None:
    folder = touch(tmp_path, "ct.nrrd", "ct.seg.nrrd", "mr.nrrd", "mr_seg.seg.nrrd")
    assert pairs(find_cases(folder, None)) == [("ct", "ct.nrrd", "ct.seg.nrrd"), ("mr", "mr.nrrd", "mr_seg.seg.nrrd")]


def test_a_label_given_by_name_is_taken(tmp_path: Path) -> None:
    touch(tmp_path, "ct.nrrd", "anything.png")
    assert pairs(find_cases(tmp_path / "ct.nrrd", tmp_path / "anything.png")) == [("ct", "ct.nrrd", "anything.png")]


def test_hidden_and_unfinished_files_are_no_cases(tmp_path: Path) -> None:
    folder = touch(
        tmp_path, "a.png", "a_mask.png", "._a.png", "._a_mask.png", ".DS_Store", ".medunlearnable-part-1-b.png"
    )
    assert pairs(find_cases(folder, None)) == [("a", "a.png", "a_mask.png")]


AMBIGUOUS = {
    "x.nii beside x.nii.gz": (("x.nii", "x.nii.gz", "x_seg.nii"), r"x\.nii\.gz: lies beside x\.nii,.*the case 'x'"),
    "two labels": (("x.png", "x_mask.png", "x_seg.png"), r"x_seg\.png: lies beside x_mask\.png"),
    "two formats": (("x.png", "x.nrrd", "x_mask.png"), r"x\.png: lies beside x\.nrrd"),
    "no label": (("a.png", "a_mask.png", "b.png"), r"1 of 2 cases have no label: b;"),
    "no image": (("a.png", "a_mask.png", "b_mask.png"), r"1 of 2 cases have no image: b;"),
    "many without": (tuple(f"{n}.png" for n in range(9)), r"9 of 9 cases have no label: 0, 1, 2, \.\.\.;"),
    "nothing": ((), r"the folder holds no image; known endings are .*\.nii\.gz"),
    "labels alone": (("a_mask.png",), r"the folder holds no image"),
}


@pytest.mark.parametrize(("names", "message"), AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_a_folder_that_is_not_clear_is_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(Refused, match=message):
        find_cases(touch(tmp_path / "in", *names), None)


def test_what_is_not_there_or_of_unknown_format_is_refused_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "a.bmp", "a_mask.png")
    for images, labels, message in (
        ("none", None, r"none: there is no such file or folder"),
        ("a.png", "none", r"none: there is no such file or folder"),
        ("a.bmp", None, r"a\.bmp: this format is not known; give \.nii\.gz"),
        (".", "a_mask.png", r"a_mask\.png: this is one label file, but .* is a folder"),
    ):
        with pytest.raises(Refused, match=message):
            find_cases(tmp_path / images, tmp_path / labels if labels else None)
    with pytest.raises(Refused, match=r"b\.png: no label for it in "):
        find_cases(touch(tmp_path / "alone", "b.png") / "b.png", None)


def test_a_case_survives_the_job_file(tmp_path: Path) -> None:
    for case in (CaseFiles("a", tmp_path / "a.png", None), CaseFiles("b", tmp_path / "b", tmp_path / "c", "CT")):
        assert CaseFiles.from_json(case.to_json()) == case


def test_a_name_that_is_not_utf8_is_refused_in_readable_letters(tmp_path: Path) -> None:
    names = [os.fsdecode(name) for name in (b"k\xf6pf.png", b"k\xf6pf_mask.png")]
    with pytest.raises(Refused, match=r"k\\udcf6pf\.png': this name is not valid UTF-8"):
        find_cases(touch(tmp_path / "in", *names), None)
