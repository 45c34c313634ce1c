"""Carriers: patterns as fine as the pixels, which networks take for the segment sooner than its shape.

    carrier(u, v) = sign * (-1)^phase(u, v)      checkerboard  phase = u + v
                                                 rows          phase = floor(u / 2), stripes two pixels wide
                                                 columns       phase = floor(v / 2)

u and v count pixels along the two finest axes; along the third (the coarsest) the carrier is constant, so it neither
cancels between slices nor goes when slices are resampled. The phase is counted from the first voxel of the array and
never restarted: a pattern blended or re-phased from tile to tile averages itself away.

The checkerboard is the pixel Nyquist frequency, which no tissue shows and no blur leaves. Stripes of four pixels keep
half of their strength after a blur, and are learned where the tissue is quiet at their frequency.

Ours, not UMed's, and no secret. More key was tried, sign flips along keyed lines: it cost strength (see README) and hid
nothing, because whoever knows the labels reads the phase off a protected image (`Testing/benchmarks/carrier_key.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .masks import Box

LAYOUTS = ("checkerboard", "rows", "columns")


@dataclass(frozen=True)
class Carrier:
    """sign: +1 or -1, the value at the first voxel; layout: one of LAYOUTS."""

    sign: int
    layout: str = "checkerboard"

    @classmethod
    def draw(cls, random: np.random.Generator) -> Carrier:
        """The checkerboard with a random sign."""
        return cls(int(random.choice((-1, 1))))

    def pattern(self, box: Box, spacing_kji: Sequence[float], shape_kji: Sequence[int]) -> NDArray[np.int8]:
        """+1 and -1 for the voxels of `box` in a volume of `shape_kji`; broadcasts to the shape of the box."""
        index = np.ogrid[box]
        u, v = (index[axis] for axis in fine_axes(spacing_kji, shape_kji))
        phase = {"checkerboard": u + v, "rows": u // 2, "columns": v // 2}[self.layout]
        return (self.sign * (1 - 2 * (phase & 1))).astype(np.int8)


def fine_axes(spacing_kji: Sequence[float], shape_kji: Sequence[int]) -> tuple[int, int]:
    """The two axes (of k, j, i) the carrier alternates along: all but the coarsest, or the one of a single voxel."""
    coarsest = max(range(3), key=lambda axis: (shape_kji[axis] == 1, round(spacing_kji[axis], 6), -axis))
    fine = [axis for axis in range(3) if axis != coarsest]
    return fine[0], fine[1]
