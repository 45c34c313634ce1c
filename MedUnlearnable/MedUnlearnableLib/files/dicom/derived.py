"""Writes derived DICOM images: the source instances with other voxels, as a new series of the same study.

Image Type, Derivation Description and Source Image Sequence: DICOM PS3.3, C.7.6.1.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from numpy.typing import NDArray

from ... import __version__
from ...engine.record import NOT_FOR_DIAGNOSIS, voxels_sha256
from .instances import quiet_damage, read_header, saved
from .pixels import encode

# The standard's limits in characters: Series Description is an LO, Derivation Description an ST.
_DESCRIPTION_LENGTH, _DERIVATION_LENGTH = 64, 1024
_SERIES_MARK = " (not for diagnosis)"
#: True of the source only: a thumbnail of the clean image, value ranges, when the source was made.
_NOT_KEPT = (
    "IconImageSequence",
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries",
    "InstanceCreationDate",
    "InstanceCreationTime",
)


def write(
    sources: Sequence[Path],
    target: IO[bytes] | Path,
    array: NDArray[Any],
    burned_in: bool = False,
    restored: bool = False,
) -> None:
    """One file for each source, with its name, into the folder `target`; or the only one into the open file `target`.

    The same voxels always get the same identifiers, so a run that is resumed repeats its bytes. `burned_in`: marks
    that can be seen are in the pixels. `restored`: the original values of a protected series, so it is marked no more.
    """
    fingerprint = voxels_sha256(array)
    for number, source in enumerate(sources):
        content = _derive(source, array[:, number], fingerprint, burned_in, restored)
        if isinstance(target, Path):
            (target / source.name).write_bytes(content)
        else:
            target.write(content)


def _derive(source: Path, plane: NDArray[Any], fingerprint: str, burned_in: bool, restored: bool) -> bytes:
    """The source with other voxels. What is not named here stays as it is, private tags too."""
    data = read_header(source).header  # what follows the pixels is a signature, no longer valid
    with quiet_damage(source):
        _refer_to_source(data)
        if restored:
            _unmark(data)
        else:
            _mark(data)
        for keyword in _NOT_KEPT:
            if keyword in data:
                delattr(data, keyword)
        if burned_in:
            data.BurnedInAnnotation = "YES"
        data.SOPInstanceUID = _identifier(data.SOPInstanceUID, fingerprint)
        data.SeriesInstanceUID = _identifier(data.SeriesInstanceUID, fingerprint)
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        _set_pixels(data, plane)
        return saved(data)


def _identifier(source: str, fingerprint: str) -> str:
    """A UID of its own for each source and content, in the form "2.25." and a UUID."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{source}/{fingerprint}').int}"


def _refer_to_source(data: Any) -> None:
    from pydicom.dataset import Dataset

    purpose, item = Dataset(), Dataset()
    purpose.CodeValue = "121322"
    purpose.CodingSchemeDesignator = "DCM"
    purpose.CodeMeaning = "Source image for image processing operation"
    item.ReferencedSOPClassUID = data.SOPClassUID
    item.ReferencedSOPInstanceUID = data.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [purpose]
    data.SourceImageSequence = [item]


def _unmark(data: Any) -> None:
    _describe(data, f"original values restored by MedUnlearnable {__version__}")
    data.SeriesDescription = str(data.get("SeriesDescription") or "").removesuffix(_SERIES_MARK.strip()).rstrip()


def _mark(data: Any) -> None:
    given = data.get("ImageType") or []
    values = [given] if isinstance(given, str) else list(given)
    data.ImageType = ["DERIVED", "SECONDARY", *values[2:]]
    _describe(data, f"protected by MedUnlearnable {__version__}: {NOT_FOR_DIAGNOSIS}")
    description = str(data.get("SeriesDescription") or "")
    data.SeriesDescription = description[: _DESCRIPTION_LENGTH - len(_SERIES_MARK)] + _SERIES_MARK


def _describe(data: Any, note: str) -> None:
    earlier = f"{data.DerivationDescription}; " if data.get("DerivationDescription") else ""
    data.DerivationDescription = (earlier + note)[-_DERIVATION_LENGTH:]


def _set_pixels(data: Any, plane: NDArray[Any]) -> None:
    """Native pixels, explicit little endian: every reader decodes them, and nothing is lost."""
    from pydicom.uid import ExplicitVRLittleEndian

    if len(plane) == 3:
        data.PhotometricInterpretation = "RGB"
        data.PlanarConfiguration = 0
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dtype = plane.dtype.newbyteorder("<")
    data.add_new("PixelData", "OB" if dtype.itemsize == 1 else "OW", encode(plane, dtype))
