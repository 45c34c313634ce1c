"""NIfTI-1 and NIfTI-2 single files (.nii, .nii.gz), with header and extensions kept byte for byte.

A general library would rewrite the header: SimpleITK turns int16 with a slope into float32, drops extensions and
intent, and changes the qform code. Here only the voxel bytes are replaced. Fields and offsets: nifti1.h and nifti2.h,
https://nifti.nimh.nih.gov.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from ..engine.case import Units
from ..engine.errors import Refused
from .volume import StoredImage, geometry_of, raw_bytes, read_bytes, refuse_dtype

_DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
_RGB24 = 128
_GZIP_LEVEL = 4  # level 9 takes six times as long for 2 % less
_MILLIMETERS_PER_UNIT = {1: 1000.0, 2: 1.0, 3: 0.001}  # xyzt_units, lowest three bits; unset counts as mm


@dataclass(frozen=True)
class _Layout:
    """Byte offsets of the fields that are read; `real` and `integer` are struct codes of the wide fields."""

    size: int
    dim: tuple[int, str]
    datatype: int
    pixdim: tuple[int, str]
    vox_offset: tuple[int, str]
    slope: tuple[int, str]
    codes: tuple[int, str]
    quatern: tuple[int, str]
    srow: tuple[int, str]
    units: int


_NIFTI1 = _Layout(348, (40, "8h"), 70, (76, "8f"), (108, "f"), (112, "2f"), (252, "2h"), (256, "6f"), (280, "12f"), 123)
_NIFTI2 = _Layout(
    540, (16, "8q"), 12, (104, "8d"), (168, "q"), (176, "2d"), (344, "2i"), (352, "6d"), (400, "12d"), 500
)


def read(path: Path) -> StoredImage:
    """Refuses what is not a 3D (or 2D) single-file NIfTI of a plain dtype."""
    content = _unpack(path)
    layout, order = _identify(path, content)

    def get(field: tuple[int, str]) -> tuple[float, ...]:
        return struct.unpack_from(order + field[1], content, field[0])

    dim = [int(n) for n in get(layout.dim)]
    shape_ijk = _spatial_shape(path, dim)
    (datatype,) = struct.unpack_from(order + "h", content, layout.datatype)
    components = 3 if datatype == _RGB24 else 1
    dtype = _dtype(path, datatype, order)
    (start,) = get(layout.vox_offset)
    if not math.isfinite(start):
        raise Refused(f"{path}: the header does not say where the voxels begin, so it is damaged; copy the file again")
    offset = max(int(start), layout.size)
    count = math.prod(shape_ijk) * components
    end = offset + count * dtype.itemsize
    if len(content) < end:
        sizes = f"the file ends after {len(content):,} of {end:,} bytes"
        raise Refused(f"{path}: {sizes}, so it is damaged; copy it again from its source")
    flat = np.frombuffer(content, dtype, count, offset)

    def write_to(file: IO[bytes], array: NDArray[Any]) -> None:
        with _packing(path, file) as packed:
            packed.write(content[:offset])
            packed.write(raw_bytes(np.moveaxis(array, 0, -1), dtype))
            packed.write(content[end:])

    slope, intercept = get(layout.slope)
    return StoredImage(
        path=path,
        array=np.moveaxis(flat.reshape(*shape_ijk[::-1], components), -1, 0),
        geometry=geometry_of(path, _ijk_to_ras(get, layout, content)),
        write_to=write_to,
        units=_units(slope, intercept, components),
        modality="picture" if components == 3 else "",
    )


def _unpack(path: Path) -> bytes:
    content = read_bytes(path)
    if not path.name.lower().endswith(".gz"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        raise Refused(f"{path}: the gzip stream is damaged or cut off; copy the file again from its source") from None


def _packing(path: Path, file: IO[bytes]) -> AbstractContextManager[IO[bytes]]:
    if not path.name.lower().endswith(".gz"):
        return nullcontext(file)
    # No name and no time in the gzip header: the same voxels give the same file.
    return cast(IO[bytes], gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0))


def _identify(path: Path, content: bytes) -> tuple[_Layout, str]:
    for layout, magic_at, magics in ((_NIFTI1, 344, (b"n+1\0",)), (_NIFTI2, 4, (b"n+2\0",))):
        for order in "<>":
            if len(content) < layout.size or struct.unpack_from(order + "i", content)[0] != layout.size:
                continue
            if content[magic_at : magic_at + 4] in magics:
                return layout, order
            if content[magic_at : magic_at + 3] in (b"ni1", b"ni2"):
                raise Refused(f"{path}: header and voxels lie in two files (.hdr, .img); convert them to one .nii file")
    raise Refused(f"{path}: this is not a NIfTI file (no header of 348 or 540 bytes); check what it really is")


def _spatial_shape(path: Path, dim: list[int]) -> tuple[int, int, int]:
    used = dim[1 : 1 + max(0, min(dim[0], 7))]
    if not used or min(used) < 1:
        raise Refused(f"{path}: the header gives the dimensions {dim}, which is not an image; the file is damaged")
    if any(n > 1 for n in used[3:]):
        size = " x ".join(map(str, used))
        raise Refused(f"{path}: this is a {size} image (4D); split it into one 3D file for each volume")
    i, j, k = ([*used[:3], 1, 1])[:3]
    return i, j, k


def _dtype(path: Path, datatype: int, order: str) -> np.dtype:
    if datatype == _RGB24:
        return np.dtype("u1")
    if datatype not in _DTYPES:
        raise refuse_dtype(path, f"NIfTI datatype {datatype}")
    return np.dtype(order + _DTYPES[datatype])


def _units(slope: float, intercept: float, components: int) -> Units:
    # The standard: a slope of 0 means "no scaling"; RGB is never scaled.
    if components > 1 or slope == 0 or not (math.isfinite(slope) and math.isfinite(intercept)):
        return Units()
    return Units(slope, intercept)


def _ijk_to_ras(get, layout: _Layout, content: bytes) -> NDArray[np.float64]:  # type: ignore[no-untyped-def]
    pixdim = get(layout.pixdim)
    qform, sform = (int(code) for code in get(layout.codes))
    affine = np.eye(4)
    if sform > 0:
        affine[:3] = np.reshape(get(layout.srow), (3, 4))
    elif qform > 0:
        b, c, d, *offset = get(layout.quatern)
        affine[:3, :3] = _rotation(b, c, d) * (*pixdim[1:3], pixdim[3] * (-1 if pixdim[0] < 0 else 1))
        affine[:3, 3] = offset
    else:
        affine[:3, :3] = np.diag(pixdim[1:4])
    affine[:3] *= _MILLIMETERS_PER_UNIT.get(content[layout.units] & 0x07, 1.0)
    return _with_thickness(affine)


def _rotation(b: float, c: float, d: float) -> NDArray[np.float64]:
    """Unit quaternion (a >= 0 from the rest) to a rotation matrix, as nifti1.h defines it."""
    a = math.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )


def _with_thickness(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """2D files often leave the third column empty; one slice then counts as 1 mm thick."""
    for axis in range(3):
        if not np.linalg.norm(affine[:3, axis]) > 0:
            affine[:3, axis] = np.eye(3)[axis]
    return affine
