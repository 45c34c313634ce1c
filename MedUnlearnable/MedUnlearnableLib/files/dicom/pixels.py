"""Pixel Data as stored values: which kinds are read, and how they are decoded and encoded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engine.errors import Refused
from ..volume import raw_bytes
from .instances import Instance, quiet_damage, read_dataset, tag_name

_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99")
_RLE = "1.2.840.10008.1.2.5"
_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202")
_JPEG_LOSSLESS = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80")
#: JPEG 2000 .91 is not among them: nothing but decoding and comparing would tell whether it is lossless.
LOSSLESS_SYNTAXES = (*_NATIVE, _RLE, *_JPEG_2000, *_JPEG_LOSSLESS)
_PHOTOMETRICS = ("MONOCHROME1", "MONOCHROME2", "RGB")
_REVERSIBLE_COLOR = "YBR_RCT"  # JPEG 2000 only; its decoder gives RGB back without loss


def refuse_unreadable(instance: Instance) -> None:
    """Everything about the pixels that a header tells."""
    header, path = instance.header, instance.path
    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax not in LOSSLESS_SYNTAXES:
        name = syntax.name if syntax else "not given"
        raise Refused(
            f"{path}: the Transfer Syntax is {name}, which is or may be lossy or is retired; "
            "get the series from its archive uncompressed or losslessly compressed"
        )
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise Refused(
            f"{path}: {tag_name('NumberOfFrames')} is {header.NumberOfFrames}: multi-frame images are not supported; "
            "convert it to one file for each slice"
        )
    colors = (*_PHOTOMETRICS, *([_REVERSIBLE_COLOR] if syntax in _JPEG_2000 else []))
    if instance.required("PhotometricInterpretation") not in colors:
        found = header.PhotometricInterpretation
        raise Refused(
            f"{path}: {tag_name('PhotometricInterpretation')} {found} is not supported; convert to MONOCHROME2 or RGB"
        )
    allocated, stored = int(instance.required("BitsAllocated")), int(instance.required("BitsStored"))
    high = int(header.get("HighBit", stored - 1))
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated or high != stored - 1:
        raise Refused(
            f"{path}: {tag_name('BitsAllocated')} {allocated} with Bits Stored {stored} and High Bit {high} is not "
            "supported; convert it to 8, 16 or 32 bits with the High Bit one below Bits Stored"
        )


def dtype_of(instance: Instance) -> np.dtype:
    signed = int(instance.required("PixelRepresentation"))
    return np.dtype(f"<{'i' if signed else 'u'}{int(instance.header.BitsAllocated) // 8}")


def limits_of(instance: Instance) -> tuple[float, float] | None:
    """What Bits Stored can hold, where that is less than the dtype."""
    bits, signed = int(instance.header.BitsStored), int(instance.header.PixelRepresentation)
    if bits == int(instance.header.BitsAllocated):
        return None
    return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)


def padding_of(instance: Instance) -> float | None:
    """Pixel Padding Value; a negative one that is filed as unsigned counts as what it means."""
    header, path = instance.header, instance.path
    if "PixelPaddingValue" not in header or header.PixelPaddingValue is None:
        return None
    value = int(header.PixelPaddingValue)
    other_end = header.get("PixelPaddingRangeLimit")
    if other_end is not None and int(other_end) != value:
        raise Refused(
            f"{path}: {tag_name('PixelPaddingRangeLimit')}: a range of padding values is not supported; "
            "set all padding to one value"
        )
    dtype = dtype_of(instance)
    if dtype.kind == "i" and value > np.iinfo(dtype).max:
        value -= 2 ** (8 * dtype.itemsize)
    return float(value)


def read_plane(instance: Instance) -> NDArray[Any]:
    """The stored values of one file, [C, H, W]. Refuses compressed pixels that no installed decoder reads."""
    data = read_dataset(instance.path)
    if "PixelData" not in data:
        raise Refused(f"{instance.path}: {tag_name('PixelData')} is missing, so there is no image; leave the file out")
    _refuse_without_decoder(instance)
    shape = (int(data.Rows), int(data.Columns), int(data.get("SamplesPerPixel", 1)))
    with quiet_damage(instance.path):
        pixels = data.pixel_array.reshape(shape)
    return np.moveaxis(pixels, -1, 0)


def encode(plane: NDArray[Any], dtype: np.dtype) -> bytes:
    """[C, H, W] as native Pixel Data, color by pixel, padded to an even length as the standard wants."""
    pixels = bytes(raw_bytes(np.moveaxis(plane, 0, -1), dtype))
    return pixels + b"\0" * (len(pixels) % 2)


def _refuse_without_decoder(instance: Instance) -> None:
    from pydicom.pixels import get_decoder

    syntax = instance.header.file_meta.TransferSyntaxUID
    if syntax not in _NATIVE and not get_decoder(syntax).is_available:
        raise Refused(
            f"{instance.path}: the pixels are compressed ({syntax.name}), and no decoder is installed; "
            "install one with: pip install 'medunlearnable[dicom]'"
        )
