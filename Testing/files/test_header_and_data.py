"""MetaImage and detached NRRD: header lines stay, voxels change, whether they lie in one file or in two."""

from __future__ import annotations

import gzip
from pathlib import Path

import nrrd as pynrrd
import numpy as np
import pytest
import SimpleITK as sitk
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import UMed, UMedParams
from MedUnlearnableLib.files import formats, labels
from MedUnlearnableLib.files.cases import FileCases, find_cases
from MedUnlearnableLib.files.outputs import OutputFolder

SHAPE = (4, 6, 5)
DTYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8")
TURNED = np.reshape(sitk.VersorTransform((0.3, -0.2, 0.5), 0.77).GetMatrix(), (3, 3))
GEOMETRIES = {"axial": np.eye(3), "oblique": TURNED, "left-handed": TURNED @ np.diag([1.0, 1, -1])}


def some_image(
    dtype: str, direction: np.ndarray = TURNED, channels: int = 1, shape: tuple[int, ...] = SHAPE
) -> sitk.Image:
    values = np.random.default_rng(1).integers(0, 120, (*shape, channels)).astype(dtype)
    limits = np.iinfo(dtype) if np.dtype(dtype).kind != "f" else np.finfo(dtype)
    values.flat[:2] = limits.min, limits.max
    image = sitk.GetImageFromArray(values if channels > 1 else values[..., 0], isVector=channels > 1)
    image.SetDirection(direction[: len(shape), : len(shape)].ravel())
    image.SetSpacing((0.7, 0.8, 2.5)[: len(shape)])
    image.SetOrigin((-30.5, 12.25, 7)[: len(shape)])
    return image


def save(folder: Path, name: str, image: sitk.Image, compressed: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    sitk.WriteImage(image, str(folder / name), useCompression=compressed)
    return folder / name


def rewritten(path: Path, folder: Path) -> np.ndarray:
    stored = formats.read(path)
    image = stored.array.copy()
    image[..., ::2] = image[..., ::2][..., ::-1, :, :]
    folder.mkdir()
    if stored.data is not None:
        with (folder / stored.data.path.name).open("wb") as file:
            stored.data.write_to(file, image)
    with (folder / path.name).open("wb") as file:
        stored.write_to(file, image)
    return image


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nhdr"])
@pytest.mark.parametrize("direction", GEOMETRIES.values(), ids=GEOMETRIES.keys())
@pytest.mark.parametrize("dtype", DTYPES)
def test_simpleitk_reads_what_was_written_where_it_was(
    tmp_path: Path, dtype: str, direction: np.ndarray, ending: str, compressed: bool
) -> None:
    source = some_image(dtype, direction)
    path = save(tmp_path / "in", f"x{ending}", source, compressed)
    stored = formats.read(path)
    np.testing.assert_array_equal(stored.array[0], sitk.GetArrayFromImage(source))
    assert stored.array.dtype == np.dtype(dtype)
    assert stored.geometry is not None
    corner = np.array(source.TransformIndexToPhysicalPoint((4, 5, 3))) * [-1, -1, 1]
    np.testing.assert_allclose((stored.geometry.ijk_to_ras @ [4, 5, 3, 1])[:3], corner, atol=1e-9)

    image = rewritten(path, tmp_path / "out")
    seen = sitk.ReadImage(str(tmp_path / "out" / path.name))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(seen), image[0])
    read = sitk.ReadImage(str(path))
    assert (seen.GetDirection(), seen.GetOrigin(), seen.GetSpacing(), seen.GetPixelID()) == (
        read.GetDirection(), read.GetOrigin(), read.GetSpacing(), read.GetPixelID()
    )  # fmt: skip
    if ending == ".nhdr":
        np.testing.assert_array_equal(pynrrd.read(str(tmp_path / "out" / path.name), index_order="C")[0], image[0])


@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nhdr"])
def test_color_and_2d_are_read_and_written(tmp_path: Path, ending: str) -> None:
    for name, source in (
        ("color", some_image("u1", channels=3)),
        ("plane", some_image("i2", np.eye(3), shape=(6, 5))),
        ("colors", some_image("u1", np.eye(3), 3, (6, 5))),
    ):
        path = save(tmp_path / "in", f"{name}{ending}", source)
        image = rewritten(path, tmp_path / f"out-{name}")
        seen = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / f"out-{name}" / path.name)))
        np.testing.assert_array_equal(seen.reshape(*image.shape[1:], len(image)), np.moveaxis(image, 0, -1))
        assert formats.read(path).modality == ("picture" if len(image) == 3 else "")


def test_unknown_lines_line_ends_and_byte_order_stay(tmp_path: Path) -> None:
    voxels = np.arange(24, dtype=">i2").reshape(2, 3, 4)
    lines = ["ObjectType = Image", "NDims = 3", "Comment = scanned = twice", "BinaryDataByteOrderMSB = True",
             "DimSize = 4 3 2", "ElementType = MET_SHORT", "ElementDataFile = LOCAL"]  # fmt: skip
    header = "\r\n".join([*lines, ""]).encode()
    (tmp_path / "x.mha").write_bytes(header + voxels.tobytes())
    image = rewritten(tmp_path / "x.mha", tmp_path / "out")
    assert (tmp_path / "out" / "x.mha").read_bytes() == header + image[0].astype(">i2").tobytes()
    np.testing.assert_array_equal(formats.read(tmp_path / "x.mha").array[0], voxels)


def test_the_size_of_compressed_voxels_is_true(tmp_path: Path) -> None:
    path = save(tmp_path / "in", "x.mha", some_image("i2", shape=(9, 40, 40)), compressed=True)
    image = rewritten(path, tmp_path / "out")
    written = (tmp_path / "out" / "x.mha").read_bytes()
    head, _, body = written.partition(b"ElementDataFile = LOCAL\n")
    assert b"CompressedDataSize = %d\n" % len(body) in head
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "x.mha"))), image[0])


@pytest.mark.parametrize("foreground", [True, False])
@pytest.mark.parametrize("ending", [".mhd", ".nhdr"])
def test_header_and_data_are_written_together(tmp_path: Path, ending: str, foreground: bool) -> None:
    """Protected, or copied where no segment holds a voxel."""
    path = save(tmp_path / "in", f"x{ending}", some_image("i2", shape=(6, 20, 20)))
    layer = np.zeros((6, 20, 20), np.uint8)
    layer[1:5, 4:15, 4:15] = foreground
    label = sitk.GetImageFromArray(layer)
    label.CopyInformation(sitk.ReadImage(str(path)))
    save(tmp_path / "labels", f"x{ending}", label)
    (files,) = find_cases(tmp_path / "in", tmp_path / "labels")
    source = FileCases([files])
    protected = UMed(UMedParams(), RandomStreams.from_number(1)).protect(source.load("x"))
    OutputFolder(tmp_path / "out").write(files, source.stored("x"), protected)
    seen = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / path.name)))
    np.testing.assert_array_equal(seen, protected.image[0])
    assert (seen != sitk.GetArrayFromImage(sitk.ReadImage(str(path)))).any() == foreground
    again = find_cases(tmp_path / "out" / path.name, tmp_path / "out" / "labels")
    assert FileCases(again).load("x").has_foreground == foreground


def test_a_failed_read_back_leaves_neither_header_nor_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "in", "x.mhd", some_image("i2", shape=(6, 20, 20)))
    label = sitk.GetImageFromArray(np.ones((6, 20, 20), np.uint8))
    label.CopyInformation(sitk.ReadImage(str(path)))
    save(tmp_path / "in", "x_seg.nrrd", label)
    (files,) = find_cases(tmp_path / "in", None)
    source = FileCases([files])
    method = UMed(UMedParams(epsilon=20 / 255), RandomStreams.from_number(1))
    protected, stored = method.protect(source.load("x")), source.stored("x")
    monkeypatch.setattr("MedUnlearnableLib.files.outputs._holds", lambda *_: False)
    with pytest.raises(Refused, match=r"x\.mhd: what was read back differs"):
        OutputFolder(tmp_path / "out").write(files, stored, protected)
    assert list((tmp_path / "out").iterdir()) == []


HEADER = b"NDims = 3\nDimSize = 2 2 2\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
GOOD = HEADER + bytes(16)
DAMAGED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "text": (b"no image", "not a MetaImage"),
    "cut off": (GOOD[:-1], "holds 15 bytes of voxels where its header says 16"),
    "too long": (GOOD + b"x", "holds 17 bytes"),
    "another type": (
        GOOD.replace(b"MET_SHORT", b"MET_LONG_LONG"),
        "voxels of type MetaImage ElementType 'MET_LONG_LONG'",
    ),
    "4D": (GOOD.replace(b"2 2 2", b"2 2 2 2"), r"2 x 2 x 2 x 2 image"),
    "five channels": (b"ElementNumberOfChannels = 5\n" + GOOD, "5 channels"),
    "text voxels": (b"BinaryData = False\n" + GOOD, "as text"),
    "no sizes": (GOOD.replace(b"DimSize = 2 2 2", b"DimSize ="), "DimSize is missing or no list of numbers"),
    "NaN spacing": (b"ElementSpacing = 1 nan 1\n" + GOOD, "ElementSpacing is missing or no list"),
    "two offsets": (b"Offset = 1 1\n" + GOOD, "do not fit 3 dimensions"),
    "spacing 0": (b"ElementSpacing = 1 0 1\n" + GOOD, "degenerate"),
    "no zlib stream": (b"CompressedData = True\n" + GOOD, "compressed voxels are damaged"),
    "data elsewhere": (GOOD.replace(b"LOCAL", b"../other.raw"), r"its voxels lie in '\.\./other\.raw'"),
    "data of another name": (GOOD.replace(b"LOCAL", b"shared.raw"), r"save the image again"),
    "a list of slices": (GOOD.replace(b"LOCAL", b"LIST"), r"its voxels lie in 'LIST'"),
    "no data": (GOOD.replace(b"LOCAL", b"x.raw"), "there is no such file"),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_what_is_no_whole_metaimage_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.mha").write_bytes(content)
    with pytest.raises(Refused, match=rf"x\.(mha: .*|raw: ){message}") as refused:
        formats.read(tmp_path / "x.mha")
    assert "\n" not in str(refused.value)


def test_a_detached_segmentation_is_a_label(tmp_path: Path) -> None:
    image = formats.read(save(tmp_path / "in", "x.nhdr", some_image("i2")))
    label = sitk.GetImageFromArray(np.ones(SHAPE, np.uint8))
    label.CopyInformation(some_image("i2"))
    (layer,) = labels.read(save(tmp_path / "in", "y.nhdr", label, compressed=True), image)
    np.testing.assert_array_equal(layer, 1)
    assert gzip.decompress((tmp_path / "in" / "y.raw.gz").read_bytes()) == layer.tobytes()
