"""A part of a case as UMed sees it: brightness, contour, interior, and how much each voxel may change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..carrier import Carrier, fine_axes
from ..case import Case, Geometry
from ..masks import (
    Box,
    Radius,
    Slab,
    contour_and_interior,
    contour_radius,
    local_binary_texture,
    local_deviation,
)
from ..window import IntensityWindow, Windows
from ..window_rules import windows_of
from .params import UMedParams

#: A budget of this share of the deviation around a voxel is used up by stripes, which then are a quarter as strong as
#: it. In even tissue a quarter of the stripes is left: of one strength, they can be made out in cysts.
_DEVIATION_SHARE = 0.5
_FAINTEST_STRIPES = np.float32(0.25)


@dataclass(frozen=True)
class Setup:
    """What the masks and bounds need: the choices, the CT window of the cohort, the carrier."""

    params: UMedParams
    ct_window_hu: tuple[float, float] | None
    carrier: Carrier

    def windows(self, case: Case) -> Windows:
        return windows_of(case, self.params.window, self.ct_window_hu)

    def radius(self, case: Case) -> Radius:
        """Half-width of the contour band in voxels, (k, j, i)."""
        return contour_radius(case.geometry.spacing_kji, case.shape_kji, self.params.contour_mm)


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of each slice, [C, D]."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]


@dataclass(frozen=True)
class Region:
    """The halo of a slab. Within `Slab.inner` all of it is as in the whole volume; at the rim the masks are not."""

    slab: Slab
    radius: Radius  # half-width of the contour band
    image: NDArray[np.float32]  # [C, D, H, W], the window as 0 to 1
    contour: NDArray[np.bool_]  # [D, H, W]
    interior: NDArray[np.bool_]  # [D, H, W], not contour
    segments: NDArray[np.bool_]  # [D, H, W]; half of the contour lies outside

    def bound(self, params: UMedParams) -> NDArray[np.float32]:
        """Largest change of each voxel, share of the budget [D, H, W]: all on the contour, less outside the segments
        and, by texture, in the interior."""
        texture = np.maximum(local_binary_texture(self.image.mean(0)), np.float32(params.smallest_texture))
        contour = np.where(self.segments, np.float32(1), np.float32(params.largest_outside))
        return np.where(self.contour, contour, np.where(self.interior, texture, np.float32(0)))

    def hides_stripes(self, params: UMedParams) -> NDArray[np.float32]:
        """How strong stripes may be, 0 to 1 [D, H, W] (ours): at most a share of the tissue's deviation around them."""
        deviation = local_deviation(self.image.mean(0), self.radius)
        return np.clip(deviation * np.float32(_DEVIATION_SHARE / params.budget_share), _FAINTEST_STRIPES, np.float32(1))


def region_of(case: Case, windows: Windows, slab: Slab, radius: Radius) -> Region:
    layers = [layer[slab.halo] for layer in case.segments]
    contour, interior = contour_and_interior(layers, radius)
    segments = np.logical_or.reduce([layer != 0 for layer in layers])
    image = np.stack([_normalized(window, channel[slab.halo]) for window, channel in zip(windows, case.image)])
    return Region(slab, radius, image, contour, interior, segments)


def brightness_scale(case: Case, windows: Windows, dimensions: int) -> Scale:
    """What an upright image is z-scored with: each slice by itself in 2D, the whole volume in 3D.

    Plane by plane, because the whole as floats may not fit into memory.
    """
    moments = np.array(
        [[_moments(_normalized(window, plane)) for plane in channel] for window, channel in zip(windows, case.image)]
    )
    if dimensions == 3:
        moments = np.broadcast_to(moments.mean(axis=1, keepdims=True), moments.shape)
    variance = np.maximum(moments[..., 1] - moments[..., 0] ** 2, 1e-12)
    return Scale(moments[..., 0].astype(np.float32), np.sqrt(variance).astype(np.float32))


def _moments(plane: NDArray[np.float32]) -> tuple[float, float]:
    values = plane.astype(np.float64)
    return float(values.mean()), float((values**2).mean())


def _normalized(window: IntensityWindow, stored: NDArray[Any]) -> NDArray[np.float32]:
    """The window as 0 to 1; NaN, which never changes, as 0."""
    return np.nan_to_num(window.normalize(stored))


def upright(case: Case) -> Case:
    """The case with its slices along k: the axis the carrier does not alternate along comes first. Views, no copies."""
    across = slice_axis(case)
    spacing = np.array(case.geometry.spacing_kji)
    k, j, i = np.concatenate([spacing[[across]], np.delete(spacing, across)])
    return replace(
        case,
        image=np.moveaxis(case.image, 1 + across, 1),
        segments=tuple(np.moveaxis(layer, across, 0) for layer in case.segments),
        geometry=Geometry.of_spacing((i, j, k)),
    )


def slice_axis(case: Case) -> int:
    """The axis (of k, j, i) that slices are stacked along: the coarsest, or the one of a single voxel."""
    return ({0, 1, 2} - set(fine_axes(case.geometry.spacing_kji, case.shape_kji))).pop()


def slab_with_halo(core: Box, halo_voxels: Sequence[int], shape_kji: Sequence[int]) -> Slab:
    """`core` and what lies within `halo_voxels` of it in the volume."""
    low = [max(0, part.start - more) for part, more in zip(core, halo_voxels)]
    high = [min(side, part.stop + more) for part, more, side in zip(core, halo_voxels, shape_kji)]
    halo = tuple(slice(a, b) for a, b in zip(low, high))
    inner = tuple(slice(part.start - a, part.stop - a) for part, a in zip(core, low))
    return Slab(core, halo, inner)  # type: ignore[arg-type]


def tiles(box: Box, sides: Sequence[int], origin_multiple: Sequence[int]) -> Iterator[Box]:
    """Boxes of at most `sides` that cover `box` once; each begins at multiples of `origin_multiple`.

    Where the box itself does not begin at such a multiple, the first tile begins before it.
    """
    starts = [
        range(part.start // multiple * multiple, part.stop, side)
        for part, side, multiple in zip(box, sides, origin_multiple)
    ]
    for corner in product(*starts):
        yield tuple(slice(a, min(a + side, part.stop)) for a, side, part in zip(corner, sides, box))  # type: ignore[misc]
