"""MetaImage (.mha, and .mhd with its voxels in a second file), with the header text kept line for line.

A general library would drop the lines it does not know. Field names: the MetaIO documentation of ITK.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..engine.case import Geometry
from ..engine.errors import Refused
from .volume import DataFile, StoredImage, data_file_beside, geometry_of, raw_bytes, read_bytes, refuse_dtype

_DTYPES = {
    "MET_UCHAR": "u1",
    "MET_CHAR": "i1",
    "MET_USHORT": "u2",
    "MET_SHORT": "i2",
    "MET_UINT": "u4",
    "MET_INT": "i4",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_LAST = re.compile(rb"^ElementDataFile[ \t]*=[ \t]*([^\r\n]*)\r?\n?", re.MULTILINE)
_COMPRESSED_SIZE = re.compile(rb"(?m)^(CompressedDataSize[ \t]*=[ \t]*)\d+")
_ZLIB_LEVEL = 4


@dataclass(frozen=True)
class _Header:
    text: bytes  # with its last line
    fields: Mapping[str, str]

    def get(self, *names: str, default: str = "") -> str:
        """The first of several names for the same thing."""
        return next((self.fields[name] for name in names if name in self.fields), default)

    def is_true(self, *names: str) -> bool:
        return self.get(*names).lower() in ("true", "1")


def read(path: Path) -> StoredImage:
    """One 3D or 2D image of a plain dtype, gray or RGB."""
    content = read_bytes(path)
    header = _header(path, content)
    data_path = _data_path(path, header)
    encoded = content[len(header.text) :] if data_path is None else read_bytes(data_path)
    array, dtype = _voxels(path, header, encoded)

    def encode(new: NDArray[Any]) -> bytes:
        voxels = raw_bytes(np.moveaxis(new, 0, -1), dtype)
        return zlib.compress(voxels, _ZLIB_LEVEL) if header.is_true("CompressedData") else bytes(voxels)

    def write_to(file: IO[bytes], new: NDArray[Any]) -> None:
        stored = encode(new)
        file.write(_COMPRESSED_SIZE.sub(rb"\g<1>%d" % len(stored), header.text))
        if data_path is None:
            file.write(stored)

    return StoredImage(
        path=path,
        array=array,
        geometry=_geometry(path, header),
        write_to=write_to,
        modality="picture" if len(array) == 3 else "",
        data=DataFile(data_path, lambda file, new: file.write(encode(new))) if data_path else None,
    )


def data_file(path: Path) -> Path | None:
    """Where the voxels lie, if not behind the header."""
    return _data_path(path, _header(path, read_bytes(path)))


def _data_path(path: Path, header: _Header) -> Path | None:
    name = header.get("ElementDataFile")
    return None if name.upper() == "LOCAL" else data_file_beside(path, name)


def _header(path: Path, content: bytes) -> _Header:
    last = _LAST.search(content)
    if last is None or not re.match(rb"[A-Za-z]+[ \t]*=", content):
        raise Refused(f"{path}: this is not a MetaImage (no line ElementDataFile); check what it really is")
    text = content[: last.end()]
    lines = (line.partition("=") for line in text.decode("utf-8", "replace").splitlines())
    return _Header(text, {key.strip(): value.strip() for key, _, value in lines})


def _voxels(path: Path, header: _Header, encoded: bytes) -> tuple[NDArray[Any], np.dtype]:
    """[C, D, H, W], read-only."""
    if header.get("ElementType") not in _DTYPES:
        raise refuse_dtype(path, f"MetaImage ElementType '{header.get('ElementType')}'")
    if header.get("BinaryData", default="True").lower() == "false" or header.get("HeaderSize", default="0") != "0":
        raise Refused(f"{path}: voxels as text or behind another header are not supported; save the image again")
    big = header.is_true("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
    dtype = np.dtype((">" if big else "<") + _DTYPES[header.get("ElementType")])
    channels = int(_numbers(path, header, "ElementNumberOfChannels", default="1")[0])
    sizes = [int(n) for n in _numbers(path, header, "DimSize")]
    if len(sizes) not in (2, 3) or channels not in (1, 3):
        size = " x ".join(map(str, sizes))
        raise Refused(f"{path}: this is a {size} image of {channels} channels; split it into 3D files, gray or RGB")
    try:
        raw = zlib.decompress(encoded) if header.is_true("CompressedData") else encoded
    except zlib.error:
        raise Refused(f"{path}: the compressed voxels are damaged or cut off; copy the image again") from None
    expected = math.prod(sizes) * channels * dtype.itemsize
    if len(raw) != expected or min(sizes) < 1:
        raise Refused(
            f"{path}: holds {len(raw):,} bytes of voxels where its header says {expected:,}, so it is damaged; "
            "copy it again from its source"
        )
    volume = np.frombuffer(raw, dtype).reshape([*([1] * (3 - len(sizes))), *sizes[::-1], channels])
    return np.moveaxis(volume, -1, 0), dtype


def _numbers(path: Path, header: _Header, *names: str, default: str = "") -> list[float]:
    try:
        numbers = [float(number) for number in header.get(*names, default=default).split()]
    except ValueError:
        numbers = []
    if not numbers or not all(map(math.isfinite, numbers)):
        raise Refused(f"{path}: the line {names[0]} is missing or no list of numbers; export the image again")
    return numbers


def _geometry(path: Path, header: _Header) -> Geometry:
    """Each row of TransformMatrix is the direction of one image axis, in LPS."""
    n = len(header.get("DimSize").split())
    identity = " ".join(str(int(row == column)) for row in range(n) for column in range(n))
    directions = _numbers(path, header, "TransformMatrix", "Rotation", "Orientation", default=identity)
    spacing = _numbers(path, header, "ElementSpacing", "ElementSize", default=" ".join("1" * n))
    origin = _numbers(path, header, "Offset", "Position", "Origin", default=" ".join("0" * n))
    if (len(directions), len(spacing), len(origin)) != (n * n, n, n):
        raise Refused(f"{path}: TransformMatrix, ElementSpacing or Offset do not fit {n} dimensions; export it again")
    to_lps = np.eye(4)
    to_lps[:n, :n] = np.reshape(directions, (n, n)).T * spacing
    to_lps[:n, 3] = origin
    return geometry_of(path, to_lps * np.array([[-1.0], [-1.0], [1.0], [1.0]]))
