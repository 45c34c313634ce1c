"""What protection did to an image, in numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .case import Case
from .progress import Progress
from .window import IntensityWindow

_SSIM_WINDOW = 7  # pixels; uniform weights, as in the usual fast form of Wang et al., IEEE TIP 2004
_C1, _C2 = 0.01**2, 0.03**2


@dataclass(frozen=True)
class Quality:
    """Measured over the whole case; the peak of the PSNR and the range of the SSIM are the window width."""

    psnr_db: float | None  # None: nothing changed (never averaged as infinity)
    ssim: float  # mean over all pixels of the 7x7 SSIM in each slice (j, i)
    max_change: float  # largest |out - in|, stored units
    share_changed: float  # of all values, 0..1
    channel_changes: tuple[float, ...] = ()  # `max_change` of each channel

    def physical(self, case: Case) -> float:
        """`max_change` in physical units; of channels with units of their own the largest number."""
        if not case.channels:
            return self.max_change * abs(case.units.slope)
        return max(change * abs(channel.units.slope) for change, channel in zip(self.channel_changes, case.channels))


def measure(
    before: NDArray[Any],
    after: NDArray[Any],
    window: IntensityWindow | Sequence[IntensityWindow],
    progress: Progress | None = None,
) -> Quality:
    """Compares two images [C, D, H, W] of stored values, plane by plane so that memory stays small.

    `window`: of all channels, or one for each.
    """
    progress = progress or Progress()
    windows = [window] * len(before) if isinstance(window, IntensityWindow) else window
    largest = [0.0] * len(before)
    squares = lost_similarity = 0.0  # squares: of shares of the window
    changed = 0
    for channel, (channel_before, channel_after) in enumerate(zip(before, after)):
        for number, (plane_before, plane_after) in enumerate(zip(channel_before, channel_after)):
            progress.step("quality", number, len(channel_before))
            box = _changed_box(plane_before, plane_after)
            if box is None:
                continue
            difference = plane_after[box].astype(np.float64) - plane_before[box]
            difference[~np.isfinite(difference)] = 0.0  # NaN before is NaN after: not a change
            squares += float(np.sum(difference**2)) / windows[channel].width ** 2
            largest[channel] = max(largest[channel], float(np.abs(difference).max()))
            changed += int(np.count_nonzero(difference))
            lost_similarity += _lost_similarity(plane_before, plane_after, box, windows[channel])
    mean_square = squares / before.size
    psnr = -10 * math.log10(mean_square) if mean_square else None
    similarity = 1.0 - lost_similarity / before.size
    return Quality(psnr, similarity, max(largest), changed / before.size, tuple(largest))


def _changed_box(before: NDArray[Any], after: NDArray[Any]) -> tuple[slice, slice] | None:
    differs = (before != after) & ~((before != before) & (after != after))
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if not rows.size:
        return None
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _lost_similarity(
    before: NDArray[Any], after: NDArray[Any], box: tuple[slice, slice], window: IntensityWindow
) -> float:
    """Sum of 1 - SSIM over the plane. It is 0 away from any change, so only the box is looked at."""
    reach = 2 * (_SSIM_WINDOW // 2)  # half a window where SSIM differs from 1, and another half to compute it
    near = tuple(slice(max(0, s.start - reach), s.stop + reach) for s in box)
    x, y = (np.nan_to_num(window.normalize(plane[near])).astype(np.float64) for plane in (before, after))
    return float(np.sum(1.0 - ssim_map(x, y)))


def ssim_map(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Structural similarity of two planes [H, W] in [0, 1]: uniform 7x7 window, sample covariance, mirrored border."""
    size = _SSIM_WINDOW
    sample = size**2 / (size**2 - 1)
    mean_x, mean_y = ndimage.uniform_filter(x, size), ndimage.uniform_filter(y, size)
    variance_x = sample * (ndimage.uniform_filter(x * x, size) - mean_x**2)
    variance_y = sample * (ndimage.uniform_filter(y * y, size) - mean_y**2)
    covariance = sample * (ndimage.uniform_filter(x * y, size) - mean_x * mean_y)
    likeness = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return likeness / ((mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2))
