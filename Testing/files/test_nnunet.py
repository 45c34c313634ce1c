"""Data sets in nnU-Net's layout: a file for each channel in, the same files and subfolders out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from MedUnlearnableLib.engine.case import Units
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.engine.masks import contour_and_interior, contour_radius
from MedUnlearnableLib.engine.salm import SALM, SALMParams
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import UMed, UMedParams
from MedUnlearnableLib.files import formats
from MedUnlearnableLib.files.cases import CaseFiles, FileCases, find_cases, load_case
from MedUnlearnableLib.files.classes import CaseClasses
from MedUnlearnableLib.files.nnunet import left_out
from MedUnlearnableLib.files.outputs import OutputFolder
from PIL import Image

SHAPE = (6, 20, 18)
AFFINE = np.diag([0.9, 0.9, 2.5, 1.0])
NAMES = {"0": "CT", "1": "PET"}


def save(path: Path, array: np.ndarray, slope: float = 1.0, intercept: float = 0.0, affine: Any = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array.T, affine)
    image.header["descrip"] = b"from the scanner"
    nib.save(image, path)
    if (slope, intercept) != (1.0, 0.0):
        content = bytearray(path.read_bytes())
        content[112:120] = np.array([slope, intercept], "<f4").tobytes()
        path.write_bytes(content)


def ct_and_pet(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """uint16 with air, to be shifted by -1024 HU; float32 with fractions."""
    random = np.random.default_rng(seed)
    ct = random.normal(40, 60, SHAPE)
    ct[:, :4] = -1000
    return np.rint(ct + 1024).astype(np.uint16), random.gamma(2.0, 3.0, SHAPE).astype(np.float32)


def box() -> np.ndarray:
    label = np.zeros(SHAPE, np.uint8)
    label[1:5, 7:16, 5:14] = 1
    return label


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    return make_data_set(tmp_path / "Dataset001_Tumor")


def make_data_set(root: Path) -> Path:
    """Two cases of CT and PET, in uncompressed NIfTI so that their slope can be written."""
    for number in (1, 2):
        ct, pet = ct_and_pet(number)
        save(root / "imagesTr" / f"t_{number:03}_0000.nii", ct, intercept=-1024.0)
        save(root / "imagesTr" / f"t_{number:03}_0001.nii", pet)
        save(root / "labelsTr" / f"t_{number:03}.nii", box())
    describe(root)
    return root


def describe(root: Path, **changes: Any) -> None:
    values = {"channel_names": NAMES, "labels": {"background": 0, "tumor": 1}, "numTraining": 2, "file_ending": ".nii"}
    (root / "dataset.json").write_text(json.dumps({**values, **changes}))


def protect(cases: list[CaseFiles], out: Path) -> list[dict[str, Any]]:
    source, method = FileCases(cases), UMed(UMedParams(), RandomStreams.from_number(1))
    method.fit(source)
    folder = OutputFolder(out)
    return [folder.write(case, source.stored(case.id), method.protect(source.load(case.id))) for case in cases]


def test_the_files_of_a_case_are_found_by_their_channel_numbers(data_set: Path) -> None:
    found = find_cases(data_set, None)
    assert [case.id for case in found] == ["t_001", "t_002"]
    assert [path.name for path in found[0].images] == ["t_001_0000.nii", "t_001_0001.nii"]
    assert found[0].label == data_set / "labelsTr" / "t_001.nii"
    assert found[0].channel_names == ("CT", "PET")
    assert find_cases(data_set / "imagesTr", None) == found
    assert find_cases(data_set / "imagesTr", data_set / "labelsTr") == found
    assert CaseFiles.from_json(found[0].to_json()) == found[0]


def test_channels_meet_in_a_dtype_that_holds_both_and_keep_their_meanings(data_set: Path) -> None:
    stored, case = load_case(find_cases(data_set, None)[0])
    ct, pet = ct_and_pet(1)
    assert case.image.dtype == np.float32
    np.testing.assert_array_equal(case.image, [ct, pet])
    assert [channel.units for channel in case.channels] == [Units(1.0, -1024.0), Units()]
    assert [channel.modality for channel in case.channels] == ["CT", "PET"]
    assert [channel.limits for channel in case.channels] == [(0.0, 65535.0), None]
    assert [file.array.dtype for file in stored.files] == [np.uint16, np.float32]


def test_the_output_is_a_data_set_again_with_every_file_of_its_own_kind(data_set: Path, tmp_path: Path) -> None:
    entries = protect(find_cases(data_set, None), tmp_path / "out")
    assert entries[0]["images"] == ["imagesTr/t_001_0000.nii", "imagesTr/t_001_0001.nii"]
    assert (entries[0]["label"], entries[0]["record"]) == (
        "labelsTr/t_001.nii",
        "imagesTr/t_001.medunlearnable.json",
    )
    names = sorted(path.relative_to(data_set).as_posix() for path in data_set.rglob("*.*"))
    records = [f"imagesTr/t_{number:03}.medunlearnable.json" for number in (1, 2)]
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert written == sorted(names + records)
    for name in ("dataset.json", "labelsTr/t_001.nii"):
        assert (tmp_path / "out" / name).read_bytes() == (data_set / name).read_bytes()

    record = json.loads((tmp_path / "out" / records[0]).read_text())
    contour, interior = contour_and_interior([box()], contour_radius((2.5, 0.9, 0.9), SHAPE))
    for name, channel in zip(entries[0]["images"], record["channels"]):
        before, after = (formats.read(root / name) for root in (data_set, tmp_path / "out"))
        assert (data_set / name).read_bytes()[:352] == (tmp_path / "out" / name).read_bytes()[:352]
        lo, hi = channel["window"]
        may_change = (contour | interior) & (before.array[0] >= lo) & (before.array[0] <= hi)
        change = np.abs(after.array[0].astype(np.float64) - before.array[0])
        assert not change[~may_change].any()
        assert 0 < change.max() == channel["max_change"] <= channel["budget"] + 1e-6
        assert channel["budget"] == pytest.approx(3 / 255 * (hi - lo), abs=1)
    assert [channel["units"] for channel in record["channels"]] == ["HU", ""]
    assert record["files"].keys() == set(entries[0]["images"])


def test_salm_gives_each_channel_its_own_budget_too(data_set: Path, tmp_path: Path) -> None:
    classes = (CaseClasses(("benign", "malignant"), (place,)) for place in range(2))
    cases = [replace(case, classes=shown) for case, shown in zip(find_cases(data_set, None), classes)]
    source, method = FileCases(cases), SALM(SALMParams(), RandomStreams.from_number(1))
    method.fit(source)
    protected = method.protect(source.load("t_001"))
    assert [channel["units"] for channel in protected.record.channels] == ["HU", ""]
    for before, after, channel in zip(protected.case.image, protected.image, protected.record.channels):
        change = np.abs(after.astype(np.float64) - before).max()
        assert 0 < change == channel["max_change"] <= channel["budget"] + 1e-6


def test_flat_folders_may_have_channels_too(tmp_path: Path) -> None:
    """Where the labels say which of two names is the case."""
    for name in ("a_0000", "a_0001", "b_0007", "c"):
        save(tmp_path / "images" / f"{name}.nii.gz", ct_and_pet(0)[1])
    for name in ("a", "b_0007", "c"):
        save(tmp_path / "labels" / f"{name}.nii.gz", box())
    found = find_cases(tmp_path / "images", tmp_path / "labels")
    assert [(case.id, len(case.images)) for case in found] == [("a", 2), ("b_0007", 1), ("c", 1)]
    entries = protect(found[:1], tmp_path / "out")
    assert entries[0]["images"] == ["a_0000.nii.gz", "a_0001.nii.gz"]
    assert entries[0]["record"] == "a.medunlearnable.json"


def test_names_without_a_channel_number_and_the_older_key_are_read(data_set: Path) -> None:
    """As in the Medical Segmentation Decathlon."""
    for path in data_set.glob("imagesTr/*_0001.nii"):
        path.unlink()
    for path in data_set.glob("imagesTr/*_0000.nii"):
        path.rename(path.with_name(path.name.replace("_0000", "")))
    (data_set / "dataset.json").write_text(json.dumps({"modality": {"0": "CT"}}))
    first, _ = find_cases(data_set, None)
    assert (first.id, first.image.name, first.channel_names) == ("t_001", "t_001.nii", ("CT",))
    assert load_case(first)[1].modality == "CT"


def test_a_color_picture_is_one_file_with_three_named_channels(tmp_path: Path) -> None:
    for folder, name, shape in (("imagesTr", "p_0000.png", (8, 8, 3)), ("labelsTr", "p.png", (8, 8))):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.ones(shape, np.uint8)).save(tmp_path / folder / name)
    describe(tmp_path, channel_names={"0": "R", "1": "G", "2": "B"}, file_ending=".png")
    (case,) = find_cases(tmp_path, None)
    loaded = load_case(case)[1]
    assert (len(loaded.image), loaded.channels, loaded.modality) == (3, (), "picture")


def test_only_files_of_the_given_ending_are_images(data_set: Path) -> None:
    save(data_set / "imagesTr" / "t_001_0000.nii.gz", ct_and_pet(1)[0])
    assert len(find_cases(data_set, None)) == 2


def test_labels_may_be_missing_where_they_are_not_needed(data_set: Path) -> None:
    for path in (data_set / "labelsTr").iterdir():
        path.unlink()
    (data_set / "labelsTr").rmdir()
    assert [(case.id, len(case.images), case.label) for case in find_cases(data_set, None, label_needed=False)] == [
        ("t_001", 2, None),
        ("t_002", 2, None),
    ]


def remove(root: Path, name: str) -> None:
    (root / name).unlink()


REFUSED = {
    "channel 0": (lambda root: remove(root, "imagesTr/t_001_0000.nii"), r"channel 0000 of the case 't_001' is missing"),
    "channel 1": (
        lambda root: remove(root, "imagesTr/t_001_0001.nii"),
        r"t_001_0000\.nii: dataset\.json names 2 channels \(CT, PET\), but the case has 1;",
    ),
    "label": (lambda root: remove(root, "labelsTr/t_001.nii"), r"1 of 2 cases have no label: t_001;"),
    "no image of the ending": (lambda root: describe(root, file_ending=".mha"), r"dataset\.json names end with \.mha"),
    "broken dataset.json": (lambda root: (root / "dataset.json").write_text("{"), r"dataset\.json: this is not a JSON"),
    "odd dataset.json": (lambda root: describe(root, channel_names=["CT"]), r"channel_names must be an object"),
    "number in two formats": (
        lambda root: (describe(root, file_ending=""), save(root / "imagesTr" / "t_001_0000.nii.gz", ct_and_pet(1)[0])),
        r"both would be the case 't_001'",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_whole_data_set_is_refused_by_name(data_set: Path, spoil: Any, message: str) -> None:
    spoil(data_set)
    with pytest.raises(Refused, match=message):
        load_case(find_cases(data_set, None)[0])


@pytest.mark.parametrize(
    ("array", "affine", "message"),
    [
        (np.zeros((5, 20, 18), np.float32), AFFINE, r"t_001_0001\.nii: has 18 x 20 x 5 voxels, .* 18 x 20 x 6; all"),
        (np.zeros(SHAPE, np.float32), np.eye(4), r"t_001_0001\.nii: lies elsewhere than t_001_0000\.nii; all channels"),
    ],
)
def test_channels_on_other_grids_are_refused(data_set: Path, array: np.ndarray, affine: Any, message: str) -> None:
    save(data_set / "imagesTr" / "t_001_0001.nii", array, affine=affine)
    with pytest.raises(Refused, match=message):
        load_case(find_cases(data_set, None)[0])


def test_test_images_are_left_out_and_counted(data_set: Path) -> None:
    cases = find_cases(data_set, None)
    assert left_out(data_set, cases[0].images) == ""
    save(data_set / "imagesTs" / "t_003_0000.nii", ct_and_pet(3)[0])
    assert find_cases(data_set, None) == cases
    assert left_out(data_set, cases[0].images).startswith("imagesTs: 1 files without labels are left out")
    assert left_out(data_set, [data_set / "imagesTs" / "t_003_0000.nii"]) == ""


def test_a_case_that_is_removed_takes_no_other_with_it(data_set: Path, tmp_path: Path) -> None:
    """Names that begin alike: case, case.b and the channels of case."""
    flat = tmp_path / "flat"
    for name in ("case", "case.b"):
        save(flat / f"{name}.nii.gz", ct_and_pet(1)[1])
        save(flat / f"{name}_seg.nii.gz", box())
    out, cases = OutputFolder(tmp_path / "out"), find_cases(flat, None)
    protect(cases, out.folder)
    both = {path.name for path in out.folder.rglob("*.gz")}
    out.remove_cases(cases[:1], ())
    assert both - {path.name for path in out.folder.rglob("*.gz")} == {"case.nii.gz", "case_seg.nii.gz"}
    assert not (out.folder / "case.medunlearnable.json").exists()
    assert (out.folder / "case.b.medunlearnable.json").exists()

    cases = find_cases(data_set, None)
    protect(cases, tmp_path / "set")
    OutputFolder(tmp_path / "set").remove_cases(cases[:1], ())
    assert not list((tmp_path / "set").rglob("t_001*"))
    assert len(list((tmp_path / "set").rglob("t_002*"))) == 4
