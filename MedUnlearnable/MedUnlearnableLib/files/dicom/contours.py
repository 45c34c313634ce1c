"""DICOM structure sets (RTSTRUCT): closed contours, filled on the slices of the image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engine.errors import Refused
from ..placement import Layers, in_layers
from ..volume import StoredImage
from .instances import quiet_damage, read_dataset

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
#: A contour may lie this far beside the middle of a slice, in slices: coordinates are rounded.
_OFF_SLICE = 0.1


def read(path: Path, image: StoredImage) -> Layers:
    """Layers of ROI numbers on the grid of `image`. Points and open contours have no inside and are left out."""
    data = read_dataset(path)
    with quiet_damage(path):
        masks = [
            (int(roi.ReferencedROINumber), mask)
            for roi in data.ROIContourSequence
            if (mask := _filled(path, image, roi)) is not None
        ]
    if not masks:
        raise Refused(f"{path}: the structure set holds no closed contour, so it is no label; give another one")
    return in_layers(masks, image.array.shape[1:])


def _filled(path: Path, image: StoredImage, roi: Any) -> NDArray[np.bool_] | None:
    """The inside of one ROI, [D, H, W]; None where it has no closed contour."""
    closed = [contour for contour in roi.get("ContourSequence") or () if contour.ContourGeometricType in _CLOSED]
    if not closed:
        return None
    mask = np.zeros(image.array.shape[1:], bool)
    for contour in closed:
        k, points = _on_slice(path, image, np.reshape(contour.ContourData, (-1, 3)).astype(float))
        mask[k] ^= inside(points, mask.shape[1:])  # a contour within another one is a hole
    return mask


def _on_slice(path: Path, image: StoredImage, points_lps: NDArray[np.float64]) -> tuple[int, NDArray[np.float64]]:
    """The slice of a contour, and its points (i, j) there."""
    assert image.geometry is not None
    ras = np.column_stack([points_lps * [-1.0, -1.0, 1.0], np.ones(len(points_lps))])
    ijk = np.linalg.solve(image.geometry.ijk_to_ras, ras.T).T.astype(np.float64)
    k = int(np.rint(ijk[0, 2]))
    if np.abs(ijk[:, 2] - k).max() > _OFF_SLICE or not 0 <= k < image.array.shape[1]:
        raise Refused(
            f"{path}: a contour does not lie on a slice of its image {image.path.name}; "
            "give the series that the contours were drawn on"
        )
    return k, ijk[:, :2]


def inside(points: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels [H, W] whose center lies inside the polygon `points` [N, 2] (i, j): an odd number of edges lies before."""
    height, width = shape
    crossings = np.zeros((height, width + 1), np.int64)
    for (i0, j0), (i1, j1) in zip(points, np.roll(points, -1, axis=0)):
        first, last = np.clip(np.ceil(sorted((j0, j1))), 0, height).astype(int)  # rows with j0 <= row < j1
        rows = np.arange(first, last)
        if len(rows):
            columns = i0 + (rows - j0) * (i1 - i0) / (j1 - j0)
            crossings[rows, np.clip(np.ceil(columns), 0, width).astype(int)] += 1
    return np.cumsum(crossings, axis=1)[:, :width] % 2 == 1
