"""NRRD (.nrrd, and .nhdr with its voxels in a second file). The header text is kept line for line.

A general library would rewrite the header and lose comments, space units and own fields. Field names and meaning:
https://teem.sourceforge.net/nrrd/format.html. Label files that Slicer saves (.seg.nrrd) are read here too.
"""

from __future__ import annotations

import bz2
import gzip
import math
import re
import sys
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

_TYPES = {
    "uint8": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "int8": ("signed char", "int8", "int8_t"),
    "uint16": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "int16": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "uint32": ("uint", "unsigned int", "uint32", "uint32_t"),
    "int32": ("int", "signed int", "int32", "int32_t"),
    "float32": ("float",),
    "float64": ("double",),
}
_DTYPE_OF = {name: np.dtype(dtype) for dtype, names in _TYPES.items() for name in names}
_GZIP_LEVEL = 4
#: Axes of these kinds hold the components of one voxel. A "list" or "time" axis holds several images instead.
_COMPONENT_KINDS = {"vector", "covariant-vector", "rgb-color", "hsv-color", "xyz-color", "3-color", "3-vector"}
_TO_RAS = {
    "right-anterior-superior": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1),
}
_SPACE_SHORT = {"ras": "right-anterior-superior", "las": "left-anterior-superior", "lps": "left-posterior-superior"}


@dataclass(frozen=True)
class Header:
    """The header text as it stands, the fields of the format, and the key/value pairs of the program that wrote it."""

    text: bytes
    fields: Mapping[str, str]  # names in lower case
    pairs: Mapping[str, str]
    data_file: Path | None  # where the voxels lie in another file


def read(path: Path) -> StoredImage:
    """One image. Refuses lists of images and text encodings by name."""
    header, data = _split(path)
    array, dtype = _voxels(path, header.fields, data)
    kinds = _kinds(header.fields, array.ndim)
    component_axes = [axis for axis, kind in enumerate(kinds) if kind in _COMPONENT_KINDS]
    spatial = array.ndim - len(component_axes)
    if spatial not in (2, 3) or component_axes not in ([], [0]) or (component_axes and array.shape[-1] not in (1, 3)):
        size = " x ".join(header.fields["sizes"].split())
        raise Refused(f"{path}: this is a {size} image (4D or not RGB); split it into one 3D file for each volume")

    def write_voxels(file: IO[bytes], new: NDArray[Any]) -> None:
        voxels = raw_bytes(np.moveaxis(new, 0, -1), dtype)
        file.write(_compress(header.fields["encoding"], voxels))

    def write_to(file: IO[bytes], new: NDArray[Any]) -> None:
        file.write(header.text)
        if header.data_file is None:
            write_voxels(file, new)

    components_last = array if component_axes else array[..., np.newaxis]
    volume = components_last if spatial == 3 else components_last[np.newaxis]
    return StoredImage(
        path=path,
        array=np.moveaxis(volume, -1, 0),
        geometry=_geometry(path, header.fields, component_axes),
        write_to=write_to,
        modality="picture" if volume.shape[-1] == 3 else "",
        data=DataFile(header.data_file, write_voxels) if header.data_file else None,
    )


def data_file(path: Path) -> Path | None:
    """Where the voxels lie, if not behind the header."""
    return _split(path)[0].data_file


def read_layers(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Label layers [L, D, H, W] of a plain or a segmentation NRRD, whose layers lie along a "list" axis."""
    header, data = _split(path)
    array, _ = _voxels(path, header.fields, data)
    kinds = _kinds(header.fields, array.ndim)
    layer_axes = [axis for axis, kind in enumerate(kinds) if kind == "list" or kind in _COMPONENT_KINDS]
    if array.ndim - len(layer_axes) not in (2, 3) or layer_axes not in ([], [0]):
        raise Refused(f"{path}: sizes {header.fields['sizes']} are not those of a segmentation; export it again")
    layers = np.moveaxis(array, -1, 0) if layer_axes else array[np.newaxis]
    return layers if layers.ndim == 4 else layers[:, np.newaxis], _geometry(path, header.fields, layer_axes)


def write(
    file: IO[bytes],
    layers: NDArray[Any],
    geometry: Geometry,
    axis_kind: str | None,
    pairs: Mapping[str, str] | None = None,
) -> None:
    """A new, uncompressed NRRD. `layers` [L, D, H, W]; `axis_kind`: "list", "vector", or None for one image."""
    spatial = layers.shape[1:]
    to_lps = geometry.ijk_to_ras[:3] * np.array([[-1.0], [-1.0], [1.0]])
    vectors = ["({})".format(",".join(repr(float(x)) for x in to_lps[:, axis])) for axis in (0, 1, 2)]
    lead = [] if axis_kind is None else [axis_kind]
    sizes = [*([len(layers)] if lead else []), *spatial[::-1]]
    dtype = layers.dtype.newbyteorder("<")
    lines = [
        "NRRD0005",
        f"type: {layers.dtype.newbyteorder('=').name}".replace("float32", "float").replace("float64", "double"),
        f"dimension: {len(sizes)}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, sizes))}",
        f"space directions: {' '.join([*(['none'] if lead else []), *vectors])}",
        f"kinds: {' '.join([*lead, 'domain', 'domain', 'domain'])}",
        *(["endian: little"] if dtype.itemsize > 1 else []),
        "encoding: raw",
        f"space origin: ({','.join(repr(float(x)) for x in to_lps[:, 3])})",
        *(f"{key}:={value}" for key, value in (pairs or {}).items()),
    ]
    file.write("\n".join([*lines, "", ""]).encode())
    file.write(raw_bytes(np.moveaxis(layers, 0, -1), dtype))


def _split(path: Path) -> tuple[Header, bytes]:
    """The header, up to and with its blank line, and the encoded voxels. A detached header may lack the blank line."""
    content = read_bytes(path)
    if not content.startswith(b"NRRD"):
        raise Refused(f"{path}: this is not an NRRD file (it does not begin with NRRD); check what it really is")
    end = re.search(rb"\r?\n\r?\n", content)
    text = content[: end.end()] if end else content
    fields: dict[str, str] = {}
    pairs: dict[str, str] = {}
    for line in text.rstrip(b"\r\n").decode("utf-8", "replace").split("\n")[1:]:
        separator = re.search(":=|: ", line)  # whichever comes first tells a pair from a field
        if line.startswith("#") or not separator:
            continue
        key, value = line[: separator.start()], line[separator.end() :].rstrip("\r")
        if separator.group() == ":=":
            pairs[key] = value
        else:
            fields[key.strip().lower()] = value.strip()
    missing = [name for name in ("type", "sizes", "encoding") if name not in fields]
    if missing:
        raise Refused(f"{path}: the NRRD header lacks '{missing[0]}', so the file is damaged; export it again")
    data_name = fields.get("data file", fields.get("datafile"))
    if data_name is not None:
        data_file = data_file_beside(path, data_name)
        return Header(text, fields, pairs, data_file), read_bytes(data_file)
    if end is None:
        raise Refused(f"{path}: the NRRD header has no end, so the file is damaged; export the image again")
    return Header(text, fields, pairs, None), content[end.end() :]


def _voxels(path: Path, fields: Mapping[str, str], data: bytes) -> tuple[NDArray[Any], np.dtype]:
    """The voxels in array order (slowest axis first), as a read-only view."""
    if fields["type"].lower() not in _DTYPE_OF:
        raise refuse_dtype(path, f"NRRD type '{fields['type']}'")
    big = fields.get("endian", sys.byteorder).lower() == "big"
    dtype = _DTYPE_OF[fields["type"].lower()].newbyteorder(">" if big else "<")
    sizes = [int(size) if size.isascii() and size.isdigit() else 0 for size in fields["sizes"].split()]
    raw = _decompress(path, fields, data)
    expected = math.prod(sizes) * dtype.itemsize
    if len(raw) != expected or not sizes or min(sizes) < 1:
        raise Refused(
            f"{path}: holds {len(raw):,} bytes of voxels where its header says {expected:,}, so it is damaged; "
            "copy it again from its source"
        )
    return np.frombuffer(raw, dtype).reshape(sizes[::-1]), dtype


def _decompress(path: Path, fields: Mapping[str, str], data: bytes) -> bytes:
    for skip in ("line skip", "lineskip", "byte skip", "byteskip"):
        if fields.get(skip, "0") != "0":
            raise Refused(f"{path}: the header field '{skip}' is not supported; save the image again without it")
    encoding = fields["encoding"].lower()
    try:
        if encoding == "raw":
            return data
        if encoding in ("gzip", "gz"):
            return gzip.decompress(data)
        if encoding in ("bzip2", "bz2"):
            return bz2.decompress(data)
    except (OSError, EOFError, ValueError, zlib.error):
        raise Refused(
            f"{path}: the compressed voxels are damaged or cut off; copy the file again from its source"
        ) from None
    raise Refused(f"{path}: encoding '{encoding}' is not supported; save the image as raw or gzip")


def _compress(encoding: str, voxels: memoryview) -> bytes | memoryview:
    encoding = encoding.lower()
    if encoding == "raw":
        return voxels
    return gzip.compress(voxels, _GZIP_LEVEL, mtime=0) if encoding.startswith("gz") else bz2.compress(voxels)


def _kinds(fields: Mapping[str, str], dimensions: int) -> list[str]:
    """Kinds per axis, fastest first; a first axis without direction counts as components of a voxel."""
    kinds = fields.get("kinds", "").lower().split() or ["domain"] * dimensions
    directions = fields.get("space directions", "").split()
    if kinds[0] in ("domain", "???", "none") and directions[:1] == ["none"]:
        kinds[0] = "vector"
    return kinds


def _vector(text: str) -> list[float]:
    return [float(number) for number in text.strip("()").split(",")]


def _geometry(path: Path, fields: Mapping[str, str], component_axes: list[int]) -> Geometry:
    affine = np.eye(4)
    space = fields.get("space", "").lower()
    space = _SPACE_SHORT.get(space, space)
    directions = re.findall(r"none|\([^)]*\)", fields.get("space directions", ""))
    try:
        columns = [_vector(text) for text in directions if text != "none"]
        for axis, column in enumerate(columns):
            affine[: len(column), axis] = column
        if columns and "space origin" in fields:
            origin = _vector(fields["space origin"])
            affine[: len(origin), 3] = origin
        if not columns and "spacings" in fields:
            spacings = [float(s) for s in fields["spacings"].lower().split()][len(component_axes) :]
            affine[:3, :3] = np.diag([s if math.isfinite(s) and s > 0 else 1.0 for s in [*spacings, 1.0, 1.0, 1.0][:3]])
    except (ValueError, IndexError):
        raise Refused(f"{path}: the space directions or origin cannot be read; export the image again") from None
    if columns and space and space not in _TO_RAS and len(columns[0]) == 3:
        raise Refused(f"{path}: space '{fields['space']}' has no patient axes; save the image in a space such as LPS")
    affine[:3] *= np.reshape(_TO_RAS.get(space, (1, 1, 1)), (3, 1))
    return geometry_of(path, affine)
