"""DICOM Segmentation objects (SEG): every frame is put on the slice of the image where it lies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engine.case import Geometry
from ...engine.errors import Refused
from ..placement import Layers, box, in_layers, offset
from ..volume import StoredImage, geometry_of
from .instances import quiet_damage, read_dataset


def read(path: Path, image: StoredImage) -> Layers:
    """Layers of segment numbers on the grid of `image`. A fractional segment counts from one half on."""
    data = read_dataset(path)
    with quiet_damage(path):
        shape = image.array.shape[1:]
        frames = data.pixel_array.reshape(-1, int(data.Rows), int(data.Columns))
        kind = data.SegmentationType
        if kind == "FRACTIONAL":
            frames = frames >= int(data.MaximumFractionalValue) / 2
        masks: dict[int, NDArray[np.bool_]] = {}
        for frame, groups in zip(frames, data.PerFrameFunctionalGroupsSequence, strict=True):
            where = _place_of(path, image, frame, _affine(path, data, groups, image))
            for number, mask in _segments(kind, frame, groups, data):
                masks.setdefault(number, np.zeros(shape, bool))[where] |= mask
        return in_layers(sorted(masks.items()), shape)


def _segments(kind: str, frame: NDArray[Any], groups: Any, data: Any) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    if kind == "LABELMAP":
        yield from ((int(number), frame == number) for number in np.unique(frame) if number)
    else:
        identification = _group(data, groups, "SegmentIdentificationSequence")
        yield int(identification.ReferencedSegmentNumber), frame != 0


def _group(data: Any, groups: Any, keyword: str) -> Any:
    """The item of a functional group, which stands with the frame or once for all."""
    own = groups.get(keyword)
    return (own or data.SharedFunctionalGroupsSequence[0][keyword].value)[0]


def _affine(path: Path, data: Any, groups: Any, image: StoredImage) -> Geometry:
    """Where a frame lies. Its third axis is the image's: one slice has none of its own."""
    assert image.geometry is not None
    row, column = np.reshape(_group(data, groups, "PlaneOrientationSequence").ImageOrientationPatient, (2, 3)).astype(
        float
    )
    between_rows, between_columns = map(float, _group(data, groups, "PixelMeasuresSequence").PixelSpacing)
    position = np.array(_group(data, groups, "PlanePositionSequence").ImagePositionPatient, float)
    ijk_to_ras = image.geometry.ijk_to_ras.copy()
    to_ras = np.array([-1.0, -1.0, 1.0])
    for axis, vector in ((0, row * between_columns), (1, column * between_rows), (3, position)):
        ijk_to_ras[:3, axis] = vector * to_ras
    return geometry_of(path, ijk_to_ras)


def _place_of(path: Path, image: StoredImage, frame: NDArray[Any], geometry: Geometry) -> tuple[slice, ...]:
    assert image.geometry is not None
    size, shape = (1, *frame.shape), image.array.shape[1:]
    start, fits = offset(image.geometry, geometry, shape, size)
    if not fits:
        raise Refused(
            f"{path}: a frame of the segmentation does not lie on a slice of its image {image.path.name}; "
            "segment this series itself, or export both from one geometry"
        )
    return box(start, size)
