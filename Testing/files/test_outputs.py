"""Outputs: whole, checked and within the budget on disk, or not there at all."""

from __future__ import annotations

import os
import resource
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from MedUnlearnableLib.engine.case import Geometry
from MedUnlearnableLib.engine.errors import Cancelled, Refused
from MedUnlearnableLib.engine.masks import contour_and_interior, contour_radius
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import UMed, UMedParams
from MedUnlearnableLib.engine.window_rules import WindowSetting
from MedUnlearnableLib.files import formats, nrrd
from MedUnlearnableLib.files.cases import CaseFiles, FileCases
from MedUnlearnableLib.files.outputs import OutputFolder, remove_unfinished, write_private_manifest
from MedUnlearnableLib.files.volume import TEMPORARY_PREFIX, write_atomically, write_json
from PIL import Image


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The system itself cuts every longer file off, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_the_disk_cuts_off_leaves_nothing(tmp_path: Path) -> None:
    with largest_file(10_000), pytest.raises(Refused, match=r"x\.nii: cannot be written \(File too large\)"):
        write_atomically(tmp_path / "out" / "x.nii", lambda file: file.write(b"x" * 20_000))
    assert everything_in(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [Refused("no"), Cancelled(), MemoryError(), KeyboardInterrupt()])
def test_a_write_or_a_check_that_fails_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def fail(*_: object) -> None:
        raise error

    for write, check in ((fail, None), (lambda file: file.write(b"half"), fail)):
        with pytest.raises(type(error)):
            write_atomically(tmp_path / "x", write, check)
    assert everything_in(tmp_path) == []


def test_a_failed_write_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("before")
    with largest_file(100), pytest.raises(Refused):
        write_atomically(tmp_path / "x", lambda file: file.write(b"x" * 1000))
    assert (tmp_path / "x").read_text() == "before"


def test_what_cannot_be_created_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "x.nii", tmp_path / "file" / "deep" / "x.nii", tmp_path / ("x" * 250)):
        with pytest.raises(Refused, match="cannot be written"):
            write_atomically(path, lambda file: file.write(b"x"))
    assert everything_in(tmp_path) == ["file"]


def test_private_files_are_their_owners_alone(tmp_path: Path) -> None:
    modes = []
    write_atomically(tmp_path / "key", lambda file: modes.append(os.fstat(file.fileno()).st_mode), mode=0o600)
    write_private_manifest(tmp_path / "private", {"seed": "00"}, [])
    modes += [(tmp_path / "key").stat().st_mode, (tmp_path / "private" / "manifest.json").stat().st_mode]
    assert [stat.S_IMODE(mode) for mode in modes] == [0o600] * 3


def case_files(folder: Path, name: str = "x.nii.gz") -> CaseFiles:
    """A volume with a gradient and a box as its label."""
    image = (np.add.outer(np.arange(12), np.add.outer(np.arange(10), np.arange(8))) * 40).astype(np.int16)
    label = np.zeros_like(image, dtype=np.uint8)
    label[3:9, 3:8, 2:6] = 1
    nib.save(nib.Nifti1Image(image, np.eye(4)), folder / name)
    nib.save(nib.Nifti1Image(label, np.eye(4)), folder / "label.nii.gz")
    return CaseFiles("x", folder / name, folder / "label.nii.gz")


def method(**params: Any) -> UMed:
    return UMed(UMedParams(**params), RandomStreams.from_number(1))


def test_a_corrupted_write_is_found_when_read_back(tmp_path: Path) -> None:
    files = case_files(tmp_path, "x.nii")
    source = FileCases([files])
    protected, stored = method().protect(source.load("x")), source.stored("x")
    content = (tmp_path / "x.nii").read_bytes()
    moved = content[:280] + np.float32(2).tobytes() + content[284:]

    def one_bit_flipped(file: IO[bytes], image: np.ndarray) -> None:
        flipped = image.copy()
        flipped[0, 5, 5, 5] ^= 1
        stored.write_to(file, flipped)

    def cut_off(file: IO[bytes], image: np.ndarray) -> None:
        stored.write_to(file, image)
        file.truncate(len(content) - 1)

    def elsewhere(file: IO[bytes], image: np.ndarray) -> None:
        stored.write_to(file, image)
        file.seek(0)
        file.write(moved[:352])

    for faulty in (one_bit_flipped, cut_off, elsewhere):
        out = tmp_path / faulty.__name__
        with pytest.raises(Refused, match=rf"{faulty.__name__}/x\.nii: what was read back differs"):
            OutputFolder(out).write(files, replace(stored, write_to=faulty), protected)
        assert everything_in(out) == []


def test_a_case_that_fails_late_leaves_none_of_its_files(tmp_path: Path) -> None:
    files = case_files(tmp_path)
    source = FileCases([files])
    protected, stored = method().protect(source.load("x")), source.stored("x")
    out = OutputFolder(tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "labels").touch()  # a file where the folder of the labels should be
    with pytest.raises(Refused, match=r"label\.nii\.gz: cannot be written"):
        out.write(files, stored, protected)
    assert everything_in(tmp_path / "out") == ["labels"]


def test_a_case_without_foreground_is_copied_byte_for_byte(tmp_path: Path) -> None:
    files = case_files(tmp_path)
    nib.save(nib.Nifti1Image(np.zeros((12, 10, 8), np.uint8), np.eye(4)), tmp_path / "label.nii.gz")
    source = FileCases([files])
    entry = OutputFolder(tmp_path / "out").write(files, source.stored("x"), method().protect(source.load("x")))
    assert entry["state"] == "unchanged"
    assert (tmp_path / "out" / "x.nii.gz").read_bytes() == files.image.read_bytes()
    assert (tmp_path / "out" / "labels" / "label.nii.gz").read_bytes() == (tmp_path / "label.nii.gz").read_bytes()


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (f"{TEMPORARY_PREFIX}1-x.nii", f"labels/{TEMPORARY_PREFIX}1-y.nii", "x.nii", "labels/y.nii"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    remove_unfinished(tmp_path)
    remove_unfinished(tmp_path / "never made")
    assert everything_in(tmp_path) == ["labels", "labels/y.nii", "x.nii"]


def test_json_that_is_no_json_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"psnr": float("nan")})
    assert everything_in(tmp_path) == []


DTYPES = {".nii": ("u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"), ".png": ("u1", "u2")}
DTYPES[".nrrd"] = DTYPES[".nii.gz"] = DTYPES[".nii"]


def values_of(dtype: np.dtype) -> st.SearchStrategy[Any]:
    if dtype.kind != "f":
        return hnp.from_dtype(dtype)
    return st.one_of(st.floats(-2000, 2000, width=32), st.integers(-50, 50).map(float))


@st.composite
def stored_cases(draw: st.DrawFn) -> tuple[str, np.ndarray, np.ndarray]:
    """An ending, an image [D, H, W] with real contrast, and a label with some foreground."""
    ending = draw(st.sampled_from(sorted(DTYPES)))
    dtype = np.dtype(draw(st.sampled_from(DTYPES[ending])))
    depth = 1 if ending == ".png" else draw(st.integers(1, 4))
    shape = (depth, draw(st.integers(6, 14)), draw(st.integers(6, 14)))
    image = draw(
        hnp.arrays(dtype, shape, elements=values_of(dtype), fill=st.nothing() if draw(st.booleans()) else None)
    )
    label = np.zeros(shape, np.uint8)
    j, i = draw(st.integers(0, shape[1] - 1)), draw(st.integers(0, shape[2] - 1))
    label[:, j : j + 5, i : i + 5] = 1
    return ending, image, label


def save(path: Path, array: np.ndarray) -> None:
    if path.suffix == ".png":
        Image.fromarray(array[0]).save(path)
    elif path.suffix == ".nrrd":
        with path.open("wb") as file:
            nrrd.write(file, array[np.newaxis], Geometry(np.eye(4)), None)
    else:
        nib.save(nib.Nifti1Image(array.T, np.eye(4)), path)


@settings(deadline=None, max_examples=150)
@given(stored_cases(), st.integers(1, 40), st.sampled_from(["auto", "mr", "ct", "-100,250"]))
def test_on_disk_the_budget_holds_and_nothing_outside_the_mask_changes(
    case: tuple[str, np.ndarray, np.ndarray], epsilon: int, window: str
) -> None:
    ending, image, label = case
    folder = Path(tempfile.mkdtemp())
    try:
        save(folder / f"x{ending}", image)
        save(folder / "label.nrrd", label)
        files = CaseFiles("x", folder / f"x{ending}", folder / "label.nrrd")
        umed = method(epsilon=epsilon / 255, window=WindowSetting.parse(window))
        source = FileCases([files])
        umed.fit(source)
        try:
            protected = umed.protect(source.load("x"))
        except Refused:
            return
        OutputFolder(folder / "out").write(files, source.stored("x"), protected)

        before, after = (formats.read(at / f"x{ending}").array for at in (folder, folder / "out"))
        lo, hi = protected.record.window
        contour, interior = contour_and_interior([label], contour_radius((1, 1, 1), label.shape))
        may_change = (contour | interior)[np.newaxis] & (before >= lo) & (before <= hi)
        change = np.abs(after.astype(np.float64) - before.astype(np.float64))
        assert before.dtype == after.dtype
        assert change.max() <= epsilon / 255 * (hi - lo) * (1 + 1e-12) + 1e-6 * (image.dtype.kind != "f")
        assert after[~may_change].tobytes() == before[~may_change].tobytes()
        assert ((after >= lo) & (after <= hi))[may_change].all()
        assert change.max() == protected.record.max_change
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_nan_inf_and_negative_zero_outside_the_mask_keep_their_bits(tmp_path: Path, order: str, ending: str) -> None:
    image = np.random.default_rng(0).normal(100, 20, (4, 20, 20)).astype(order + "f4")
    strange = np.array([0x7FC0BEEF, 0xFFC00001, 0x7F800001, 0x7F800000, 0xFF800000, 0x80000000, 1], order + "u4")
    image[0, 0, : len(strange)] = strange.view(order + "f4")
    label = np.zeros(image.shape, np.uint8)
    label[1:3, 10:16, 10:16] = 1
    save(tmp_path / f"x{ending}", image)
    save(tmp_path / "label.nrrd", label)
    files = CaseFiles("x", tmp_path / f"x{ending}", tmp_path / "label.nrrd")
    source = FileCases([files])
    umed = method(window=WindowSetting.parse("50,150"))
    OutputFolder(tmp_path / "out").write(files, source.stored("x"), umed.protect(source.load("x")))
    before, after = (formats.read(at / f"x{ending}").array for at in (tmp_path, tmp_path / "out"))
    assert after[0, 0, 0].tobytes() == before[0, 0, 0].tobytes()
    assert after.tobytes() != before.tobytes()


REAL = {
    "CT": ("ct_body_3mm_hu_int16.nii.gz", "ct_body_3mm_labels.nii.gz", ("HU", 0.01)),
    "MR": ("mr_body_3mm_int16.nii.gz", None, ("", 0.01)),
    "oblique CT": ("ct_head_oblique_hu_int16.nrrd", None, ("HU", 0.01)),
    "ultrasound": ("busi_fullres_with_masks/benign_10.png", "busi_fullres_with_masks/benign_10_mask.png", ("", 0.01)),
}


@pytest.mark.parametrize(("image", "label", "expected"), REAL.values(), ids=REAL.keys())
def test_real_images_are_protected_and_read_back(
    samples: Path, tmp_path: Path, image: str, label: str | None, expected: tuple[str, float]
) -> None:
    stored = formats.read(samples / image)
    label_path = samples / label if label else tmp_path / "label.nrrd"
    if label is None:  # a threshold label: the brighter half of what is not background
        bright = stored.array[0] > np.percentile(stored.array[0], 80)
        with label_path.open("wb") as file:
            nrrd.write(file, bright[np.newaxis].astype(np.uint8), stored.geometry or Geometry(np.eye(4)), None)
    files = CaseFiles("x", samples / image, label_path)
    source = FileCases([files])
    umed = method()
    umed.fit(source)
    protected = umed.protect(source.load("x"))
    OutputFolder(tmp_path / "out").write(files, source.stored("x"), protected)
    units, least_share = expected
    assert protected.record.units == units
    assert protected.record.share_changed > least_share
    assert protected.record.psnr_db is not None
    assert protected.record.psnr_db > 40
    written = formats.read(tmp_path / "out" / files.image.name)
    np.testing.assert_array_equal(written.array, protected.image)
