"""Labels from DICOM: segmentations and contours lie where they belong on the image, or are refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_helpers import headers_of, some_volume, write_series
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import UMed, UMedParams
from MedUnlearnableLib.files import formats, labels
from MedUnlearnableLib.files.cases import FileCases, find_cases
from MedUnlearnableLib.files.dicom import contours
from MedUnlearnableLib.files.outputs import OutputFolder
from MedUnlearnableLib.files.volume import StoredImage
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid
from skimage.draw import polygon2mask

SHAPE = (5, 17, 19)


@pytest.fixture
def series(tmp_path: Path) -> Path:
    return write_series(tmp_path / "ct", some_volume("i2", SHAPE))


def overlapping() -> np.ndarray:
    """Two segments [D, H, W, 2] that share voxels."""
    masks = np.zeros((*SHAPE, 2), np.uint8)
    masks[1:4, 3:9, 4:12, 0] = 1
    masks[2:5, 6:14, 8:16, 1] = 1
    return masks


def save_seg(series: Path, masks: np.ndarray, kind: str = "BINARY") -> Path:
    """Written by highdicom, in the order of file names."""
    import highdicom as hd
    from pydicom.sr.codedict import codes

    sources = sorted(headers_of(series).values(), key=lambda header: -int(header.InstanceNumber))
    for source in sources:
        source.StudyDate = source.StudyTime = source.PatientBirthDate = source.PatientSex = source.AccessionNumber = ""
        source.StudyID = source.ReferringPhysicianName = ""
    descriptions = [
        hd.seg.SegmentDescription(
            n, f"s{n}", codes.SCT.Tissue, codes.SCT.Liver, hd.seg.SegmentAlgorithmTypeValues.MANUAL
        )
        for n in (1, 2)
    ]
    segmentation = hd.seg.Segmentation(
        sources, masks[::-1], kind, descriptions, generate_uid(), 2, generate_uid(), 1, "maker", "model", "1", "0",
        omit_empty_frames=True,
    )  # fmt: skip
    segmentation.save_as(series / "seg.dcm")
    return series / "seg.dcm"


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_a_segmentation_of_highdicom_lies_on_its_oblique_image(series: Path, kind: str) -> None:
    """Frames in reverse order, empty ones left out; overlaps stay in layers where the kind allows them."""
    masks = overlapping()
    if kind == "LABELMAP":
        masks[..., 1] &= 1 - masks[..., 0]
    path = save_seg(series, masks.astype(np.float32) if kind == "FRACTIONAL" else masks, kind)
    layers = labels.read(path, formats.read(series))
    assert len(layers) == (1 if kind == "LABELMAP" else 2)
    for number in (1, 2):
        found = np.any([layer == number for layer in layers], axis=0)
        np.testing.assert_array_equal(found, masks[..., number - 1] != 0)


def test_the_real_segmentation_equals_its_export(samples: Path) -> None:
    folder = samples / "dicom_ct_3slice_with_seg"
    (layer,) = labels.read(folder / "liver.dcm", formats.read(folder))
    series = sitk.ReadImage([str(folder / f"0{n}.dcm") for n in (3, 2, 1)])
    liver = sitk.ReadImage(str(folder / "liver_seg.nrrd"))
    expected = sitk.GetArrayFromImage(sitk.Resample(liver, series, sitk.Transform(), sitk.sitkNearestNeighbor))
    np.testing.assert_array_equal(layer != 0, expected != 0)
    assert layer.any()


def test_a_segmentation_within_the_series_folder_is_its_label(samples: Path, tmp_path: Path) -> None:
    shutil.copytree(samples / "dicom_ct_3slice_with_seg", tmp_path / "images" / "ct")
    (one,) = find_cases(tmp_path / "images" / "ct", None)
    (many,) = find_cases(tmp_path / "images", None)
    assert one == many
    assert (one.id, one.label) == ("ct", tmp_path / "images" / "ct" / "liver.dcm")


def test_labels_within_their_series_do_not_overwrite_each_other(samples: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(samples / "dicom_ct_3slice_with_seg", tmp_path / "images" / name)
    cases = find_cases(tmp_path / "images", None)
    source = FileCases(cases)
    method = UMed(UMedParams(), RandomStreams.from_number(1))
    method.fit(source)
    entries = [
        OutputFolder(tmp_path / "out").write(c, source.stored(c.id), method.protect(source.load(c.id))) for c in cases
    ]
    assert [entry["label"] for entry in entries] == ["labels/a.dcm", "labels/b.dcm"]
    again = find_cases(tmp_path / "out", tmp_path / "out" / "labels")
    assert [(case.id, case.label) for case in again] == [
        (name, tmp_path / "out" / "labels" / f"{name}.dcm") for name in ("a", "b")
    ]
    assert FileCases(again).load("b").has_foreground


def test_two_label_objects_in_a_series_are_a_choice_for_the_user(series: Path) -> None:
    structure_set(series / "a.dcm", formats.read(series), [])
    structure_set(series / "b.dcm", formats.read(series), [])
    with pytest.raises(Refused, match=r"a\.dcm and .*b\.dcm are both labels of this series; name one with --labels"):
        find_cases(series, None)


def structure_set(path: Path, image: StoredImage, rois: list[list[tuple[str, int, np.ndarray]]]) -> Path:
    """`rois`: for each its contours as (type, slice, points [N, 2] (i, j))."""
    assert image.geometry is not None
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = RTStructureSetStorage, generate_uid(), "RTSTRUCT"
    data.ROIContourSequence = []
    for number, drawn in enumerate(rois, start=1):
        roi = Dataset()
        roi.ReferencedROINumber, roi.ContourSequence = number, []
        for kind, k, points in drawn:
            item = Dataset()
            ijk = np.column_stack([points, np.full(len(points), k), np.ones(len(points))])
            lps = (ijk @ image.geometry.ijk_to_ras.T)[:, :3] * [-1, -1, 1]
            item.ContourGeometricType, item.NumberOfContourPoints = kind, len(points)
            item.ContourData = [f"{x:.3f}" for x in lps.ravel()]
            roi.ContourSequence.append(item)
        data.ROIContourSequence.append(roi)
    data.save_as(path, enforce_file_format=True)
    return path


def star(center: tuple[float, float], radius: float, corners: int = 10) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + 0.1
    lengths = radius * np.where(np.arange(corners) % 2, 1.0, 0.55)
    return np.array(center) + np.column_stack([np.cos(angles), np.sin(angles)]) * lengths[:, np.newaxis]


@pytest.mark.parametrize("seed", range(20))
def test_the_inside_of_a_polygon_is_what_scikit_image_fills(seed: int) -> None:
    random = np.random.default_rng(seed)
    points = star((9.3 + random.normal(), 8.1 + random.normal()), random.uniform(2, 14), 2 * random.integers(2, 9))
    expected = polygon2mask(SHAPE[1:], points[:, ::-1])
    np.testing.assert_array_equal(contours.inside(points, SHAPE[1:]), expected)


def test_contours_are_filled_where_they_lie_with_their_holes(series: Path) -> None:
    image = formats.read(series)
    outer, hole, other = star((9.2, 8.1), 7), star((9.2, 8.1), 2), star((11.7, 9.1), 5)
    path = structure_set(
        series / "rt.dcm",
        image,
        [
            [("CLOSED_PLANAR", k, points) for k in (1, 2) for points in (outer, hole)],
            [("POINT", 0, outer[:1])],
            [("CLOSED_PLANAR", 2, other)],
        ],
    )
    layers = labels.read(path, image)
    ring = polygon2mask(SHAPE[1:], outer[:, ::-1]) & ~polygon2mask(SHAPE[1:], hole[:, ::-1])
    assert len(layers) == 2
    for k in range(5):
        np.testing.assert_array_equal(layers[0][k] == 1, ring if k in (1, 2) else np.zeros_like(ring))
    np.testing.assert_array_equal(layers[1][2] == 3, polygon2mask(SHAPE[1:], other[:, ::-1]))


REFUSED = {
    "between slices": (
        [[("CLOSED_PLANAR", 1.4, star((9, 8), 4))]],
        "a contour does not lie on a slice of its image ct",
    ),
    "beyond the last slice": ([[("CLOSED_PLANAR", 5, star((9, 8), 4))]], "a contour does not lie on a slice"),
    "only points": ([[("POINT", 1, star((9, 8), 4)[:1])]], "holds no closed contour"),
    "nothing": ([], "holds no closed contour"),
}


@pytest.mark.parametrize(("rois", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_contours_that_are_no_label_of_this_image_are_refused(series: Path, rois: Any, message: str) -> None:
    image = formats.read(series)
    path = structure_set(series / "rt.dcm", image, rois)
    with pytest.raises(Refused, match=rf"rt\.dcm: .*{message}"):
        labels.read(path, image)


def test_a_segmentation_of_another_series_is_refused(series: Path, tmp_path: Path) -> None:
    path = save_seg(series, overlapping())

    def moved(_: int, header: Dataset) -> None:
        header.ImagePositionPatient = list(np.add(header.ImagePositionPatient, [0.5, 0, 0]))

    other = write_series(tmp_path / "other", some_volume("i2", SHAPE), moved)
    with pytest.raises(Refused, match=r"seg\.dcm: a frame .* does not lie on a slice of its image other"):
        labels.read(path, formats.read(other))


def test_a_damaged_segmentation_is_refused_by_name(series: Path) -> None:
    path = save_seg(series, overlapping())
    data = pydicom.dcmread(path)
    del data.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence
    data.save_as(path)
    with pytest.raises(Refused, match=r"seg\.dcm: the DICOM file is damaged"):
        labels.read(path, formats.read(series))
