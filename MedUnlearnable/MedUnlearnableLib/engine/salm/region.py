"""Where SALM may change a pixel, and which of these pixels it takes: by the gradient of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..case import Case
from ..errors import Refused
from ..masks import contour_and_interior, contour_radius, slabs_around
from ..window import IntensityWindow

#: Standard deviation of the surroundings: wide enough for runs of many periods of a pattern.
_EVEN_AROUND_PIXELS = 2.0


def segment_region(case: Case, region: str) -> NDArray[np.bool_]:
    """Voxels [D, H, W] that the segments leave for a change: `all`, `inside`, `outside` or a `band` around contours.

    Refuses a region that needs segments where there are none.
    """
    if region == "all":
        return np.broadcast_to(np.True_, case.shape_kji)
    if not case.has_foreground:
        raise Refused(f"--region {region} needs segments, but there are none with a voxel; give labels or --region all")
    if region == "band":
        return _band(case)
    inside = np.any([layer != 0 for layer in case.segments], axis=0)
    return inside if region == "inside" else ~inside


def _band(case: Case) -> NDArray[np.bool_]:
    """About three of the finest pixels on both sides of every contour."""
    radius = contour_radius(case.geometry.spacing_kji, case.shape_kji)
    band = np.zeros(case.shape_kji, bool)
    for slab in slabs_around(case.segments, radius):
        contour, _ = contour_and_interior([layer[slab.halo] for layer in case.segments], radius)
        band[slab.core] = contour[slab.inner]
    return band


def within_windows(stored: NDArray[Any], windows: Sequence[IntensityWindow]) -> NDArray[np.bool_]:
    """Where the mean of the channels of `stored` [C, ...] lies strictly inside their windows; air and NaN do not.

    What lies at the ends is air, metal or saturated, and there a pattern would be cut in half.
    """
    here = [window.contains(channel) for window, channel in zip(windows, stored)]
    fraction = np.mean([window.normalize(channel) for window, channel in zip(windows, stored)], axis=0)
    with np.errstate(invalid="ignore"):
        return np.any(here, axis=0) & (fraction > 0) & (fraction < 1)


def gradient_magnitude(plane: NDArray[np.floating]) -> NDArray[np.float32]:
    """Sum over the channels of a plane [C, H, W] of the length of the gradient, by central differences; [H, W]."""
    total = np.zeros(plane.shape[1:], np.float32)
    for channel in np.nan_to_num(plane):
        slopes = [np.gradient(channel, axis=axis) for axis in (0, 1) if channel.shape[axis] > 1]
        total += np.hypot(*slopes) if len(slopes) == 2 else np.abs(sum(slopes))
    return total


def evenness(plane: NDArray[np.floating]) -> NDArray[np.float32]:
    """How even the surroundings of a pixel are: minus the gradient magnitude, averaged by a Gaussian; [H, W]."""
    return -ndimage.gaussian_filter(gradient_magnitude(plane), _EVEN_AROUND_PIXELS, mode="nearest")


def sample_count(allowed: NDArray[np.bool_], share: float) -> int:
    """k: how many of the allowed pixels a mask takes, at least one where there is one."""
    count = int(allowed.sum())
    return min(count, max(1, round(share * count)))


def largest(score: NDArray[np.floating], allowed: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """The `count` allowed pixels with the largest score; where scores are equal, those that come first."""
    chosen = np.zeros(score.shape, bool)
    places = np.flatnonzero(allowed)
    values = score.ravel()[places]
    if not count:
        return chosen
    least = np.partition(values, len(values) - count)[len(values) - count]
    above = values > least
    equal = np.flatnonzero(values == least)[: count - int(above.sum())]
    above[equal] = True
    chosen.ravel()[places[above]] = True
    return chosen
