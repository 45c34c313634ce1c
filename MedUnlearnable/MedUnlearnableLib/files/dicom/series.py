"""One DICOM series, or a single image, as a volume on a regular grid. Nothing is ever resampled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ...engine.case import Geometry, Units
from ...engine.errors import Refused
from ..volume import StoredImage, geometry_of
from . import derived, pixels
from .instances import NOT_IMAGES, Instance, dicom_files, read_header, tag_name

#: How far a slice may lie from the regular grid. Positions are often rounded to 0.1 mm: the ends of the grid are off by
#: half of that, and so is the slice.
GRID_TOLERANCE_MM = 0.1
_GRID_TOLERANCE_SPACING = 0.1  # for tiny spacings
_PARALLEL = 1e-4  # largest difference of direction cosines
#: What all slices must agree on: otherwise one array, one slope and one header would not describe them.
_COMMON = (
    "Modality",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelSpacing",
    "RescaleSlope",
    "RescaleIntercept",
)
_NO_NAME = ("", "REMOVED", "ANONYMOUS", "ANONYMIZED")


def read(path: Path) -> StoredImage:
    """A folder that holds one series, or one file. Refuses by name what is no regular grid of stored values."""
    files = dicom_files(path) if path.is_dir() else [path]
    instances = [instance for file in files if (instance := read_header(file)).modality not in NOT_IMAGES]
    if not instances:
        raise Refused(f"{path}: there is no DICOM image; give the folder of a CT, MR or other image series")
    _refuse_mixture(instances)
    for instance in instances:
        pixels.refuse_unreadable(instance)
    if len(instances) > 1:
        instances = _in_order(path, instances)
    first = instances[0]

    def write_to(target: IO[bytes] | Path, array: NDArray[Any]) -> None:
        derived.write([instance.path for instance in instances], target, array)

    def write_marked(target: IO[bytes] | Path, array: NDArray[Any]) -> None:
        derived.write([instance.path for instance in instances], target, array, burned_in=True)

    def write_restored(target: IO[bytes] | Path, array: NDArray[Any]) -> None:
        derived.write([instance.path for instance in instances], target, array, restored=True)

    return StoredImage(
        path=path,
        array=_voxels(instances),
        geometry=_geometry(path, instances),
        write_to=write_to,
        write_marked=write_marked,
        write_restored=write_restored,
        units=_units(first),
        modality="picture" if pixels.samples_of(first) == 3 else first.modality,
        padding=pixels.padding_of(first),
        limits=pixels.limits_of(first),
        warnings=_privacy_warnings(first),
        parts=tuple(instance.path for instance in instances) if path.is_dir() else (),
    )


def _refuse_mixture(instances: Sequence[Instance]) -> None:
    first = instances[0]
    for other in instances[1:]:
        if other.get("SeriesInstanceUID") != first.get("SeriesInstanceUID"):
            raise Refused(
                f"{other.path}: belongs to another series than {first.path.name}; put each series into its own folder"
            )
        for keyword in _COMMON if _as_stored(other) != _as_stored(first) else ():
            here, there = other.get(keyword), first.get(keyword)
            if here != there:
                raise Refused(
                    f"{other.path}: {tag_name(keyword)} is {here}, but {there} in {first.path.name}; "
                    "leave out what does not belong to the volume"
                )


def _as_stored(instance: Instance) -> list[Any]:
    """What the file holds for the common tags. Bytes that agree need not be understood, which takes longer."""
    elements = (instance.header.get_item(keyword) for keyword in _COMMON)
    return [element and element.value for element in elements]


def _in_order(path: Path, instances: Sequence[Instance]) -> list[Instance]:
    """Along the normal of the slices. Refuses turned, tilted, double, missing and irregular slices."""
    _refuse_turned(instances)
    normal = np.cross(*_axes(instances[0]))
    ordered = sorted(instances, key=lambda instance: float(_position(instance) @ normal))
    positions = np.array([_position(instance) for instance in ordered])
    heights = positions @ normal
    _refuse_tilt(path, positions - positions[0] - np.outer(heights - heights[0], normal), heights)
    _refuse_gaps(path, ordered, heights)
    return ordered


def _refuse_turned(instances: Sequence[Instance]) -> None:
    for instance in instances:
        if np.abs(_axes(instance) - _axes(instances[0])).max() > _PARALLEL:
            raise Refused(
                f"{instance.path}: {tag_name('ImageOrientationPatient')} differs from {instances[0].path.name}; "
                "leave out localizers and slices of other planes"
            )


def _refuse_tilt(path: Path, aside: NDArray[np.float64], heights: NDArray[np.float64]) -> None:
    """`aside` [N, 3]: how far each slice lies beside the normal through the first."""
    largest = float(np.linalg.norm(aside, axis=1).max())
    if largest > max(GRID_TOLERANCE_MM, _PARALLEL * (heights[-1] - heights[0])):
        raise Refused(
            f"{path}: the slices are shifted against each other by up to {largest:.3g} mm (gantry tilt); "
            "correct the tilt first, slices are not resampled here"
        )


def _refuse_gaps(path: Path, ordered: Sequence[Instance], heights: NDArray[np.float64]) -> None:
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    tolerance = min(GRID_TOLERANCE_MM, _GRID_TOLERANCE_SPACING * usual)
    for before, after, gap in zip(ordered, ordered[1:], gaps):
        if gap <= tolerance:
            raise Refused(
                f"{after.path}: lies at the same place as {before.path.name}; "
                "put each phase or echo into its own folder"
            )
    if np.abs(heights - np.linspace(heights[0], heights[-1], len(heights))).max() > tolerance:
        odd = int(np.argmax(np.abs(gaps - usual)))
        raise Refused(
            f"{path}: slices are missing or irregular: {ordered[odd].path.name} and {ordered[odd + 1].path.name} are "
            f"{gaps[odd]:.4g} mm apart, most are {usual:.4g} mm; add the missing slices or split the series"
        )


def _axes(instance: Instance) -> NDArray[np.float64]:
    """Unit vectors along a row and along a column, LPS."""
    return _numbers(instance, "ImageOrientationPatient", 6).reshape(2, 3)


def _position(instance: Instance) -> NDArray[np.float64]:
    return _numbers(instance, "ImagePositionPatient", 3)


def _numbers(instance: Instance, keyword: str, count: int) -> NDArray[np.float64]:
    value = instance.required(keyword)
    try:
        numbers = np.atleast_1d(np.array(value, dtype=np.float64))
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise Refused(f"{instance.path}: {tag_name(keyword)} must hold {count} numbers; repair the file")
    return numbers


def _voxels(instances: Sequence[Instance]) -> NDArray[Any]:
    """[C, D, H, W], filled slice by slice, so that no second copy is needed."""
    first = instances[0]
    shape = (pixels.samples_of(first), len(instances), first.whole("Rows"), first.whole("Columns"))
    array = np.empty(shape, pixels.dtype_of(first))
    for number, instance in enumerate(instances):
        array[:, number] = pixels.read_plane(instance)
    array.setflags(write=False)
    return array


def _geometry(path: Path, instances: Sequence[Instance]) -> Geometry | None:
    """From orientation, position and spacing; None for pictures that have no place in the patient."""
    first, last = instances[0], instances[-1]
    if not all(first.get(name) for name in ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing")):
        return None
    row, column = _axes(first)
    between_rows, between_columns = _numbers(first, "PixelSpacing", 2)
    if len(instances) > 1:
        step = (_position(last) - _position(first)) / (len(instances) - 1)
    else:
        step = np.cross(row, column) * (first.number("SliceThickness", 1.0) or 1.0)
    lps = np.column_stack([row * between_columns, column * between_rows, step, _position(first)])
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3] = lps * np.array([[-1.0], [-1.0], [1.0]])
    return geometry_of(path, ijk_to_ras)


def _units(first: Instance) -> Units:
    slope, intercept = first.number("RescaleSlope", 1.0), first.number("RescaleIntercept", 0.0)
    if slope == 0:
        raise Refused(f"{first.path}: {tag_name('RescaleSlope')} is 0, so the values mean nothing; repair the file")
    hounsfield = first.modality == "CT" and first.get("RescaleType", "HU") == "HU"
    return Units(slope, intercept, "HU" if hounsfield else "")


def _privacy_warnings(first: Instance) -> tuple[str, ...]:
    """The name itself is not repeated: warnings are handed out."""
    name = str(first.get("PatientName", "")).strip(" ^").upper()
    if name in _NO_NAME:
        return ()
    return (
        f"{tag_name('PatientName')} is filled in: protected is not de-identified; de-identify the files before sharing",
    )
