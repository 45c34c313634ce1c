"""A keyed family of patterns near the pixel Nyquist frequency, one for each class (ours).

    pattern(j, i) = sign(cos(2 pi (f_j j + f_i i) + phase))

f_j, f_i in cycles a pixel, at most 1/2. The first wave vector is the checkerboard, which images hardly have and which
an interpolation takes away first; then columns and rows, in this order, for rows did less on chest radiographs
(measured). Each further one is the farthest from all before it, among those of which one part is near 1/2: so patterns
are easy to tell from each other and, unlike lower frequencies, from the image. Mirroring does not take one to another,
since no two differ by a sign alone. The key shuffles which class gets which pattern, and draws the phases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: A wave vector has one part of at least this, in cycles a pixel: periods up to 2.7 pixels.
NEAR_NYQUIST = 3 / 8
_FIRST = ((0.5, 0.5), (0.0, 0.5), (0.5, 0.0))


def wave_vectors(count: int) -> list[tuple[float, float]]:
    """`count` wave vectors (f_j, f_i) in cycles a pixel, the first ones the farthest apart."""
    chosen = np.array(_FIRST)
    steps = 8
    while True:  # a finer grid of frequencies, until it has room for all
        axis = np.arange(steps + 1) / (2 * steps)
        grid = np.array([(f, g) for f in axis for g in axis if max(f, g) >= NEAR_NYQUIST])
        if len(grid) >= 2 * count:
            break
        steps *= 2
    distance = np.min([np.linalg.norm(grid - vector, axis=1) for vector in chosen], axis=0)
    while len(chosen) < count:
        farthest = grid[np.argmax(distance)]
        chosen = np.vstack([chosen, farthest])
        distance = np.minimum(distance, np.linalg.norm(grid - farthest, axis=1))
    return [(float(f), float(g)) for f, g in chosen[:count]]


@dataclass(frozen=True)
class ClassPatterns:
    """One pattern for each class, and a last one for samples that show none of the classes."""

    waves: tuple[tuple[float, float], ...]  # (f_j, f_i), cycles a pixel
    phases: tuple[float, ...]  # radians

    @classmethod
    def draw(cls, classes: int, random: np.random.Generator, faint: int | None = None) -> ClassPatterns:
        """The family for a number of classes, shuffled by the key. The `faint` class gets the checkerboard."""
        waves = wave_vectors(classes + 1)
        order = random.permutation(classes).tolist()
        phases = random.uniform(0, 2 * np.pi, classes + 1)
        if faint is not None:
            checkerboard = order.index(0)
            order[checkerboard], order[faint] = order[faint], order[checkerboard]
        return cls(tuple(waves[place] for place in (*order, classes)), tuple(phases.tolist()))

    def of_classes(self, shown: Sequence[int], sides: tuple[int, int]) -> NDArray[np.float32]:
        """The pattern [H, W] in -1..1 of a sample that shows these classes; of several: their sum, clipped."""
        numbers = shown if len(shown) else (len(self.waves) - 1,)
        return np.clip(sum(self._pattern(number, sides) for number in numbers), -1, 1).astype(np.float32)

    def _pattern(self, number: int, sides: tuple[int, int]) -> NDArray[np.float32]:
        (along_j, along_i), phase = self.waves[number], self.phases[number]
        j, i = np.ogrid[: sides[0], : sides[1]]
        wave = np.cos(2 * np.pi * (along_j * j + along_i * i) + phase)
        return np.where(wave >= 0, np.float32(1), np.float32(-1))
