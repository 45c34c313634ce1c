"""Lesion boxes, and where a logo may stand so that it meets none of them.

Boxes are half-open (x0, y0, x1, y1) in stored pixels of one plane: x along the columns, y along the rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Box = tuple[int, int, int, int]
#: Most of a logo stands on tissue; one on air could be cropped away.
FOREGROUND_SHARE = 0.5


def boxes_of_plane(
    segments: Sequence[NDArray[np.integer]], margin_mm: float, spacing_ji: tuple[float, float]
) -> list[Box]:
    """One box for each connected part (8 neighbors) of each layer [H, W], widened by the margin within the plane."""
    boxes = []
    for layer in segments:
        parts, _ = ndimage.label(layer != 0, structure=np.ones((3, 3)))
        for rows, columns in ndimage.find_objects(parts):
            boxes.append(
                widened((columns.start, rows.start, columns.stop, rows.stop), margin_mm, spacing_ji, layer.shape)
            )
    return boxes


def widened(box: Box, margin_mm: float, spacing_ji: tuple[float, float], shape: tuple[int, ...]) -> Box:
    """The box with the margin on every side, rounded up to whole pixels, cut at the border of the plane."""
    rows, columns = (math.ceil(margin_mm / spacing - 1e-9) for spacing in spacing_ji)
    x0, y0, x1, y1 = box
    return max(0, x0 - columns), max(0, y0 - rows), min(shape[1], x1 + columns), min(shape[0], y1 + rows)


def boxes_as_mask(boxes: Sequence[Box], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """True inside the boxes."""
    mask = np.zeros(shape, bool)
    for x0, y0, x1, y1 in boxes:
        mask[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = True
    return mask


def foreground_of(gray: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tissue of a plane in [0, 1]: brighter than a tenth of its 99th percentile, holes of the body filled."""
    bright = gray > 0.1 * float(np.percentile(gray, 99))
    return ndimage.binary_fill_holes(ndimage.binary_opening(bright, iterations=1)) | bright


def feasible_places(
    forbidden: NDArray[np.bool_],
    foreground: NDArray[np.bool_],
    support: NDArray[np.bool_],
    centers: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Where the upper left corner of a logo may lie: [H - h + 1, W - w + 1], empty if the logo is too large.

    The frame of the `support` [h, w] holds no forbidden pixel (integral images: four additions a place), and at least
    half of the support is foreground. With `centers` the middle of the frame lies there.
    """
    height, width = support.shape
    if height > forbidden.shape[0] or width > forbidden.shape[1]:
        return np.zeros((0, 0), bool)
    places = _sums(forbidden, (height, width)) == 0
    from scipy.signal import fftconvolve  # takes long to load; every command would wait for it

    on_tissue = fftconvolve(foreground.astype(np.float64), support[::-1, ::-1].astype(np.float64), mode="valid")
    places &= np.rint(on_tissue) >= FOREGROUND_SHARE * np.count_nonzero(support)
    if centers is not None:
        rows, columns = places.shape
        places &= centers[height // 2 : height // 2 + rows, width // 2 : width // 2 + columns]
    return places


def _sums(mask: NDArray[np.bool_], frame: tuple[int, int]) -> NDArray[np.int64]:
    """How many pixels of the mask each frame holds."""
    table = np.pad(mask.astype(np.int64), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    height, width = frame
    return table[height:, width:] - table[:-height, width:] - table[height:, :-width] + table[:-height, :-width]


def nearest_places(places: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each place the nearest feasible one: [2, rows, columns] of y and x."""
    return ndimage.distance_transform_edt(~places, return_distances=False, return_indices=True).astype(np.int64)
