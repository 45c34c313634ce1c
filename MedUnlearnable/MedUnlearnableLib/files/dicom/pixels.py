"""Pixel Data as stored values: which kinds are read, and how they are decoded and encoded."""

from __future__ import annotations

import os
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engine.errors import Refused
from ..volume import raw_bytes
from .instances import Instance, quiet_damage, read_dataset, tag_name

_IMPLICIT, _EXPLICIT, _DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
_PLAIN = (_IMPLICIT, _EXPLICIT)  # pixels lie in the file as they are
_RLE = "1.2.840.10008.1.2.5"
_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202")
_JPEG_LOSSLESS = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80")
#: JPEG 2000 .91 is not among them: nothing but decoding and comparing would tell whether it is lossless.
LOSSLESS_SYNTAXES = (*_PLAIN, _DEFLATED, _RLE, *_JPEG_2000, *_JPEG_LOSSLESS)
_PHOTOMETRICS = ("MONOCHROME1", "MONOCHROME2", "RGB")
_PIXEL_DATA = b"\xe0\x7f\x10\x00"  # its tag in a file
_REVERSIBLE_COLOR = "YBR_RCT"  # JPEG 2000 only; its decoder gives RGB back without loss


def refuse_unreadable(instance: Instance) -> None:
    """Everything about the pixels that a header tells."""
    path, syntax = instance.path, instance.transfer_syntax
    if syntax not in LOSSLESS_SYNTAXES:
        name = syntax.name if syntax else "not given"
        raise Refused(
            f"{path}: the Transfer Syntax is {name}, which is or may be lossy or is retired; "
            "get the series from its archive uncompressed or losslessly compressed"
        )
    frames = instance.whole("NumberOfFrames", 1)
    if frames > 1:
        raise Refused(
            f"{path}: {tag_name('NumberOfFrames')} is {frames}: multi-frame images are not supported; "
            "convert it to one file for each slice"
        )
    photometric = instance.required("PhotometricInterpretation")
    if photometric not in (*_PHOTOMETRICS, *([_REVERSIBLE_COLOR] if syntax in _JPEG_2000 else [])):
        raise Refused(
            f"{path}: {tag_name('PhotometricInterpretation')} {photometric} is not supported; "
            "convert to MONOCHROME2 or RGB"
        )
    samples = samples_of(instance)
    if samples != (3 if photometric in ("RGB", _REVERSIBLE_COLOR) else 1):
        raise Refused(f"{path}: {tag_name('SamplesPerPixel')} {samples} does not fit to {photometric}; repair the file")
    allocated, stored = instance.whole("BitsAllocated"), instance.whole("BitsStored")
    high = instance.whole("HighBit", stored - 1)
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated or high != stored - 1:
        raise Refused(
            f"{path}: {tag_name('BitsAllocated')} {allocated} with Bits Stored {stored} and High Bit {high} is not "
            "supported; convert it to 8, 16 or 32 bits with the High Bit one below Bits Stored"
        )


def samples_of(instance: Instance) -> int:
    return instance.whole("SamplesPerPixel", 1)


def dtype_of(instance: Instance) -> np.dtype:
    signed = instance.whole("PixelRepresentation")
    return np.dtype(f"<{'i' if signed else 'u'}{instance.whole('BitsAllocated') // 8}")


def limits_of(instance: Instance) -> tuple[float, float] | None:
    """What Bits Stored can hold, where that is less than the dtype."""
    bits, signed = instance.whole("BitsStored"), instance.whole("PixelRepresentation")
    if bits == instance.whole("BitsAllocated"):
        return None
    return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)


def padding_of(instance: Instance) -> float | None:
    """Pixel Padding Value; a negative one that is filed as unsigned counts as what it means."""
    if instance.get("PixelPaddingValue") is None:
        return None
    value = instance.whole("PixelPaddingValue")
    if instance.whole("PixelPaddingRangeLimit", value) != value:
        raise Refused(
            f"{instance.path}: {tag_name('PixelPaddingRangeLimit')}: a range of padding values is not supported; "
            "set all padding to one value"
        )
    dtype = dtype_of(instance)
    if dtype.kind == "i" and value > np.iinfo(dtype).max:
        value -= 2 ** (8 * dtype.itemsize)
    return float(value)


def read_plane(instance: Instance) -> NDArray[Any]:
    """The stored values of one file, [C, H, W]. Refuses compressed pixels that no installed decoder reads."""
    plane = _plain_plane(instance) if instance.transfer_syntax in _PLAIN else _decoded_plane(instance)
    return _without_unused_bits(plane, instance.whole("BitsStored"))


def _plain_plane(instance: Instance) -> NDArray[Any]:
    """Straight from the file: pydicom takes three times as long, which a series of hundreds of slices feels."""
    rows, columns, samples = instance.whole("Rows"), instance.whole("Columns"), samples_of(instance)
    dtype = dtype_of(instance)
    size = rows * columns * samples * dtype.itemsize
    with quiet_damage(instance.path), instance.path.open("rb") as file:
        file.seek(instance.pixels_at)
        _refuse_without_pixels(instance, file.read(len(_PIXEL_DATA)) == _PIXEL_DATA)
        # the length: 4 bytes, in explicit syntax after 2 of the kind of value and 2 reserved ones
        file.seek(0 if instance.transfer_syntax == _IMPLICIT else 4, os.SEEK_CUR)
        (length,) = struct.unpack("<I", file.read(4))
        content = file.read(min(length, size))
    if len(content) < size:
        raise Refused(
            f"{instance.path}: the DICOM file is damaged ({tag_name('PixelData')} holds {len(content):,} of {size:,} "
            "bytes); copy it again from its source"
        )
    values = np.frombuffer(content, dtype)
    if samples > 1 and instance.whole("PlanarConfiguration", 0) == 1:
        return values.reshape(samples, rows, columns)
    return np.moveaxis(values.reshape(rows, columns, samples), -1, 0)


def _decoded_plane(instance: Instance) -> NDArray[Any]:
    data = read_dataset(instance.path)
    _refuse_without_pixels(instance, "PixelData" in data)
    _refuse_without_decoder(instance)
    shape = instance.whole("Rows"), instance.whole("Columns"), samples_of(instance)
    with quiet_damage(instance.path):
        return np.moveaxis(data.pixel_array.reshape(shape), -1, 0)


def _refuse_without_pixels(instance: Instance, has_pixels: bool) -> None:
    if not has_pixels:
        raise Refused(f"{instance.path}: {tag_name('PixelData')} is missing, so there is no image; leave the file out")


def _without_unused_bits(plane: NDArray[Any], bits: int) -> NDArray[Any]:
    """Old files keep overlays in the bits above Bits Stored; they are no part of the value."""
    unused = 8 * plane.dtype.itemsize - bits
    return (plane << unused) >> unused if unused else plane  # the shift to the right brings the sign back


def encode(plane: NDArray[Any], dtype: np.dtype) -> bytes:
    """[C, H, W] as native Pixel Data, color by pixel, padded to an even length as the standard wants."""
    pixels = bytes(raw_bytes(np.moveaxis(plane, 0, -1), dtype))
    return pixels + b"\0" * (len(pixels) % 2)


def _refuse_without_decoder(instance: Instance) -> None:
    syntax = instance.transfer_syntax
    if not _has_decoder(syntax):
        raise Refused(
            f"{instance.path}: the pixels are compressed ({syntax.name}), and no decoder is installed; "
            "install one with: pip install 'medunlearnable[dicom]'"
        )


def _has_decoder(syntax: Any) -> bool:
    try:
        from pydicom.pixels import get_decoder
    except ModuleNotFoundError:  # pydicom 2, that of Slicer 5.10
        from pydicom.config import pixel_data_handlers

        return any(
            handler.supports_transfer_syntax(syntax) and handler.is_available() for handler in pixel_data_handlers
        )
    return bool(get_decoder(syntax).is_available)
