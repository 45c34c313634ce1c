"""TIFF: pixels change, tags stay; what cannot be kept exactly is refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.files import formats
from PIL import Image

MOVED = {"StripOffsets", "StripByteCounts", "RowsPerStrip", "Compression", "Predictor"}


def some_pixels(dtype: str, channels: int, shape: tuple[int, int] = (37, 50)) -> np.ndarray:
    limits = np.iinfo(dtype)
    pixels = np.random.default_rng(0).integers(limits.min, limits.max, (*shape, channels), dtype=dtype, endpoint=True)
    return pixels if channels > 1 else pixels[..., 0]


def save(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    color = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(path, pixels, photometric=options.pop("photometric", color), **options)
    return path


KINDS = {
    "plain": {},
    "strips": {"rowsperstrip": 5},
    "Deflate": {"compression": "deflate"},
}


def rewritten(path: Path, out: Path) -> np.ndarray:
    stored = formats.read(path)
    image = stored.array.copy()
    image[..., ::2] ^= 1
    with out.open("wb") as file:
        stored.write_to(file, image)
    return np.moveaxis(image[:, 0], 0, -1)


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_pixels_change_and_tags_stay(
    tmp_path: Path, dtype: str, channels: int, order: str, options: dict[str, Any]
) -> None:
    extra = [(65000, "H", 3, (7, 8, 9), True), (65001, "B", 2, (1, 2), True)]
    pixels = some_pixels(dtype, channels)
    path = save(
        tmp_path / "x.tif", pixels, byteorder=order, description="kept as it is", resolution=(300, 200),
        extratags=extra, **options,
    )  # fmt: skip
    stored = formats.read(path)
    np.testing.assert_array_equal(np.moveaxis(stored.array[:, 0], 0, -1).reshape(pixels.shape), pixels)
    assert (stored.array.dtype, stored.modality, stored.geometry) == (np.dtype(dtype), "picture", None)

    expected = rewritten(path, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as seen, tifffile.TiffFile(path) as before:
        np.testing.assert_array_equal(seen.asarray().reshape(expected.shape), expected)
        assert seen.asarray().dtype == np.dtype(dtype)
        assert seen.byteorder == order
        found, source = ({tag.name: tag.value for tag in file.pages[0].tags} for file in (seen, before))
        assert {k: v for k, v in found.items() if k not in MOVED} == {k: v for k, v in source.items() if k not in MOVED}
    itk = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out.tif")))
    np.testing.assert_array_equal(itk.reshape(expected.shape), expected)
    np.testing.assert_array_equal(np.moveaxis(formats.read(tmp_path / "out.tif").array[:, 0], 0, -1), expected)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_what_pillow_compresses_is_read_and_written(tmp_path: Path, compression: str) -> None:
    pixels = some_pixels("u1", 3)
    Image.fromarray(pixels).save(tmp_path / "x.tiff", compression=compression)
    expected = rewritten(tmp_path / "x.tiff", tmp_path / "out.tiff")
    with Image.open(tmp_path / "out.tiff") as picture:
        np.testing.assert_array_equal(np.asarray(picture), expected)


def test_no_preview_of_the_clean_picture_is_left(tmp_path: Path) -> None:
    preview = np.full((8, 8), 77, np.uint8)
    with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
        writer.write(some_pixels("u1", 1), photometric="minisblack", subifds=1)
        writer.write(preview, photometric="minisblack", subfiletype=1)
    rewritten(tmp_path / "x.tif", tmp_path / "out.tif")
    assert preview.tobytes() not in (tmp_path / "out.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "out.tif") as seen:
        assert "SubIFDs" not in seen.pages[0].tags


def pillow(mode: str, **options: Any) -> Any:
    def make(path: Path) -> None:
        Image.fromarray(some_pixels("u1", 3)).convert(mode).save(path, "TIFF", **options)

    return make


def written(pixels: np.ndarray, **options: Any) -> Any:
    return lambda path: save(path, pixels, **options)


def cut(path: Path) -> None:
    save(path, some_pixels("u1", 1))
    path.write_bytes(path.read_bytes()[:100])


REFUSED = {
    "JPEG inside": (pillow("RGB", compression="jpeg"), "compression 7 is lossy"),
    "palette": (pillow("P"), "photometric interpretation 3"),
    "alpha": (pillow("RGBA"), "4 samples per pixel"),
    "print colors": (pillow("CMYK"), "photometric interpretation 5"),
    "one bit": (pillow("1"), "a TIFF of 1 bits"),
    "white is zero": (written(some_pixels("u1", 1), photometric="miniswhite"), "photometric interpretation 0"),
    "signed": (written(some_pixels("i2", 1)), "signed, float"),
    "float": (written(some_pixels("u1", 1).astype("f4")), "32 bits"),
    "pages": (written(np.zeros((4, 20, 20), np.uint8), photometric="minisblack"), "several pages"),
    "planes": (written(some_pixels("u1", 3).transpose(2, 0, 1), planarconfig="separate"), "separate planes"),
    "tiles": (written(some_pixels("u2", 1), tile=(16, 16)), "tiles"),
    "tiles in color": (written(some_pixels("u1", 3), tile=(16, 16)), "tiles"),
    "BigTIFF": (written(some_pixels("u1", 1), bigtiff=True), "BigTIFF"),
    "text": (lambda path: path.write_bytes(b"no picture"), "not a TIFF"),
    "header only": (lambda path: path.write_bytes(b"II*\0" + struct.pack("<I", 800)), "damaged or cut off"),
    "cut off": (cut, "damaged"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_kept_exactly_is_refused_by_name(tmp_path: Path, make: Any, message: str) -> None:
    make(tmp_path / "x.tif")
    with pytest.raises(Refused, match=rf"x\.tif: .*{message}") as refused:
        formats.read(tmp_path / "x.tif")
    assert "\n" not in str(refused.value)
