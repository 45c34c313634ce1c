"""Generated sample data: made from formulas and a seed, so it needs no download and shows no patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..engine.case import Geometry

ORGAN, LESION = 1, 2
SEGMENT_NAMES = {ORGAN: "organ", LESION: "lesion"}

_AIR, _FAT, _MUSCLE, _BONE = -1000.0, -95.0, 48.0, 420.0
_ORGAN_HU, _VESSEL_HU, _LESION_HU = 105.0, 165.0, 62.0
_NOISE_HU = 12.0  # standard deviation inside the body, that of a routine abdominal scan
_SHARPNESS_MM = 0.5  # the scanner's blur


@dataclass(frozen=True)
class Sample:
    """`image` int16 HU [D, H, W] and `labels` uint8 on the same grid (0 background, 1 organ, 2 lesion)."""

    image: NDArray[np.int16]
    labels: NDArray[np.uint8]
    geometry: Geometry


def synthetic_ct(shape_kji: tuple[int, int, int] = (60, 192, 192), seed: int = 0) -> Sample:
    """An abdomen-like CT, 360 mm wide: fat, muscle, spine, an organ of 5 % of the volume with vessels, and a lesion."""
    depth, height, width = shape_kji
    spacing = (360.0 / width, 360.0 / height, 150.0 / depth)
    random = np.random.default_rng(seed)
    image = np.empty(shape_kji, np.int16)
    labels = np.zeros(shape_kji, np.uint8)
    vessels = random.uniform(0.0, 2 * np.pi, (6, 3))
    y, x = ((np.arange(n, dtype=np.float32) - (n - 1) / 2) * s for n, s in ((height, spacing[1]), (width, spacing[0])))
    for k in range(depth):
        z = (k - (depth - 1) / 2) * spacing[2]
        hu, labels[k] = _slice(x[np.newaxis, :], y[:, np.newaxis], z, vessels)
        blur = _SHARPNESS_MM / spacing[0]
        hu = ndimage.gaussian_filter(hu, blur) + _noise(random, hu)
        image[k] = np.clip(np.rint(hu), -1024, 3071)
    return Sample(image, labels, _geometry(spacing, shape_kji))


def _slice(
    x: NDArray[np.float32], y: NDArray[np.float32], z: float, vessels: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """HU before blur and noise, and labels, of the plane at z; x, y, z in mm from the middle."""
    hu = np.full(np.broadcast_shapes(x.shape, y.shape), _AIR, np.float32)
    hu[_ellipse(x, y, 0, 0, 165, 120)] = _FAT
    hu[_ellipse(x, y, 0, 0, 148, 102)] = _MUSCLE
    hu[_ellipse(x, y, 0, 72, 22, 20)] = _BONE
    hu[_ellipse(x, y, 0, 72, 14, 12)] = 0.6 * _BONE
    shrink = np.sqrt(max(0.0, 1.0 - (z / 80.0) ** 2))  # the organ closes towards its ends
    organ = _ellipse(x, y, -60 + 0.1 * z, -12, 58 * shrink, 50 * shrink)
    hu[organ] = _ORGAN_HU
    for phase, course, size in vessels:
        center_x, center_y = -60 + 30 * np.sin(phase + z / 40), -12 + 26 * np.cos(course + z / 50)
        hu[organ & _ellipse(x, y, center_x, center_y, 2.5 + size / 2, 2.5 + size / 2)] = _VESSEL_HU
    lesion_radius = 14.0**2 - (z - 5.0) ** 2
    lesion = organ & _ellipse(x, y, -74, -20, *[np.sqrt(max(0.0, lesion_radius))] * 2)
    hu[lesion] = _LESION_HU
    labels = organ.astype(np.uint8) * ORGAN
    labels[lesion] = LESION
    return hu, labels


def _ellipse(
    x: NDArray[np.float32], y: NDArray[np.float32], cx: float, cy: float, rx: float, ry: float
) -> NDArray[np.bool_]:
    if rx <= 0 or ry <= 0:
        return np.zeros(np.broadcast_shapes(x.shape, y.shape), bool)
    return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1


def _noise(random: np.random.Generator, hu: NDArray[np.float32]) -> NDArray[np.float32]:
    """Slightly correlated noise, as a reconstruction kernel leaves it; much less in air."""
    white = random.standard_normal(hu.shape, dtype=np.float32)
    correlated = ndimage.gaussian_filter(white, 0.6)
    return correlated * (_NOISE_HU / correlated.std()) * np.where(hu > -900, 1.0, 0.3).astype(np.float32)


def _geometry(spacing_ijk: tuple[float, float, float], shape_kji: tuple[int, int, int]) -> Geometry:
    """Axial, as scanners store it: i to the patient's left, j to the back, k to the head; RAS signs."""
    i, j, k = spacing_ijk
    ijk_to_ras = np.diag([-i, -j, k, 1.0])
    half = np.array(shape_kji[::-1]) / 2
    ijk_to_ras[:3, 3] = (half[0] * i, half[1] * j, -half[2] * k)
    return Geometry(ijk_to_ras)
