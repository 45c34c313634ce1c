"""DICOM: series in and out in stored values; what is no regular lossless series is refused by name."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_helpers import OBLIQUE, errors_of, headers_of, some_volume, write_series
from hypothesis import given, settings
from hypothesis import strategies as st
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import UMed, UMedParams
from MedUnlearnableLib.engine.window_rules import WindowSetting
from MedUnlearnableLib.files import formats, nrrd
from MedUnlearnableLib.files.cases import CaseFiles, FileCases, find_cases
from MedUnlearnableLib.files.dicom import instances, pixels
from MedUnlearnableLib.files.outputs import OutputFolder, remove_unfinished
from MedUnlearnableLib.files.volume import TEMPORARY_PREFIX
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, ImplicitVRLittleEndian, JPEGLSLossless, RLELossless, generate_uid

CHANGED = {
    "ImageType",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "SeriesDescription",
    "DerivationDescription",
    "PixelData",
}
AXES = {"axial": np.eye(3)[:2], "sagittal": np.eye(3)[1:], "oblique": OBLIQUE}


def rewritten(folder: Path, out: Path, change: int = 1) -> np.ndarray:
    """Reads a series, changes every second row of voxels and writes it; returns what was to be written."""
    stored = formats.read(folder)
    image = stored.array.copy()
    image[..., ::2, :] ^= np.array(change, image.dtype)
    out.mkdir()
    stored.write_to(out, image)
    return image


@pytest.mark.parametrize("axes", AXES.values(), ids=AXES.keys())
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2"])
def test_a_series_is_read_and_written_as_simpleitk_sees_it(tmp_path: Path, dtype: str, axes: np.ndarray) -> None:
    """uint16 above 32767 included."""
    volume = some_volume(dtype)
    folder = write_series(tmp_path / "ct", volume, axes=axes)
    stored = formats.read(folder)
    np.testing.assert_array_equal(stored.array[0], volume)
    assert stored.array.dtype == np.dtype(dtype)

    image = rewritten(folder, tmp_path / "out")
    for at, expected in ((folder, volume), (tmp_path / "out", image[0])):
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(at))
        seen = sitk.ReadImage(names)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(seen), expected.astype(np.int64) - 1024)
        assert stored.geometry is not None
        corner = np.array(seen.TransformIndexToPhysicalPoint((8, 6, 4))) * [-1, -1, 1]
        np.testing.assert_allclose((stored.geometry.ijk_to_ras @ [8, 6, 4, 1])[:3], corner, atol=1e-4)


def test_color_is_kept_in_both_planar_configurations(tmp_path: Path) -> None:
    volume = some_volume("u1", (3, 5, 7, 3))

    def by_plane(_: int, header: Dataset) -> None:
        header.PlanarConfiguration = 1
        colors = np.frombuffer(header.PixelData[: 5 * 7 * 3], np.uint8).reshape(5, 7, 3)
        header.PixelData = colors.transpose(2, 0, 1).tobytes() + b"\0"

    for name, change in (("pixel", None), ("plane", by_plane)):
        folder = write_series(tmp_path / name, volume, change)
        stored = formats.read(folder)
        assert stored.modality == "picture"
        np.testing.assert_array_equal(np.moveaxis(stored.array, 0, -1), volume)
        image = rewritten(folder, tmp_path / f"{name}-out")
        np.testing.assert_array_equal(formats.read(tmp_path / f"{name}-out").array, image)
        for number, seen in enumerate(sorted(headers_of(tmp_path / f"{name}-out").values(), key=_number)):
            np.testing.assert_array_equal(seen.pixel_array, np.moveaxis(image[:, number], 0, -1))


def _number(header: Dataset) -> int:
    return int(header.InstanceNumber)


def test_a_written_series_is_a_new_derived_one_of_the_same_study(tmp_path: Path) -> None:
    def older(number: int, header: Dataset) -> None:
        header.DerivationDescription = "cropped"
        header.SmallestImagePixelValue, header.InstanceCreationDate = 0, "20200101"
        header.IconImageSequence = [Dataset()]
        header.add_new(0x00090010, "LO", "PRIVATE OWNER")
        header.add_new(0x00091001, "OB", b"\1\2\3\4")

    folder = write_series(tmp_path / "ct", some_volume("i2"), older)
    rewritten(folder, tmp_path / "out")
    sources, results = headers_of(folder), headers_of(tmp_path / "out")
    assert results.keys() == sources.keys()
    assert len({result.SeriesInstanceUID for result in results.values()}) == 1
    assert len({result.SOPInstanceUID for result in results.values()}) == len(results)
    for name, result in results.items():
        source = sources[name]
        assert result.SeriesInstanceUID != source.SeriesInstanceUID
        assert result.SOPInstanceUID == result.file_meta.MediaStorageSOPInstanceUID != source.SOPInstanceUID
        assert list(result.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
        assert re.match("cropped; protected by MedUnlearnable .* not for diagnosis", result.DerivationDescription)
        assert result.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert "not for diagnosis" in result.SeriesDescription
        for gone in ("SmallestImagePixelValue", "InstanceCreationDate", "IconImageSequence"):
            assert gone not in result
        same = set(source.keys()) & set(result.keys())
        assert 0x00091001 in same
        changed = {element.keyword for element in source if element.tag in same and result[element.tag] != element}
        assert changed == CHANGED


def test_the_same_voxels_get_the_same_bytes_and_others_get_other_identifiers(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "ct", some_volume("i2"))
    for name, change in (("a", 1), ("again", 1), ("b", 2)):
        rewritten(folder, tmp_path / name, change)
    a, again, b = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("a", "again", "b")
    )
    assert a == again
    uids = [{header.SOPInstanceUID for header in headers_of(tmp_path / name).values()} for name in ("a", "b")]
    assert not uids[0] & uids[1]
    assert b.keys() == a.keys()


def signed_12_bits(_: int, header: Dataset) -> None:
    header.BitsStored, header.HighBit = 12, 11


@pytest.mark.parametrize("dtype", ["u2", "i2"])
def test_12_bits_in_16_are_kept_and_never_overrun(tmp_path: Path, dtype: str) -> None:
    lo, hi = (-2048, 2047) if dtype == "i2" else (0, 4095)
    volume = np.random.default_rng(0).choice(np.array([lo, lo + 1, hi - 1, hi], dtype), (5, 12, 12))
    folder = write_series(tmp_path / "ct", volume, signed_12_bits)
    stored = formats.read(folder)
    assert stored.limits == (lo, hi)
    np.testing.assert_array_equal(stored.array[0], volume)
    image = protect(folder, tmp_path, window="-9999,9999")
    assert image.min() == lo
    assert image.max() == hi
    header = next(iter(headers_of(tmp_path / "out" / "ct").values()))
    assert (header.BitsStored, header.HighBit) == (12, 11)


def protect(folder: Path, tmp_path: Path, epsilon: float = 8, window: str = "auto") -> np.ndarray:
    """The series through the whole path, with a box as its label; what was written, read back."""
    stored = formats.read(folder)
    layer = np.zeros(stored.array.shape[1:], np.uint8)
    layer[1:-1, 2:-2, 2:-2] = 1
    with (tmp_path / "label.nrrd").open("wb") as file:
        nrrd.write(file, layer[np.newaxis], stored.geometry, None)
    files = CaseFiles(folder.name, folder, tmp_path / "label.nrrd")
    source = FileCases([files])
    method = UMed(UMedParams(epsilon=epsilon / 255, window=WindowSetting.parse(window)), RandomStreams.from_number(1))
    method.fit(source)
    entry = OutputFolder(tmp_path / "out").write(files, source.stored(files.id), method.protect(source.load(files.id)))
    assert entry["images"] == [folder.name]
    return formats.read(tmp_path / "out" / folder.name).array


def test_padding_is_neither_lost_nor_made(tmp_path: Path) -> None:
    """A neighbor of the padding value must not become "no data"; 63536 filed as unsigned means -2000."""
    volume = np.random.default_rng(0).choice(np.array([-2000, -1999, -1998, 100], np.int16), (5, 12, 12))

    def padded(number: int, header: Dataset) -> None:
        header.add_new("PixelPaddingValue", "US", 63536)

    image = protect(write_series(tmp_path / "ct", volume, padded), tmp_path, window="-3100,2000")
    np.testing.assert_array_equal(image[0] == -2000, volume == -2000)
    assert (image[0] != volume).any()


@settings(max_examples=20, deadline=None)
@given(
    dtype=st.sampled_from(["u1", "i2", "u2"]),
    slope=st.sampled_from([1.0, 0.5, 2.0, -1.0]),
    intercept=st.sampled_from([0.0, -1024.0, 7.5]),
    epsilon=st.integers(4, 40),
    seed=st.integers(0, 99),
)
def test_on_disk_no_voxel_leaves_the_budget_or_its_window(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, slope: float, intercept: float, epsilon: int, seed: int
) -> None:
    at = tmp_path_factory.mktemp("budget")
    limits = np.iinfo(dtype)
    volume = np.random.default_rng(seed).integers(limits.min, limits.max, (4, 10, 10), dtype=dtype, endpoint=True)

    def scaled(_: int, header: Dataset) -> None:
        header.RescaleSlope, header.RescaleIntercept = slope, intercept

    image = protect(write_series(at / "ct", volume, scaled), at, epsilon, "-500,500")
    lo, hi = sorted((x - intercept) / slope for x in (-500, 500))
    change = np.abs(image[0].astype(np.int64) - volume)
    assert change.max() <= epsilon / 255 * (hi - lo)
    inside = (volume >= lo) & (volume <= hi)
    assert not change[~inside].any()
    assert ((image[0] >= lo) & (image[0] <= hi))[inside].all()


def set_tag(numbers: tuple[int, ...], keyword: str, value: Any) -> Any:
    def change(number: int, header: Dataset) -> None:
        if number in numbers:
            setattr(header, keyword, value)

    return change


def shifted(number: int, header: Dataset) -> None:
    if number == 3:
        header.ImagePositionPatient = list(np.array(header.ImagePositionPatient) + 0.3 * np.cross(*OBLIQUE))


def tilted(number: int, header: Dataset) -> None:
    header.ImagePositionPatient = list(np.array(header.ImagePositionPatient) + number * 0.5 * OBLIQUE[1])


def double(number: int, header: Dataset) -> None:
    if number == 4:
        header.ImagePositionPatient = [-30, 12, 7]


def range_of_padding(number: int, header: Dataset) -> None:
    header.add_new("PixelPaddingValue", "SS", -2000)
    header.add_new("PixelPaddingRangeLimit", "SS", -1500)


def without(keyword: str) -> Any:
    def change(number: int, header: Dataset) -> None:
        if keyword in header:
            delattr(header, keyword)

    return change


def syntax(uid: str) -> Any:
    def change(number: int, header: Dataset) -> None:
        header.file_meta.TransferSyntaxUID = uid
        header.PixelData = encapsulate([b"\1\2"])
        header["PixelData"].is_undefined_length = True

    return change


REFUSED = {
    "two series": (set_tag((2,), "SeriesInstanceUID", generate_uid()), r"03\.dcm: belongs to another series than"),
    "a missing slice": (shifted, r"slices are missing or irregular: .* and .* are 2\.\d mm apart, most are 2\.5 mm"),
    "gantry tilt": (tilted, r"shifted against each other by up to 2 mm \(gantry tilt\)"),
    "two phases": (double, r"lies at the same place as"),
    "a localizer": (
        set_tag((1,), "ImageOrientationPatient", [1, 0, 0, 0, 0, -1]),
        r"\(0020,0037\) Image Orientation \(Patient\) differs",
    ),
    "slopes that differ": (set_tag((4,), "RescaleSlope", 2), r"06\.dcm: \(0028,1053\) Rescale Slope is 2.0, but 1"),
    "slope 0": (set_tag(tuple(range(5)), "RescaleSlope", 0), r"\(0028,1053\) Rescale Slope is 0"),
    "sizes that differ": (set_tag((4,), "Rows", 9), r"\(0028,0010\) Rows is 9, but 7"),
    "multi-frame": (set_tag((0, 1, 2, 3, 4), "NumberOfFrames", 2), r"\(0028,0008\) Number of Frames is 2: multi-frame"),
    "lossy JPEG 2000": (syntax(JPEG2000), r"the Transfer Syntax is JPEG 2000 .* lossy"),
    "lossy JPEG": (syntax("1.2.840.10008.1.2.4.50"), r"Transfer Syntax is JPEG Baseline"),
    "luma and chroma": (
        set_tag((0, 1, 2, 3, 4), "PhotometricInterpretation", "YBR_FULL"),
        r"\(0028,0004\) Photometric Interpretation YBR_FULL",
    ),
    "a palette": (set_tag((0, 1, 2, 3, 4), "PhotometricInterpretation", "PALETTE COLOR"), r"PALETTE COLOR"),
    "no sign": (without("PixelRepresentation"), r"\(0028,0103\) Pixel Representation is missing; repair the file"),
    "no place": (without("ImagePositionPatient"), r"\(0020,0032\) Image Position \(Patient\) is missing"),
    "no pixels": (without("PixelData"), r"\(7FE0,0010\) Pixel Data is missing"),
    "12 bits high": (set_tag(tuple(range(5)), "BitsStored", 12), r"Bits Stored 12 and High Bit 15"),
    "padding range": (range_of_padding, r"\(0028,0121\) Pixel Padding Range Limit"),
    "half of the pixels": (set_tag(tuple(range(5)), "PixelData", b"\0" * 30), r"the DICOM file is damaged"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_regular_lossless_series_is_refused_by_name(tmp_path: Path, change: Any, message: str) -> None:
    folder = write_series(tmp_path / "ct", some_volume("i2"), change)
    with pytest.raises(Refused, match=message) as refused:
        formats.read(folder)
    assert "\n" not in str(refused.value)
    assert str(folder) in str(refused.value)


def test_a_slice_taken_out_is_missed(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "ct", some_volume("i2"))
    (folder / "03.dcm").unlink()
    with pytest.raises(Refused, match=r"07\.dcm and 10\.dcm are 5 mm apart, most are 2\.5 mm; add the missing"):
        formats.read(folder)


@pytest.mark.parametrize("damage", [b"", b"no DICOM at all", "cut"])
def test_a_file_that_is_no_whole_dicom_file_is_refused_by_name(tmp_path: Path, damage: Any) -> None:
    folder = write_series(tmp_path / "ct", some_volume("i2"))
    content = (folder / "03.dcm").read_bytes()
    (folder / "03.dcm").write_bytes(content[: len(content) - 60] if damage == "cut" else damage)
    with pytest.raises(Refused, match=r"03\.dcm: .*(damaged|not a DICOM file)") as refused:
        formats.read(folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("uid", [None, RLELossless])
def test_flipped_bytes_are_read_or_refused_by_name(tmp_path: Path, uid: str | None) -> None:
    def packed(number: int, header: Dataset) -> None:
        if uid is not None:
            header.compress(uid)

    folder = write_series(tmp_path / "ct", some_volume("u2", (3, 6, 6)), packed)
    content = (folder / "07.dcm").read_bytes()
    chance = random.Random(1)
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 4, 20))):
            damaged[chance.randrange(132, len(damaged))] = chance.randrange(256)
        (folder / "07.dcm").write_bytes(damaged)
        try:
            formats.read(folder)
        except Refused as refused:
            assert str(folder) in str(refused)
            assert "\n" not in str(refused)


def test_positions_rounded_to_a_tenth_are_regular(tmp_path: Path) -> None:
    def rounded(number: int, header: Dataset) -> None:
        header.ImagePositionPatient = [0, 0, round(number * 1.25, 1)]

    folder = write_series(tmp_path / "ct", some_volume("i2"), rounded, axes=np.eye(3)[:2])
    assert formats.read(folder).geometry.spacing_kji[0] == pytest.approx(1.25)  # type: ignore[union-attr]


@pytest.mark.parametrize("uid", [RLELossless, JPEGLSLossless, ImplicitVRLittleEndian])
def test_lossless_input_is_read_and_written_native(tmp_path: Path, uid: str) -> None:
    volume = some_volume("u2")

    def encoded(number: int, header: Dataset) -> None:
        if uid == ImplicitVRLittleEndian:
            header.file_meta.TransferSyntaxUID = uid
        else:
            header.compress(uid, encoding_plugin="" if uid == RLELossless else "pyjpegls")

    if uid == JPEGLSLossless:
        pytest.importorskip("jpeg_ls", reason="no encoder for JPEG-LS is installed")
    folder = write_series(tmp_path / "ct", volume, encoded)
    image = rewritten(folder, tmp_path / "out")
    np.testing.assert_array_equal(formats.read(tmp_path / "out").array, image)
    np.testing.assert_array_equal(formats.read(folder).array[0], volume)
    assert {h.file_meta.TransferSyntaxUID.name for h in headers_of(tmp_path / "out").values()} == {
        "Explicit VR Little Endian"
    }


def test_overlays_in_unused_bits_are_no_part_of_the_value(tmp_path: Path) -> None:
    """As in files of old scanners, which draw into the bits above Bits Stored."""
    for dtype, low, high in (("u2", 0, 4095), ("i2", -2048, 2047)):
        values = np.random.default_rng(0).integers(low, high, (5, 12, 12), endpoint=True).astype(dtype)
        drawn = (values & 0x0FFF | 0x3000).astype(dtype)
        folder = write_series(tmp_path / dtype, drawn, signed_12_bits)
        np.testing.assert_array_equal(formats.read(folder).array[0], values)


def test_a_missing_decoder_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_series(tmp_path / "ct", some_volume("i2"), syntax(JPEGLSLossless))
    monkeypatch.setattr(pixels, "_has_decoder", lambda uid: False)
    with pytest.raises(Refused, match=r"\(JPEG-LS Lossless.*no decoder is installed; .*'medunlearnable\[dicom\]'"):
        formats.read(folder)


@pytest.mark.parametrize(
    ("name", "warned"), [("REMOVED", False), ("", False), ("Albus^Dumbledore", True), ("anonymous", False)]
)
def test_a_patient_name_is_warned_of_and_not_repeated(tmp_path: Path, name: str, warned: bool) -> None:
    folder = write_series(
        tmp_path / "ct", some_volume("i2", (5, 12, 12)), set_tag((0, 1, 2, 3, 4), "PatientName", name)
    )
    protect(folder, tmp_path)
    record = (tmp_path / "out" / "ct.medunlearnable.json").read_text()
    assert ("(0010,0010) Patient's Name is filled in" in record) == warned
    assert "dumbledore" not in record.lower()


def test_a_series_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_series(tmp_path / "ct", some_volume("i2", (5, 12, 12)))
    encode, calls = pixels.encode, []

    def faulty(plane: np.ndarray, dtype: np.dtype) -> bytes:
        calls.append(1)
        return encode(plane, dtype) if len(calls) != 3 else encode(plane ^ 1, dtype)

    def full(plane: np.ndarray, dtype: np.dtype) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("MedUnlearnableLib.files.dicom.derived.encode", faulty)
    with pytest.raises(Refused, match="what was read back differs"):
        protect(folder, tmp_path)
    assert list((tmp_path / "out").iterdir()) == []
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(Refused, match=r"out/ct: cannot be written \(No space left on device\)"):
        protect(folder, tmp_path)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_half_written_series_of_a_killed_run_is_removed(tmp_path: Path) -> None:
    write_series(tmp_path / f"{TEMPORARY_PREFIX}1-ct", some_volume("i2"))
    remove_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unchanged_series_is_copied_byte_for_byte(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "ct", some_volume("i2"))
    (folder / "notes.txt").write_text("not part of the series")
    with (tmp_path / "label.nrrd").open("wb") as file:
        nrrd.write(file, np.zeros((1, 5, 7, 9), np.uint8), formats.read(folder).geometry, None)
    files = CaseFiles("ct", folder, tmp_path / "label.nrrd")
    source = FileCases([files])
    protected = UMed(UMedParams(), RandomStreams.from_number(1)).protect(source.load("ct"))
    entry = OutputFolder(tmp_path / "out").write(files, source.stored("ct"), protected)
    assert entry["state"] == "unchanged"
    copied = {path.name: path.read_bytes() for path in (tmp_path / "out" / "ct").iterdir()}
    assert copied == {path.name: path.read_bytes() for path in folder.glob("*.dcm")}


def test_a_single_file_is_an_image_of_its_own(tmp_path: Path) -> None:
    """A radiograph: no place in the patient."""

    def radiograph(_: int, header: Dataset) -> None:
        header.Modality = "CR"
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"):
            delattr(header, keyword)

    volume = some_volume("u2", (1, 20, 30))
    path = write_series(tmp_path / "x", volume, radiograph) / "00.dcm"
    stored = formats.read(path)
    assert stored.geometry is None
    assert stored.modality == "CR"
    with (tmp_path / "out.dcm").open("wb") as file:
        stored.write_to(file, stored.array ^ 1)
    np.testing.assert_array_equal(pydicom.dcmread(tmp_path / "out.dcm").pixel_array, volume[0] ^ 1)


def test_a_folder_of_series_is_a_case_for_each(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_series(tmp_path / "images" / name, some_volume("i2"))
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / "labels" / f"{name}.nrrd").touch()
    (tmp_path / "images" / "no DICOM here").mkdir()
    cases = find_cases(tmp_path / "images", tmp_path / "labels")
    assert [(case.id, case.image.name) for case in cases] == [("a", "a"), ("b", "b")]
    (one,) = find_cases(tmp_path / "images" / "a", tmp_path / "labels")
    assert (one.id, one.label) == ("a", tmp_path / "labels" / "a.nrrd")


def test_names_without_an_ending_and_other_files_are_no_obstacle(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "ct", some_volume("i2"))
    for path in list(folder.iterdir()):
        path.rename(path.with_suffix(""))
    (folder / "readme.txt").write_text("text")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "deeper").mkdir()
    assert instances.is_series_folder(folder)
    assert len(formats.read(folder).parts) == 5


REAL = {"dicom_ct_3slice_with_seg": ("CT", "HU", -2000.0), "dicom_mr_t1post_oblique": ("MR", "", None)}


@pytest.mark.parametrize("name", REAL)
def test_real_series_pass_the_checker_as_well_as_their_sources(samples: Path, tmp_path: Path, name: str) -> None:
    modality, units, padding = REAL[name]
    shutil.copytree(samples / name, tmp_path / name)
    stored = formats.read(tmp_path / name)
    assert (stored.modality, stored.units.name, stored.padding) == (modality, units, padding)
    image = protect(tmp_path / name, tmp_path)
    assert (image != stored.array).mean() > 0.1
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path / "out" / name))
    values = sitk.GetArrayFromImage(sitk.ReadImage(names))
    np.testing.assert_array_equal(values, image[0].astype(np.int64) + int(stored.units.intercept))
    for part in (tmp_path / "out" / name).iterdir():
        assert errors_of(part) <= errors_of(samples / name / part.name)


def test_a_real_tilted_series_is_refused(samples: Path) -> None:
    with pytest.raises(Refused, match=r"dicom_ct_gantry_tilt: the slices are shifted .* \(gantry tilt\)"):
        formats.read(samples / "dicom_ct_gantry_tilt")
