"""Where UMed may change a voxel: contour band, interior and texture bound (arXiv 2403.14250; details are our choice).

All functions look at a voxel's neighborhood only, so they give the same result on a slab with a halo as on the volume.
Label layers are [D, H, W] of label values, 0 = background.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

#: Contour width in units of the finest spacing: a band about 6 pixels wide, half of it outside the segment.
CONTOUR_PIXELS = 3

_SLAB_VOXELS = 2_000_000  # under a second of work, about 50 MB of temporary arrays

Box = tuple[slice, slice, slice]
Radius = tuple[int, int, int]


@dataclass(frozen=True)
class Slab:
    """A part of a volume worked on at once: `core` is written, `halo` is read, `inner` is the core within the halo."""

    core: Box
    halo: Box
    inner: Box


def contour_radius(spacing_kji: Sequence[float], shape_kji: Sequence[int], width_mm: float | None = None) -> Radius:
    """Half-width of the contour band in voxels per axis (k, j, i): width_mm / spacing, rounded.

    The default width is three of the finest spacing. The two finest axes get at least 1; across thick slices it may
    be 0. An axis of one voxel has no neighbors and does not count.
    """
    extended = [axis for axis in range(3) if shape_kji[axis] > 1]
    if not extended:
        return 0, 0, 0
    finest_first = sorted(extended, key=lambda axis: (spacing_kji[axis], -axis))
    width = CONTOUR_PIXELS * spacing_kji[finest_first[0]] if width_mm is None else width_mm
    radius = [0, 0, 0]
    for rank, axis in enumerate(finest_first):
        radius[axis] = max(round(width / spacing_kji[axis]), 1 if rank < 2 else 0)
    return radius[0], radius[1], radius[2]


def contour_and_interior(
    layers: Sequence[NDArray[np.integer]], radius: Radius
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Contour: voxels whose box of `radius` holds some label, but not that label alone, for any label of any layer.

    That is dilate(label) and not erode(label), united over labels, so borders between organs count. Within one layer
    it is where the largest and the smallest value of the box differ. Outside the image is ignored.
    Interior: under a segment and not contour. Both bool [D, H, W].
    """
    size = tuple(2 * r + 1 for r in radius)
    shape = layers[0].shape
    contour = np.zeros(shape, bool)
    foreground = np.zeros(shape, bool)
    for layer in layers:
        highest = ndimage.maximum_filter(layer, size=size, mode="nearest")
        contour |= highest != ndimage.minimum_filter(layer, size=size, mode="nearest")
        foreground |= layer != 0
    return contour, foreground & ~contour


def local_binary_texture(gray: NDArray[np.floating]) -> NDArray[np.float32]:
    """Share of neighbors that are at least as bright as the voxel, [D, H, W] in [0, 1] (local binary pattern count).

    8 neighbors in 2D (D = 1), the 6 face neighbors in 3D. Outside the image the edge voxel is repeated.
    """
    if gray.shape[0] == 1:
        offsets = [(0, dj, di) for dj in (-1, 0, 1) for di in (-1, 0, 1) if dj or di]
    else:
        offsets = [(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)]
    padded = np.pad(gray, 1, mode="edge")
    depth, height, width = gray.shape
    count = np.zeros(gray.shape, np.uint8)
    for dk, dj, di in offsets:
        count += padded[1 + dk : 1 + dk + depth, 1 + dj : 1 + dj + height, 1 + di : 1 + di + width] >= gray
    return count.astype(np.float32) / np.float32(len(offsets))


def local_deviation(gray: NDArray[np.floating], radius: Radius) -> NDArray[np.float32]:
    """Standard deviation within the box of `radius`, of each slice by itself, [D, H, W] in the units of `gray`.

    Outside the image the edge voxel is repeated. Sums are taken anew for each voxel: a running sum would depend on
    where the array begins, and so on the tile.
    """
    mean, square = gray.astype(np.float64), gray.astype(np.float64) ** 2
    for axis in (1, 2):
        weights = np.full(2 * radius[axis] + 1, 1 / (2 * radius[axis] + 1))
        mean, square = (ndimage.correlate1d(part, weights, axis, mode="nearest") for part in (mean, square))
    return np.sqrt(np.maximum(square - mean**2, 0)).astype(np.float32)


def slabs_around(layers: Sequence[NDArray[np.integer]], radius: Radius) -> Iterator[Slab]:
    """Slabs along k that cover every voxel within `radius` of a segment, each with the halo the masks need."""
    box = bounding_box(layers, radius)
    if box is None:
        return
    shape = layers[0].shape
    margin = tuple(max(r, 1) for r in radius)  # 1: the neighbors of the texture
    halo_plane = tuple(
        slice(max(0, box[axis].start - margin[axis]), min(shape[axis], box[axis].stop + margin[axis]))
        for axis in (1, 2)
    )
    plane_voxels = (halo_plane[0].stop - halo_plane[0].start) * (halo_plane[1].stop - halo_plane[1].start)
    thickness = max(1, _SLAB_VOXELS // plane_voxels)
    for start in range(box[0].start, box[0].stop, thickness):
        stop = min(start + thickness, box[0].stop)
        halo_k = slice(max(0, start - margin[0]), min(shape[0], stop + margin[0]))
        core = (slice(start, stop), box[1], box[2])
        halo = (halo_k, halo_plane[0], halo_plane[1])
        yield Slab(core, halo, tuple(slice(c.start - h.start, c.stop - h.start) for c, h in zip(core, halo)))  # type: ignore[arg-type]


def bounding_box(layers: Sequence[NDArray[np.integer]], radius: Radius) -> Box | None:
    """The box around all segments, widened by `radius` within the volume; None without foreground."""
    shape = layers[0].shape
    slices = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        used = np.flatnonzero(np.any([layer.any(axis=others) for layer in layers], axis=0))
        if not used.size:
            return None
        slices.append(slice(max(0, used[0] - radius[axis]), min(shape[axis], used[-1] + 1 + radius[axis])))
    return slices[0], slices[1], slices[2]
