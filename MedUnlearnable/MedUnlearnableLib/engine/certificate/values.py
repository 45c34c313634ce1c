"""Hashes of voxel values that do not depend on the dtype, byte order or file format that holds them.

Each slice is hashed as the first of int32, float32, float64 that holds all of its values exactly: the sign of zero and
the bits of a NaN count. So int16 that came back as float32 has the same hash, and equal hashes mean equal bits once the
dtype is given. The specification of these hashes is ours.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SLICE, _IMAGE = b"mul-slice/1\0", b"mul-image/1\0"


def slice_hash(slab: NDArray[Any]) -> bytes:
    """SHA-256 of one slice [C, H, W]: a tag, the name of the dtype and a zero byte, the values little-endian."""
    values = _smallest_exact(slab)
    digest = hashlib.sha256(_SLICE + values.dtype.name.encode() + b"\0")
    digest.update(np.ascontiguousarray(values).data)
    return digest.digest()


def value_hash(shape: Sequence[int], slice_hashes: Sequence[bytes]) -> bytes:
    """SHA-256 of a whole image from its shape [C, D, H, W] and the hashes of its D slices."""
    return hashlib.sha256(_IMAGE + struct.pack("<4I", *shape) + b"".join(slice_hashes)).digest()


def bits(values: NDArray[Any], dtype: np.dtype) -> NDArray[Any]:
    """The values as unsigned integers of the same bits, little-endian: NaNs and zeros can then be compared."""
    return np.ascontiguousarray(values, dtype.newbyteorder("<")).view(f"<u{dtype.itemsize}")


def _smallest_exact(slab: NDArray[Any]) -> NDArray[Any]:
    if np.can_cast(slab.dtype, np.int32):
        return slab.astype("<i4")
    for name in ("<i4", "<f4"):
        with np.errstate(invalid="ignore", over="ignore"):  # what does not fit is not the same then
            narrow = slab.astype(name)
        if same_values(narrow, slab):
            return narrow
    return _widened(slab)


def same_values(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether all bits are the same once both are float64, which holds every dtype used here."""
    return np.array_equal(_widened(a).view("<u8"), _widened(b).view("<u8"))


def _widened(values: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(invalid="ignore"):  # a signaling NaN
        return values.astype("<f8")
