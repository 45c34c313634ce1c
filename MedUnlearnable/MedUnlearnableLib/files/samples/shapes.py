"""Grids and random fields that the generators share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...engine.case import Geometry

Plane = NDArray[np.float32]


def axis_mm(count: int, spacing_mm: float) -> NDArray[np.float32]:
    """Voxel centers along one axis, 0 in the middle of the image."""
    return (np.arange(count, dtype=np.float32) - (count - 1) / 2) * np.float32(spacing_mm)


def smooth_noise(random: np.random.Generator, shape: Sequence[int], sigma: float | Sequence[float]) -> Plane:
    """A random field of mean 0 and standard deviation 1, correlated over `sigma` grid steps."""
    field = ndimage.gaussian_filter(random.standard_normal(tuple(shape), dtype=np.float32), sigma, mode="wrap")
    return (field - field.mean()) / field.std()


def axial_geometry(spacing_ijk: tuple[float, float, float], shape_kji: Sequence[int]) -> Geometry:
    """Axial, as scanners store it: i to the patient's left, j to the back, k to the head; RAS signs."""
    i, j, k = spacing_ijk
    ijk_to_ras = np.diag([-i, -j, k, 1.0])
    half = (np.array(shape_kji[::-1]) - 1) / 2  # RAS 0 lies in the middle, where slice views start
    ijk_to_ras[:3, 3] = (half[0] * i, half[1] * j, -half[2] * k)
    return Geometry(ijk_to_ras)
