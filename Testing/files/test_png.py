"""PNG: pixels change, every other chunk and the alpha channel stay."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.files import formats, png
from PIL import Image, ImageCms

CHANNELS = {0: 1, 2: 3, 6: 4}  # color type: channels with alpha
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
EXTRA = [
    (b"iCCP", b"sRGB\0\0" + zlib.compress(PROFILE)),
    (b"pHYs", struct.pack(">IIB", 5000, 4000, 1)),
    (b"tEXt", b"Comment\0kept as it is"),
]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_bytes(pixels: np.ndarray, color: int, interlaced: bool = False) -> bytes:
    """`pixels` [H, W, C]; unfiltered rows, in two IDAT chunks, with the extra chunks around them."""
    height, width, _ = pixels.shape
    depth = 8 * pixels.dtype.itemsize
    stored = pixels.astype(pixels.dtype.newbyteorder(">"))
    passes = [stored[y::dy, x::dx] for y, x, dy, dx in ADAM7] if interlaced else [stored]
    rows = b"".join(b"\0" + row.tobytes() for part in passes if part.size for row in part)
    data = zlib.compress(rows)
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced))
    body = [(b"IHDR", head), *EXTRA, (b"IDAT", data[:7]), (b"IDAT", data[7:]), (b"tIME", b"\7\xea\1\1\0\0\0")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in [*body, (b"IEND", b"")])


def chunks_of(content: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def some_pixels(dtype: str, channels: int, shape: tuple[int, int] = (11, 13)) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 200, (*shape, channels)).astype(dtype) * (257 if dtype == "u2" else 1)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("color", CHANNELS)
def test_pixels_change_and_every_other_chunk_stays(tmp_path: Path, color: int, dtype: str, interlaced: bool) -> None:
    pixels = some_pixels(dtype, CHANNELS[color])
    content = png_bytes(pixels, color, interlaced)
    (tmp_path / "x.png").write_bytes(content)
    stored = png.read(tmp_path / "x.png")
    shown = CHANNELS[color] - (color == 6)
    np.testing.assert_array_equal(stored.array[:, 0], np.moveaxis(pixels[..., :shown], -1, 0))
    assert stored.array.dtype == np.dtype(dtype)

    changed = stored.array.copy()
    changed[..., ::2] += 1
    with (tmp_path / "out.png").open("wb") as file:
        stored.write_to(file, changed)
    expected = pixels.copy()
    expected[..., :shown] = np.moveaxis(changed[:, 0], 0, -1)

    seen = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out.png"))).reshape(pixels.shape)
    np.testing.assert_array_equal(seen, expected)
    assert seen.dtype == pixels.dtype
    if dtype == "u1":  # Pillow narrows 16-bit colors
        with Image.open(tmp_path / "out.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture).reshape(pixels.shape), expected)
            assert picture.info["icc_profile"] == PROFILE
            assert picture.info["dpi"] == pytest.approx((127.0, 101.6))
    kept = [c for c in chunks_of(content) if c[0] not in (b"IDAT", b"IHDR")]
    assert [c for c in chunks_of((tmp_path / "out.png").read_bytes()) if c[0] not in (b"IDAT", b"IHDR")] == kept
    assert chunks_of((tmp_path / "out.png").read_bytes())[0][1][:12] == chunks_of(content)[0][1][:12]


def test_a_color_marked_transparent_stays_marked(tmp_path: Path) -> None:
    picture = Image.fromarray(some_pixels("u1", 3))
    picture.save(tmp_path / "x.png", transparency=(7, 8, 9))
    stored = png.read(tmp_path / "x.png")
    with (tmp_path / "out.png").open("wb") as file:
        stored.write_to(file, stored.array)
    with Image.open(tmp_path / "out.png") as written:
        assert written.info["transparency"] == (7, 8, 9)
        assert (written.mode, written.tobytes()) == ("RGB", picture.tobytes())


def picture_of(mode: str, **options: Any) -> bytes:
    buffer = BytesIO()
    Image.fromarray(some_pixels("u1", 3)).convert(mode).save(buffer, "PNG", **options)
    return buffer.getvalue()


GOOD = png_bytes(some_pixels("u1", 1), 0)
DAMAGED = {
    "empty": b"",
    "text": b"no picture",
    "cut off": GOOD[:-20],
    "pixels cut off": GOOD[:120],
    "one bit flipped": GOOD[:90] + bytes([GOOD[90] ^ 1]) + GOOD[91:],
    "palette": picture_of("P"),
    "gray and alpha": picture_of("LA"),
    "transparent gray": picture_of("L", transparency=7),
    "one bit": picture_of("1"),
    "no pixels": GOOD[:8] + chunk(b"IHDR", chunks_of(GOOD)[0][1]) + chunk(b"IEND", b""),
    "short header": GOOD[:8] + chunk(b"IHDR", b"\0\0") + GOOD[33:],
    "pixels are no zlib stream": GOOD[:8]
    + b"".join(chunk(*c) for c in (chunks_of(GOOD)[0], (b"IDAT", b"nonsense"), (b"IEND", b""))),
    "too few pixels": GOOD[:8]
    + b"".join(chunk(*c) for c in (chunks_of(GOOD)[0], (b"IDAT", zlib.compress(b"\0" * 30)), (b"IEND", b""))),
    "JPEG with the wrong name": b"\xff\xd8\xff\xe0" + b"\0" * 100,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_what_is_no_whole_picture_is_refused_in_one_sentence_with_its_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(Refused, match=r"broken\.png") as refused:
        formats.read(tmp_path / "broken.png")
    assert "\n" not in str(refused.value)
