"""A breast under a linear probe: skin, fat, glandular tissue, muscle, and an irregular lesion that casts a shadow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .sample import Sample
from .shapes import Plane, axial_geometry, axis_mm, smooth_noise

LESION = 1

_WIDTH_MM, _DEPTH_MM = 38.0, 36.0
_DYNAMIC_RANGE_DB = 58.0
#: Echo level by tissue, dB below the brightest.
_SKIN_DB, _FAT_DB, _GLAND_DB, _MUSCLE_DB, _RIB_DB, _LESION_DB = -8.0, -26.0, -14.0, -26.0, -4.0, -34.0
_SEPTUM_GAIN_DB, _HALO_GAIN_DB = 12.0, 7.0
#: Two-way loss that the gain over depth does not make up for.
_TISSUE_LOSS_DB_MM, _LESION_LOSS_DB_MM, _RIB_LOSS_DB_MM = 0.22, 1.5, 14.0
_AXIAL_MM, _LATERAL_MM = 0.09, 0.17  # resolution of the probe (standard deviation) in its focus
_FOCUS_MM = 15.0
_CELL_WIDTHS = (1.0, 1.6, 2.6)  # of the resolution cell, in and off the focus
_LOOKS = 3
_SOFTNESS_MM = 0.16  # of borders between tissues
_LESION_CENTER_MM, _LESION_HALF_AXES_MM = (-2.5, 14.0), (5.2, 5.6)


def synthetic_ultrasound(shape_ji: tuple[int, int] = (480, 506), seed: int = 0) -> Sample:
    """A frame of 38 x 36 mm, uint8, depth downwards."""
    random = np.random.default_rng(seed)
    height, width = shape_ji
    spacing = (_WIDTH_MM / width, _DEPTH_MM / height)
    x = axis_mm(width, spacing[0])[np.newaxis, :]
    y = (axis_mm(height, spacing[1]) + _DEPTH_MM / 2)[:, np.newaxis]
    edge = _lesion_edge(random, x, y)
    echo_db, loss_db_mm = _tissue(_Fields(random, edge.shape, spacing), x, y, edge)
    level_db = echo_db - np.cumsum(loss_db_mm, axis=0) * spacing[1]
    level_db = ndimage.gaussian_filter(level_db, (_SOFTNESS_MM / spacing[1], 2 * _SOFTNESS_MM / spacing[0]))
    frame = _log_compressed(_envelope(random, level_db, y, spacing))
    labels = (edge < 0).astype(np.uint8) * np.uint8(LESION)
    return Sample(
        frame[np.newaxis],
        labels[np.newaxis],
        axial_geometry((*spacing, 1.0), (1, height, width)),
        {LESION: "lesion"},
        modality="picture",
        class_label="malignant",
        finding=LESION,
        display_window=(0.0, 255.0),
    )


def _lesion_edge(random: np.random.Generator, x: Plane, y: Plane) -> Plane:
    """Distance in mm to a lobulated, slightly spiculated outline; negative inside."""
    dx, dy = ((axis - c) / half for axis, c, half in zip((x, y), _LESION_CENTER_MM, _LESION_HALF_AXES_MM))
    angle, radius = np.arctan2(dy, dx), np.hypot(dx, dy)
    outline = sum(
        strength * np.sin(count * angle + random.uniform(0, 2 * np.pi))
        for count, strength in ((2, 0.07), (3, 0.08), (5, 0.06), (9, 0.035), (14, 0.03))
    )
    return (radius - 1 - outline) * np.float32(np.mean(_LESION_HALF_AXES_MM))


@dataclass(frozen=True)
class _Fields:
    """Random fields with correlation lengths in mm."""

    random: np.random.Generator
    shape: tuple[int, ...]
    spacing: tuple[float, float]

    def noise(self, across_mm: float, down_mm: float) -> Plane:
        return smooth_noise(self.random, self.shape, (down_mm / self.spacing[1], across_mm / self.spacing[0]))

    def wave(self, amplitude_mm: float) -> Plane:
        """The course of a border from left to right."""
        return amplitude_mm * smooth_noise(self.random, (1, self.shape[1]), (0, 5 / self.spacing[0]))


def _layers(fields: _Fields, x: Plane, y: Plane) -> Plane:
    """Echo level in dB of a breast without lesion."""
    noise, wave = fields.noise, fields.wave
    top_of_gland, end_of_gland = 8.5 + wave(0.8), 23.0 + wave(0.5)
    fascia, chest = 25.5 + wave(0.25), 32.5 + wave(0.2)
    echo = np.full(fields.shape, _FAT_DB, np.float32)
    echo += _SEPTUM_GAIN_DB * np.exp(-((noise(2.4, 1.2) / 0.13) ** 2))  # septa: where the field crosses zero
    gland = (y > top_of_gland) & (y < end_of_gland)
    echo = np.where(gland, _GLAND_DB + 3.0 * noise(1.6, 0.35) - 5.0 * np.maximum(0, noise(1.2, 0.6) - 0.4), echo)
    fibers = np.sin(2 * np.pi * (y - fascia + 0.05 * x + 0.3 * noise(6, 1)) / 1.1)
    muscle = _MUSCLE_DB + 7 * np.maximum(0, fibers - 0.3) + 2 * noise(1.5, 0.2)
    echo = np.where((y > fascia) & (y < chest), muscle, echo)
    echo = np.where(y > chest, _FAT_DB - 4 + 2 * noise(3, 1), echo)
    for depth, gain, thickness in ((fascia, 11, 0.2), (end_of_gland, 8, 0.2), (chest, 17, 0.28)):
        echo = echo + gain * np.exp(-(((y - depth) / thickness) ** 2))
    return np.where(y < 1.7, _SKIN_DB - 9 * np.exp(-(((y - 0.85) / 0.35) ** 2)), echo)


def _tissue(fields: _Fields, x: Plane, y: Plane, edge: Plane) -> tuple[Plane, Plane]:
    """Echo level in dB and loss in dB per mm, with lesion and rib."""
    echo = _layers(fields, x, y) + _HALO_GAIN_DB * np.exp(-(((edge - 0.7) / 0.6) ** 2))
    echo = np.where(edge < 0, _LESION_DB + 2.0 * fields.noise(0.8, 0.5), echo)
    rib = ((x - 13.5) / 5.0) ** 2 + ((y - 34.2) / 2.6) ** 2 < 1
    loss = np.where(edge < 0, np.float32(_LESION_LOSS_DB_MM), np.float32(_TISSUE_LOSS_DB_MM))
    return np.where(rib, _RIB_DB, echo), np.where(rib, np.float32(_RIB_LOSS_DB_MM), loss)


def _envelope(random: np.random.Generator, level_db: Plane, y: Plane, spacing: tuple[float, float]) -> Plane:
    """Speckle, averaged over a few looks as scanners do; the resolution cell widens off the focus."""
    amplitude = np.power(10, level_db / 20)
    wider = np.interp(np.abs(y - _FOCUS_MM) / _FOCUS_MM, (0, 0.7, 1.4), range(len(_CELL_WIDTHS)))
    power = np.zeros_like(amplitude)
    for _ in range(_LOOKS):
        # Many scatterers within one cell add up with their phases: real and imaginary part.
        parts = [random.standard_normal(level_db.shape, dtype=np.float32) * amplitude for _ in range(2)]
        for number, width in enumerate(_CELL_WIDTHS):
            weight = np.clip(1 - np.abs(wider - number), 0, 1)
            power += weight * sum(_resolved(part, width, spacing) ** 2 for part in parts)
    return np.sqrt(power / _LOOKS)


def _resolved(scatterers: Plane, blur: float, spacing: tuple[float, float]) -> Plane:
    """What the probe makes of them, at unchanged power."""
    sigma = (_AXIAL_MM / spacing[1], blur * _LATERAL_MM / spacing[0])
    return ndimage.gaussian_filter(scatterers, sigma) * np.sqrt(4 * np.pi * sigma[0] * sigma[1])


def _log_compressed(envelope: Plane) -> NDArray[np.uint8]:
    level = 20 * np.log10(np.maximum(envelope, 1e-9)) - 5
    return np.clip(np.rint(255 * (1 + level / _DYNAMIC_RANGE_DB)), 0, 255).astype(np.uint8)
