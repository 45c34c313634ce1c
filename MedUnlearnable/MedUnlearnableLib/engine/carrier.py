"""The keyed carrier of profile `instant`: a checkerboard whose sign flips along a few keyed straight lines.

    carrier(u, v) = (-1)^(u + v) * (-1)^floor(2 * (f_u * u + f_v * v) + phase)

u and v count pixels along the two finest axes; along the third (the coarsest) the carrier is constant, so it neither
cancels between slices nor goes when slices are resampled. It is a square wave at the pixel Nyquist frequency minus the
beat (f_u, f_v): the finest texture a network learns at once and the eye does not see. The phase is counted from the
first voxel of the array and never restarted: a pattern blended or re-phased from tile to tile averages itself away.

This is ours, not UMed's. It is an obstacle, not a secret: see `Testing/benchmarks/carrier_key.py` for what guessing
the key restores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .masks import Box

#: One sign holds for 1 / (2 * beat) pixels. Shorter runs cost strength (measured), longer ones leave fewer keys.
FASTEST_BEAT = 1 / 64  # cycles per pixel


@dataclass(frozen=True)
class Carrier:
    """beat: (f_u, f_v) in cycles per pixel along the two finest axes; phase in [0, 2) half cycles."""

    beat: tuple[float, float]
    phase: float

    @classmethod
    def draw(cls, random: np.random.Generator) -> Carrier:
        """Beat uniform in the disc of radius 1/64 cycles per pixel, phase uniform."""
        radius = FASTEST_BEAT * math.sqrt(random.random())
        angle = 2 * math.pi * random.random()
        return cls((radius * math.cos(angle), radius * math.sin(angle)), 2 * random.random())

    def pattern(self, box: Box, spacing_kji: Sequence[float], shape_kji: Sequence[int]) -> NDArray[np.int8]:
        """+1 and -1 for the voxels of `box` in a volume of `shape_kji`; broadcasts to the shape of the box."""
        index = np.ogrid[box]
        u, v = (index[axis] for axis in fine_axes(spacing_kji, shape_kji))
        flips = np.floor(2 * (self.beat[0] * u + self.beat[1] * v) + self.phase).astype(np.int64)
        return (1 - 2 * ((u + v + flips) & 1)).astype(np.int8)


def fine_axes(spacing_kji: Sequence[float], shape_kji: Sequence[int]) -> tuple[int, int]:
    """The two axes (of k, j, i) the carrier alternates along: all but the coarsest, or the one of a single voxel."""
    coarsest = max(range(3), key=lambda axis: (shape_kji[axis] == 1, round(spacing_kji[axis], 6), -axis))
    fine = [axis for axis in range(3) if axis != coarsest]
    return fine[0], fine[1]
