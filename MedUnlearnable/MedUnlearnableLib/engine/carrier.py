"""Carriers: patterns as fine as the pixels, which networks take for the segment sooner than its shape.

    carrier(u, v) = sign * (a * (-1)^(u + v) + t * (b * (-1)^floor(u / 2) + c * (-1)^floor(v / 2)))

u and v count pixels along the two finest axes; along the third (the coarsest) the carrier is constant, so it neither
cancels between slices nor goes when slices are resampled. The phase is counted from the first voxel of the array and
never restarted: a pattern blended or re-phased from tile to tile averages itself away.

The checkerboard (a) is the pixel Nyquist frequency, which no tissue shows and no blur leaves. Stripes two pixels wide
(b, c) keep half of their strength after a blur, and are learned where the tissue is quiet at their frequency. They can
be made out sooner than a checkerboard, so they are as strong as the tissue around a voxel hides them (t, 0 to 1).

Ours, not UMed's, and no secret. More key was tried, sign flips along keyed lines: it cost strength (see README) and hid
nothing, because whoever knows the labels reads the phase off a protected image (`Testing/benchmarks/carrier_key.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .masks import Box

_STRIPES = 1 / 2  # of the budget; the rest is checkerboard, which attackers who do not blur find sooner (measured)
#: Carriers of equal mean square to choose from, as the shares of a `Carrier`.
LAYOUTS: Mapping[str, Mapping[str, float]] = {
    "checkerboard": {"checkerboard": math.hypot(_STRIPES, 1 - _STRIPES)},
    "rows": {"checkerboard": 1 - _STRIPES, "rows": _STRIPES},
    "columns": {"checkerboard": 1 - _STRIPES, "columns": _STRIPES},
}


@dataclass(frozen=True)
class Carrier:
    """sign: +1 or -1, the key; a, b, c: shares of the budget for checkerboard, rows and columns, together at most 1."""

    sign: int
    checkerboard: float = 1.0
    rows: float = 0.0
    columns: float = 0.0

    @classmethod
    def draw(cls, random: np.random.Generator) -> Carrier:
        """The checkerboard with a random sign."""
        return cls(int(random.choice((-1, 1))))

    @property
    def has_stripes(self) -> bool:
        return self.rows > 0 or self.columns > 0

    def pattern(
        self,
        box: Box,
        spacing_kji: Sequence[float],
        shape_kji: Sequence[int],
        texture: NDArray[np.float32] | float = 1.0,
    ) -> NDArray[np.float32]:
        """-1 to 1 for the voxels of `box` in a volume of `shape_kji`; broadcasts to the shape of the box.

        texture: how strong the stripes are there, 0 to 1.
        """
        index = np.ogrid[box]
        u, v = (index[axis] for axis in fine_axes(spacing_kji, shape_kji))
        parts = (
            (np.float32(self.checkerboard), u + v),
            (np.float32(self.rows) * texture, u // 2),
            (np.float32(self.columns) * texture, v // 2),
        )
        pattern = sum(share * np.float32(self.sign) * (1 - 2 * (phase & 1)) for share, phase in parts if np.any(share))
        return np.asarray(pattern, np.float32)


def fine_axes(spacing_kji: Sequence[float], shape_kji: Sequence[int]) -> tuple[int, int]:
    """The two axes (of k, j, i) the carrier alternates along: all but the coarsest, or the one of a single voxel."""
    coarsest = max(range(3), key=lambda axis: (shape_kji[axis] == 1, round(spacing_kji[axis], 6), -axis))
    fine = [axis for axis in range(3) if axis != coarsest]
    return fine[0], fine[1]
