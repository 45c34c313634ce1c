"""TIFF pictures, 8 and 16 bit, gray and RGB, with every tag kept that is no address within the old file.

SimpleITK decodes; the result is one uncompressed strip. Tags and types: TIFF 6.0, Adobe 1992.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..engine.errors import Refused
from .volume import StoredImage, decoded, raw_bytes, read_bytes

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_SIZES, _PLANAR = 273, 277, 278, 279, 284
_ALPHA, _SAMPLE_FORMAT = 338, 339
#: How the old pixels lay, where other directories lie (previews of the clean picture among them), and free space.
_NOT_KEPT = {_STRIPS, _STRIP_SIZES, 288, 289, 317, 322, 323, 324, 325, 330, 347, 34665, 34853, 40965}
_LOSSLESS = {1: "none", 5: "LZW", 8: "Deflate", 32773: "PackBits", 32946: "Deflate"}
_SIZE_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SHORT, _LONG = 3, 4
_BLACK_IS_ZERO, _RGB = 1, 2


@dataclass(frozen=True)
class _Entry:
    """One tag: its type, how many values, and their bytes in the byte order of the file."""

    type: int
    count: int
    value: bytes


def read(path: Path) -> StoredImage:
    """The picture as [C, 1, H, W]; no geometry. Refuses several pages, palettes, alpha, lossy compression, floats."""
    order, entries = _directory(path, read_bytes(path))
    channels, bits = _refuse_unknown_kind(path, order, entries)
    pixels = _decode(path, (*_size(order, entries), channels), np.dtype(f"u{bits // 8}"))

    def write_to(file: IO[bytes], array: NDArray[Any]) -> None:
        _write(file, order, entries, np.moveaxis(array[:, 0], 0, -1))

    array = np.moveaxis(pixels, -1, 0)[:, np.newaxis]
    return StoredImage(path=path, array=array, geometry=None, write_to=write_to, modality="picture")


def _directory(path: Path, content: bytes) -> tuple[str, dict[int, _Entry]]:
    """Byte order and tags of the only page."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(content[:4])
    if order is None:
        raise Refused(f"{path}: this is not a TIFF file, or a BigTIFF; check what it really is")
    try:
        (start,) = struct.unpack_from(order + "I", content, 4)
        (count,) = struct.unpack_from(order + "H", content, start)
        entries = {}
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, n = struct.unpack_from(order + "HHI", content, at)
            size = _SIZE_OF_TYPE[kind] * n
            begin = at + 8 if size <= 4 else struct.unpack_from(order + "I", content, at + 8)[0]
            if len(content) < begin + size:
                raise ValueError
            entries[tag] = _Entry(kind, n, content[begin : begin + size])
        (following,) = struct.unpack_from(order + "I", content, start + 2 + 12 * count)
    except (struct.error, KeyError, ValueError):
        raise Refused(f"{path}: the tags of the TIFF are damaged or cut off; copy it again from its source") from None
    if following:
        raise Refused(f"{path}: the TIFF holds several pages; save each page as a file of its own")
    return order, entries


def _numbers(order: str, entry: _Entry | None, default: int) -> tuple[int, ...]:
    if entry is None or entry.type not in (_SHORT, _LONG):
        return (default,)
    return struct.unpack(f"{order}{entry.count}{'H' if entry.type == _SHORT else 'I'}", entry.value)


def _refuse_unknown_kind(path: Path, order: str, entries: dict[int, _Entry]) -> tuple[int, int]:
    """Channels and bits of a picture that can be kept."""

    def numbers(tag: int, default: int) -> tuple[int, ...]:
        return _numbers(order, entries.get(tag), default)

    compression, photometric = numbers(_COMPRESSION, 1)[0], numbers(_PHOTOMETRIC, -1)[0]
    channels, bits = numbers(_SAMPLES, 1)[0], set(numbers(_BITS, 1))
    if compression not in _LOSSLESS:
        raise Refused(
            f"{path}: TIFF compression {compression} is lossy or unknown; save it uncompressed, with LZW or Deflate"
        )
    if (photometric, channels) not in ((_BLACK_IS_ZERO, 1), (_RGB, 3)) or _ALPHA in entries:
        raise Refused(
            f"{path}: a TIFF with photometric interpretation {photometric} and {channels} samples per pixel is not "
            "supported; convert it to gray (black is zero) or RGB without alpha"
        )
    if bits not in ({8}, {16}) or set(numbers(_SAMPLE_FORMAT, 1)) != {1} or numbers(_PLANAR, 1)[0] != 1:
        found = "/".join(map(str, sorted(bits)))
        raise Refused(
            f"{path}: a TIFF of {found} bits, signed, float or in separate planes is not supported; "
            "convert it to unsigned 8 or 16 bits, color by pixel"
        )
    return channels, bits.pop()


def _size(order: str, entries: dict[int, _Entry]) -> tuple[int, int]:
    return _numbers(order, entries.get(_HEIGHT), 0)[0], _numbers(order, entries.get(_WIDTH), 0)[0]


def _decode(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> NDArray[Any]:
    """[H, W, C]. The decoder turns what it does not know, such as tiles, into 8-bit RGBA: refused, not converted."""
    pixels = decoded(path, "TIFFImageIO")
    if pixels.dtype != dtype or pixels.size != np.prod(shape):
        raise Refused(f"{path}: a TIFF of tiles or of a rare layout cannot be read exactly; save it in strips")
    return pixels.reshape(shape)


def _write(file: IO[bytes], order: str, old: dict[int, _Entry], pixels: NDArray[Any]) -> None:
    """Header, tags, values too long to stand with their tag, pixels."""
    height = len(pixels)
    voxels = raw_bytes(pixels, pixels.dtype.newbyteorder(order))  # type: ignore[arg-type]
    long = {tag: _Entry(_LONG, 1, struct.pack(order + "I", n)) for tag, n in (
        (_ROWS_PER_STRIP, height), (_STRIP_SIZES, len(voxels)), (_STRIPS, 0)
    )}  # fmt: skip
    kept = {tag: entry for tag, entry in old.items() if tag not in _NOT_KEPT}
    entries = {**kept, _COMPRESSION: _Entry(_SHORT, 1, struct.pack(order + "H", 1)), **long}
    behind = 8 + 2 + 12 * len(entries) + 4
    sizes = {tag: len(entry.value) + len(entry.value) % 2 for tag, entry in entries.items() if len(entry.value) > 4}
    entries[_STRIPS] = _Entry(_LONG, 1, struct.pack(order + "I", behind + sum(sizes.values())))
    file.write((b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(entries)))
    blobs = b""
    for tag, entry in sorted(entries.items()):
        place = entry.value.ljust(4, b"\0")
        if len(entry.value) > 4:
            place = struct.pack(order + "I", behind + len(blobs))
            blobs += entry.value.ljust(sizes[tag], b"\0")
        file.write(struct.pack(order + "HHI", tag, entry.type, entry.count) + place)
    file.write(struct.pack(order + "I", 0) + blobs)
    file.write(voxels)
