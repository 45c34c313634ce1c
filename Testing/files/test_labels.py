"""Labels: whole numbers, placed where they belong or refused."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import nrrd as pynrrd
import numpy as np
import pytest
import SimpleITK as sitk
from MedUnlearnableLib.engine.case import Geometry
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.files import formats, labels, nrrd
from MedUnlearnableLib.files.volume import StoredImage
from PIL import Image

SHAPE = (4, 6, 5)  # k, j, i
AFFINE = np.array([[0.8, -0.45, 0.2, -30], [0.6, 0.6, 0, 12], [0, 0.1, -3, 7], [0, 0, 0, 1]])  # sheared, left-handed
MASK = np.zeros(SHAPE, np.int16)
MASK[1:3, 2:5, 1:4] = 2
MASK[2, 3, 2] = 7


def image_at(path: Path, affine: np.ndarray = AFFINE) -> StoredImage:
    nib.save(nib.Nifti1Image(np.ones(SHAPE[::-1], np.int16), affine), path)
    return formats.read(path)


@pytest.fixture
def image(tmp_path: Path) -> StoredImage:
    return image_at(tmp_path / "image.nii.gz")


def save_nifti(path: Path, mask: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(mask.T, affine), path)
    return path


def save_nrrd(path: Path, layers: np.ndarray, affine: np.ndarray = AFFINE, kind: str | None = "list") -> Path:
    with path.open("wb") as file:
        nrrd.write(file, layers, Geometry(affine), kind)
    return path


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
def test_labels_of_any_dtype_keep_their_values(tmp_path: Path, image: StoredImage, dtype: str) -> None:
    (layer,) = labels.read(save_nifti(tmp_path / "label.nii", MASK.astype(dtype)), image)
    np.testing.assert_array_equal(layer, MASK)
    assert np.issubdtype(layer.dtype, np.integer)


@pytest.mark.parametrize(("slope", "fits"), [(2.0, True), (-1.0, True), (0.5, False)])
def test_scaled_labels_count_as_what_they_mean(tmp_path: Path, image: StoredImage, slope: float, fits: bool) -> None:
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(SHAPE[::-1])
    header.set_sform(AFFINE, 1)
    header["vox_offset"], header["magic"], header["scl_slope"] = 352, b"n+1", slope
    (tmp_path / "label.nii").write_bytes(header.binaryblock + b"\0" * 4 + MASK.tobytes())
    if fits:
        np.testing.assert_array_equal(labels.read(tmp_path / "label.nii", image)[0], MASK * slope)
    else:  # 7 * 0.5
        with pytest.raises(Refused, match=r"label\.nii: label values must be whole numbers"):
            labels.read(tmp_path / "label.nii", image)


def test_pictures_of_masks_are_one_label(tmp_path: Path) -> None:
    Image.fromarray(np.full((9, 8), 90, np.uint8)).save(tmp_path / "x.png")
    picture = formats.read(tmp_path / "x.png")
    mask = np.zeros((9, 8), np.uint8)
    mask[2:5, 3:6] = 255
    for number, stored in enumerate((mask, np.stack([mask] * 3, axis=-1))):
        Image.fromarray(stored).save(tmp_path / f"mask{number}.png")
        (layer,) = labels.read(tmp_path / f"mask{number}.png", picture)
        np.testing.assert_array_equal(layer[0] != 0, mask != 0)
        assert set(np.unique(layer)) == {0, 255}


def test_a_colored_picture_is_no_label(tmp_path: Path) -> None:
    Image.fromarray(np.full((9, 8), 90, np.uint8)).save(tmp_path / "x.png")
    Image.fromarray(np.full((9, 8, 3), (9, 9, 8), np.uint8)).save(tmp_path / "colors.png")
    with pytest.raises(Refused, match=r"colors\.png: a colored picture"):
        labels.read(tmp_path / "colors.png", formats.read(tmp_path / "x.png"))


@pytest.mark.parametrize("start", [(0, 0, 0), (1, 2, 1), (2, 3, 2)])
def test_a_cropped_segmentation_lies_where_it_belongs(
    tmp_path: Path, image: StoredImage, start: tuple[int, int, int]
) -> None:
    k, j, i = start
    cropped = MASK[k:, j:, i:].astype(np.uint8)
    moved = AFFINE.copy()
    moved[:, 3] = AFFINE @ [i, j, k, 1]
    (layer,) = labels.read(save_nrrd(tmp_path / "x.seg.nrrd", cropped[np.newaxis], moved), image)
    expected = np.zeros(SHAPE, np.uint8)
    expected[k:, j:, i:] = cropped
    np.testing.assert_array_equal(layer, expected)


def test_overlapping_segments_stay_in_their_layers(tmp_path: Path, image: StoredImage) -> None:
    layers = np.zeros((3, *SHAPE), np.uint8)
    layers[0, 1:3], layers[1, 2:4], layers[2, :, 2] = 1, 1, 2
    found = labels.read(save_nrrd(tmp_path / "x.seg.nrrd", layers), image)
    np.testing.assert_array_equal(np.stack(found), layers)
    seen, _ = pynrrd.read(str(tmp_path / "x.seg.nrrd"), index_order="C")
    np.testing.assert_array_equal(np.moveaxis(seen, -1, 0), layers)


def test_a_real_segmentation_of_slicer_fits_its_series(samples: Path, tmp_path: Path) -> None:
    folder = samples / "dicom_ct_3slice_with_seg"
    series = sitk.ReadImage([str(folder / f"0{n}.dcm") for n in (3, 2, 1)])
    sitk.WriteImage(series, str(tmp_path / "ct.nii.gz"))
    layers = labels.read(folder / "liver_seg.nrrd", formats.read(tmp_path / "ct.nii.gz"))
    liver = sitk.ReadImage(str(folder / "liver_seg.nrrd"))
    expected = sitk.GetArrayFromImage(sitk.Resample(liver, series, sitk.Transform(), sitk.sitkNearestNeighbor))
    np.testing.assert_array_equal(layers[0] != 0, expected != 0)
    assert layers[0].any()


DISAGREEMENTS = {
    "shifted by half a voxel": lambda affine: affine + np.array([[0] * 3 + [0.4], [0] * 4, [0] * 4, [0] * 4]),
    "other spacing": lambda affine: affine @ np.diag([1.05, 1, 1, 1]),
    "mirrored": lambda affine: affine @ np.diag([-1.0, 1, 1, 1]),
    "far away": lambda affine: affine + np.array([[0] * 3 + [1e6], [0] * 4, [0] * 4, [0] * 4]),
}


@pytest.mark.parametrize("move", DISAGREEMENTS.values(), ids=DISAGREEMENTS.keys())
def test_labels_that_lie_elsewhere_are_refused(tmp_path: Path, image: StoredImage, move) -> None:  # type: ignore[no-untyped-def]
    for path in (
        save_nifti(tmp_path / "label.nii.gz", MASK, move(AFFINE)),
        save_nrrd(tmp_path / "label.seg.nrrd", MASK[np.newaxis], move(AFFINE)),
    ):
        with pytest.raises(Refused, match=rf"{path.name}: the label lies up to .* voxels away from its image image"):
            labels.read(path, image)


def test_labels_of_another_shape_are_refused_with_both_sizes(tmp_path: Path, image: StoredImage) -> None:
    with pytest.raises(
        Refused, match=r"small\.nii: the label has 5 x 6 x 3 voxels, its image image\.nii\.gz 5 x 6 x 4"
    ):
        labels.read(save_nifti(tmp_path / "small.nii", MASK[:3]), image)
    larger = np.ones((1, 5, 6, 5), np.uint8)
    with pytest.raises(Refused, match=r"large\.seg\.nrrd: the label has 5 x 6 x 5 voxels"):
        labels.read(save_nrrd(tmp_path / "large.seg.nrrd", larger), image)


@pytest.mark.parametrize("size", [(5, 4), (20, 20)])
def test_labels_of_another_shape_are_refused_where_no_geometry_tells_their_place(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    """A picture has no place in the patient, so nobody can say where a smaller label belongs."""
    Image.fromarray(np.full((9, 8), 90, np.uint8)).save(tmp_path / "x.png")
    save_nrrd(tmp_path / "x.seg.nrrd", np.ones((1, 1, *size), np.uint8), np.eye(4))
    with pytest.raises(Refused, match=r"x\.seg\.nrrd: the label has"):
        labels.read(tmp_path / "x.seg.nrrd", formats.read(tmp_path / "x.png"))


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf])
def test_fractions_are_no_labels(tmp_path: Path, image: StoredImage, value: float) -> None:
    mask = MASK.astype(np.float32)
    mask[0, 0, 0] = value
    with pytest.raises(Refused, match=r"label\.nii: label values must be whole numbers"):
        labels.read(save_nifti(tmp_path / "label.nii", mask), image)


def test_rounding_of_another_program_is_not_a_disagreement(tmp_path: Path) -> None:
    """float32 quaternions move the far corner by micrometers."""
    turned = np.eye(4)
    rotation = sitk.VersorTransform((0.3, -0.2, 0.5), 0.77).GetMatrix()
    turned[:3, :3] = np.reshape(rotation, (3, 3)) * [0.7, 0.7, 2.5]
    image = image_at(tmp_path / "image.nii", turned)
    label = nib.Nifti1Image(MASK.T, None)
    label.set_qform(turned, code=1)
    nib.save(label, tmp_path / "label.nii")
    np.testing.assert_array_equal(labels.read(tmp_path / "label.nii", image)[0], MASK)
