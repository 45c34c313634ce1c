"""The intensity window: what epsilon means in stored values, and how a perturbation is written back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import Refused

#: Below this many levels, rounding to the stored grid takes a visible part of the perturbation.
FEW_LEVELS = 2


@dataclass(frozen=True)
class IntensityWindow:
    """Maps stored values [lo, hi] to [0, 1]. epsilon is a fraction of the window: 4/255 of 400 HU is 6.27 HU.

    lo, hi: stored units. quantum: the step of the stored grid (1 for integers), or None for true floats.
    limits: what the file can hold, where that is less than the dtype can (12 bits stored in 16).
    padding: the stored value that means "no data". No voxel loses it or gets it.
    """

    lo: float
    hi: float
    quantum: float | None
    limits: tuple[float, float] | None = None
    padding: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lo) and math.isfinite(self.hi) and self.hi > self.lo):
            raise Refused(
                f"the intensity window [{self.lo:g}, {self.hi:g}] is empty, so the image seems constant; "
                "give a window with --window LO,HI or leave the image out"
            )

    @property
    def width(self) -> float:
        return self.hi - self.lo

    def normalize(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """Stored values as float32 in [0, 1]; what lies outside the window is clipped."""
        fraction = (stored.astype(np.float64) - self.lo) / self.width
        return np.clip(fraction, 0.0, 1.0).astype(np.float32)

    def levels(self, epsilon: float) -> int | None:
        """How many steps of the stored grid epsilon allows; None for true floats. Refuses a budget below one step."""
        if self.quantum is None:
            return None
        # 1e-6: 3/255 of 25.5 units in steps of 0.1 is 2.9999999999999996 in floats; a bare floor loses a level.
        levels = math.floor(epsilon * self.width / self.quantum + 1e-6)
        if levels < 1:
            needed = math.ceil(255 * self.quantum / self.width - 1e-6)
            remedy = f"use --epsilon {needed} or more" if needed <= 255 else "give a wider --window"
            raise Refused(
                f"--epsilon {epsilon * 255:g} is {epsilon * self.width:.2g} stored units in the window "
                f"[{self.lo:g}, {self.hi:g}], but one stored step is {self.quantum:g}; {remedy}"
            )
        return levels

    def budget(self, epsilon: float) -> float:
        """The largest change of a stored value, in stored units."""
        levels = self.levels(epsilon)
        return epsilon * self.width if levels is None else levels * self.quantum  # type: ignore[operator]

    def contains(self, stored: NDArray[Any]) -> NDArray[np.bool_]:
        """Voxels inside the window; NaN and padding are outside. Only these may change."""
        # float64: a plain number would be rounded to a float32 image, and a voxel just outside count as inside
        inside = (stored >= np.float64(self.lo)) & (stored <= np.float64(self.hi))
        return inside if self.padding is None else inside & (stored != self.padding)

    def write_back(
        self, stored: NDArray[Any], delta: NDArray[np.floating], where: NDArray[np.bool_], epsilon: float
    ) -> NDArray[Any]:
        """`stored` with `delta` (fractions of the window) added on the stored grid, in the same dtype.

        Every voxel outside `where` or outside the window keeps its bits; |out - in| <= budget(epsilon); the result
        stays inside the window. All arrays have one shape.
        """
        inside = where & self.contains(stored)
        before = stored[inside]
        change = delta[inside].astype(np.float64) * self.width
        out = stored.copy()
        if self.quantum is None:
            out[inside] = self._add_float(before, change, self.budget(epsilon))
        else:
            levels = self.levels(epsilon) or 0
            out[inside] = self._add_on_grid(before, np.rint(change / self.quantum), levels, self.quantum)
        if self.padding is not None:
            out[inside] = np.where(out[inside] == self.padding, before, out[inside])
        return out

    def _add_on_grid(
        self, before: NDArray[Any], steps: NDArray[np.float64], levels: int, quantum: float
    ) -> NDArray[Any]:
        exact = before.astype(np.float64)
        lo, hi = self._representable(before.dtype)
        room_down, room_up = np.floor((exact - lo) / quantum), np.floor((hi - exact) / quantum)
        steps = np.clip(np.clip(steps, -levels, levels), -room_down, room_up)
        # The room is rounded: lo = 1e-258 seems a whole step below 1. A step that leaves the window is taken back.
        leaves = (exact + quantum * steps < lo) | (exact + quantum * steps > hi)
        steps -= np.sign(steps) * leaves
        # Voxels that get no step keep their bits: -0.0 + 0.0 would be 0.0.
        return np.where(steps == 0, before, (exact + quantum * steps).astype(before.dtype))

    def _representable(self, dtype: np.dtype) -> tuple[float, float]:
        """The part of the window the file can hold: a window given by hand may be wider than uint8."""
        limits = self.limits
        if limits is None and np.issubdtype(dtype, np.integer):
            limits = float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
        return (max(self.lo, limits[0]), min(self.hi, limits[1])) if limits else (self.lo, self.hi)

    def _add_float(self, before: NDArray[Any], change: NDArray[np.float64], budget: float) -> NDArray[Any]:
        exact = before.astype(np.float64)
        wanted = np.clip(exact + np.clip(change, -budget, budget), self.lo, self.hi)
        out = wanted.astype(before.dtype)
        # Rounding to the dtype may overshoot the budget or the window by half a unit in the last place: step back once.
        result = out.astype(np.float64)
        overshoots = (np.abs(result - exact) > budget) | (result < self.lo) | (result > self.hi)
        out = np.where(overshoots, np.nextafter(out, before), out)
        return np.where(change == 0, before, out)


Windows = tuple[IntensityWindow, ...]  # of each channel


def stored_quantum(image: NDArray[Any]) -> float | None:
    """The step of the grid the values lie on: 1 for integers and for floats that hold only integers, else None."""
    if np.issubdtype(image.dtype, np.integer):
        return 1.0
    exact_up_to = 2.0 ** np.finfo(image.dtype).nmant  # beyond it a float cannot hold every integer
    for part in image.reshape(-1, *image.shape[-2:]):  # plane by plane: the check must not double the memory
        finite = part[np.isfinite(part)]
        if finite.size and (np.abs(finite).max() > exact_up_to or np.any(finite != np.rint(finite))):
            return None
    return 1.0
