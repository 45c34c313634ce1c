"""How a logo enters the stored values. The same integers come out of numpy and of torch, on every machine.

Stored integers: q = floor((m * C + (255 - m) * p + 127) / 255) in int64, with m the matte 0..255, C the ink and p the
old value; then clipped to what the file can hold. The division rounds down for negative values too. True floats: the
same without rounding, in float64; floats that hold only integers get the integers of the formula, for 255 is odd and no
quotient lies half way. Exact restoring does not invert this: the certificate carries the old values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..window import IntensityWindow

if TYPE_CHECKING:
    import torch

OPAQUE = 255
#: Share of the window's width: standard deviation of the noise that covers a sealed support.
_SEAL_NOISE = 0.03


def faded(matte: NDArray[np.uint8], opacity: int) -> NDArray[np.uint8]:
    """The matte [h, w] at an opacity of 0..255."""
    return ((matte.astype(np.int64) * opacity + 127) // OPAQUE).astype(np.uint8)


def blend(
    stored: NDArray[Any],
    matte: NDArray[np.uint8],
    ink: NDArray[Any],
    limits: tuple[float, float] | None = None,
    quantum: float | None = None,
) -> NDArray[Any]:
    """`stored` [..., h, w] under the matte [h, w] and the ink (broadcast to `stored`); same dtype.

    Where the matte is 0 every bit stays. `limits`: what the file can hold, where that is less than the dtype can.
    `quantum`: as in `IntensityWindow`; needed for floats that hold only integers.
    """
    if np.issubdtype(stored.dtype, np.integer):
        m, p, c = matte.astype(np.int64), stored.astype(np.int64), np.rint(ink).astype(np.int64)
        mixed = (m * c + (OPAQUE - m) * p + 127) // OPAQUE
        return np.clip(mixed, *integer_limits(stored.dtype, limits)).astype(stored.dtype)
    share = matte.astype(np.float64) / OPAQUE
    mixed_float = _storable(share * ink + (1 - share) * stored, stored.dtype, limits, quantum)
    return np.where(matte > 0, mixed_float, stored)


def blend_torch(stored: torch.Tensor, matte: torch.Tensor, ink: torch.Tensor, limits: tuple[int, int]) -> torch.Tensor:
    """`blend` of integers as torch does it: int64 tensors in, int64 out, any device."""
    import torch

    mixed = torch.div(matte * ink + (OPAQUE - matte) * stored + 127, OPAQUE, rounding_mode="floor")
    return mixed.clamp(*limits)


def integer_limits(dtype: np.dtype, limits: tuple[float, float] | None) -> tuple[int, int]:
    """The smallest and largest stored integer."""
    if limits is not None:
        return int(limits[0]), int(limits[1])
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def _storable(
    values: NDArray[np.float64], dtype: np.dtype, limits: tuple[float, float] | None, quantum: float | None
) -> NDArray[Any]:
    """Values as the file can hold them: on its grid, within its limits."""
    on_grid = values if quantum is None else np.rint(values)
    if np.issubdtype(dtype, np.integer):
        limits = integer_limits(dtype, limits)
    return (on_grid if limits is None else np.clip(on_grid, *limits)).astype(dtype)


def sealed(
    plane: NDArray[Any], support: NDArray[np.bool_], random: np.random.Generator, window: IntensityWindow
) -> NDArray[Any]:
    """The plane [H, W] with nothing of the original left under the support: its surroundings drawn in, plus noise.

    What is drawn in depends on the pixels outside the support and on `random` alone.
    """
    hidden = support | ~np.isfinite(plane)
    background = _drawn_in(np.where(hidden, 0, plane).astype(np.float64), hidden)
    noisy = background + random.normal(0.0, _SEAL_NOISE * window.width, plane.shape)
    return np.where(support, _storable(noisy, plane.dtype, window.limits, window.quantum), plane)


def _drawn_in(known: NDArray[np.float64], hidden: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Means of what is known around each hidden pixel, from near to far: coarser and coarser Gaussians."""
    filled, missing = known.copy(), hidden.copy()
    sigma = 1.0
    while missing.any() and not hidden.all():
        weight = ndimage.gaussian_filter((~hidden).astype(np.float64), sigma)
        mean = ndimage.gaussian_filter(known, sigma)
        reached = missing & (weight > 0.05)
        filled[reached] = mean[reached] / weight[reached]
        missing &= ~reached
        sigma *= 2
    return filled
