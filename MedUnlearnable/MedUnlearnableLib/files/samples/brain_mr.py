"""A head in T1 after contrast agent: folded cortex, ventricles, deep nuclei, and a tumor with an enhancing rim."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .sample import Sample
from .shapes import axial_geometry, axis_mm, smooth_noise

TUMOR, EDEMA = 1, 2

_AIR, _BONE, _CSF, _VITREOUS, _BASE, _MUSCLE, _SKIN = 6.0, 70.0, 190.0, 170.0, 230.0, 330.0, 560.0
_GRAY, _NUCLEUS, _WHITE, _MARROW, _FAT = 430.0, 530.0, 680.0, 430.0, 900.0
_NECROSIS, _EDEMA, _RIM = 240.0, 500.0, 960.0
_NOISE = 16.0  # standard deviation of each of the two receiver components
_BIAS = 0.07  # standard deviation of the receive field
_SHARPNESS_MM = 0.75  # partial volume and readout blur, as a standard deviation
_FIELD_MM = (165.0, 224.0, 182.0)  # length, height, width of the volume
_SULCUS_MM, _CORTEX_MM, _SULCUS_DEPTH_MM = 0.5, 3.4, 17.0
_GYRUS_MM = 3.4  # correlation length of the folds on the surface
_TUMOR_CENTER_MM, _TUMOR_RADIUS_MM, _NECROSIS_RADIUS_MM, _EDEMA_RADIUS_MM = (-33.0, 22.0, 26.0), 15.0, 9.5, 27.0

Field = NDArray[np.float32]
#: Centers (|x|, y, z) and radii of the chain of balls that makes a lateral ventricle, front to back.
_VENTRICLE = ((8, -31, 12, 4.5), (10, -12, 19, 5.5), (14, 10, 20, 6), (20, 28, 13, 6.5), (19, 46, 9, 3.5))
_TEMPORAL_HORN = ((20, 28, 13, 5), (31, 10, -10, 2.0))


def synthetic_brain_mr(shape_kji: tuple[int, int, int] = (132, 180, 146), seed: int = 0) -> Sample:
    """A whole head, int16 in arbitrary units; 1.25 mm voxels at the default shape."""
    random = np.random.default_rng(seed)
    depth, height, width = shape_kji
    length, long, wide = _FIELD_MM
    spacing = (wide / width, long / height, length / depth)
    z, y, x = np.meshgrid(
        axis_mm(depth, spacing[2]), axis_mm(height, spacing[1]), axis_mm(width, spacing[0]), indexing="ij", sparse=True
    )
    head = _Head(x, y, z - np.float32(8), spacing[::-1], random)
    signal = head.draw()
    signal = ndimage.gaussian_filter(signal, [_SHARPNESS_MM / step for step in spacing[::-1]])
    image = np.clip(np.rint(_received(random, signal)), 0, 2000).astype(np.int16)
    return Sample(
        image,
        head.labels,
        axial_geometry(spacing, shape_kji),
        {TUMOR: "tumor", EDEMA: "edema"},
        modality="MR",
        class_label="tumor",
        finding=TUMOR,
        display_window=(0.0, 1000.0),
    )


def _received(random: np.random.Generator, signal: Field) -> Field:
    """Receive field and Rician noise."""
    coarse = smooth_noise(random, (9, 9, 9), 2.0)
    bias = ndimage.zoom(coarse, np.array(signal.shape) / 9, order=1, grid_mode=True, mode="nearest")
    real, imaginary = (_NOISE * random.standard_normal(signal.shape, dtype=np.float32) for _ in range(2))
    return np.hypot(signal * (1 + np.float32(_BIAS) * bias) + real, imaginary)


@dataclass
class _Head:
    """x to the patient's left, y to the back, z to the head, in mm from the middle of the brain; sparse [D, H, W]."""

    x: Field
    y: Field
    z: Field
    spacing_kji: tuple[float, ...]
    random: np.random.Generator

    def __post_init__(self) -> None:
        self.shape = np.broadcast_shapes(self.x.shape, self.y.shape, self.z.shape)
        self.signal = np.full(self.shape, _AIR, np.float32)
        self.labels = np.zeros(self.shape, np.uint8)
        self.wobble = self._noise(14.0)
        self.fine = self._noise(3.0)

    def draw(self) -> Field:
        """From the outside to the inside; what comes later lies on top."""
        cerebrum, cerebellum, stem = self._cerebrum(), self._cerebellum(), self._stem()
        self._scalp_and_skull()
        self._face()
        self.signal[np.minimum(np.minimum(cerebrum, cerebellum), stem) < 2.5] = _CSF
        self._hindbrain(cerebellum, stem)
        self._brain(cerebrum)
        return self.signal

    def _noise(self, correlation_mm: float) -> Field:
        return smooth_noise(self.random, self.shape, [correlation_mm / step for step in self.spacing_kji])

    def _ellipsoid(self, center: tuple[float, float, float], half: tuple[float, float, float]) -> Field:
        return _to_ellipsoid((self.x, self.y, self.z), center, half)

    def _both(self, center: tuple[float, float, float], half: tuple[float, float, float]) -> Field:
        """The same on both sides of the head."""
        return _to_ellipsoid((np.abs(self.x), self.y, self.z), center, half)

    def _cerebrum(self) -> Field:
        """Signed distance: an ellipsoid with a flat base, lower at the temporal lobes."""
        temporal = np.exp(-(((np.abs(self.x) - 40) / 17) ** 2) - ((self.y + 12) / 24) ** 2)
        base = -14 - 3 * (self.y < 0) - 24 * temporal - self.z
        return np.maximum(self._ellipsoid((0, 0, 0), (67, 84, 66)), base)

    def _cerebellum(self) -> Field:
        return np.minimum(self._both((24, 46, -34), (28, 27, 21)), self._ellipsoid((0, 46, -30), (14, 24, 18)))

    def _stem(self) -> Field:
        return np.minimum(self._ellipsoid((0, 12, -30), (17, 13, 18)), self._ellipsoid((0, 20, -62), (8, 8, 34)))

    def _scalp_and_skull(self) -> None:
        vault = np.minimum(self._ellipsoid((0, 0, 0), (67, 84, 66)), self._ellipsoid((0, 38, -36), (56, 42, 30)))
        outer = vault + 0.6 * self.wobble
        face = self._ellipsoid((0, -28, -62), (60, 68, 56))
        neck = self._ellipsoid((0, 25, -90), (56, 58, 72))
        soft = np.minimum(face, neck)
        self.signal[np.minimum(outer - 15, soft) < 0] = _SKIN
        self.signal[np.minimum(outer - 13.5, soft + 2) < 0] = _FAT
        self.signal[soft + 7 + 2 * self.wobble < 0] = _MUSCLE
        self.signal[(soft + 12 < 0) & (self.fine > 1.1)] = _FAT
        for thickness, value in ((8.8, _BONE), (7.2, _MARROW), (4.6, _BONE), (2.6, _BASE)):
            self.signal[outer - thickness < 0] = value
        inside = outer - 2.6 < 0
        self.signal[inside] += 140 * np.clip(self.fine[inside], -1, 1)  # the bones and soft parts of the skull base

    def _face(self) -> None:
        """Orbits with eyes, and air in nose, sinuses and throat."""
        self.signal[self._both((29, -58, -28), (14, 27, 13)) < 0] = _FAT
        self.signal[self._both((25, -52, -28), (2.5, 24, 2.5)) < 0] = _MUSCLE  # optic nerve
        eye = self._both((31, -74, -28), (12, 12, 12))
        self.signal[eye < 0] = _MUSCLE
        self.signal[eye + 1.2 < 0] = _VITREOUS
        self.signal[self._both((9, -62, -46), (5, 22, 17)) < 0] = _AIR
        self.signal[self._both((29, -60, -54), (12, 14, 11)) < 0] = _AIR
        self.signal[self._ellipsoid((0, -24, -74), (9, 7, 26)) < 0] = _AIR

    def _hindbrain(self, cerebellum: Field, stem: Field) -> None:
        """Cerebellum with its leaves, and brain stem."""
        leaves = np.sin(2 * np.pi * (self._ellipsoid((0, 14, -30), (40, 40, 40)) + 0.9 * self.fine) / 4.2)
        matter = cerebellum + 3 * self.wobble
        signal = np.where(matter < -9, np.float32(_WHITE), _GRAY + 50 * leaves - 110 * (leaves < -0.8))
        inside = cerebellum < 0
        self.signal[inside] = signal[inside]
        self.signal[stem < 0] = _WHITE - 40
        self.signal[self._ellipsoid((0, 29, -32), (5, 5, 9)) < 0] = _CSF  # fourth ventricle

    def _brain(self, cerebrum: Field) -> None:
        inside = cerebrum < 0
        to_sulcus = self._sulci(cerebrum)
        tissue = np.where(to_sulcus < _CORTEX_MM, np.float32(_GRAY), np.float32(_WHITE))
        tissue[to_sulcus < 0] = _CSF
        self._deep_parts(tissue)
        self._tumor(tissue, inside & (tissue != _CSF))
        self.signal[inside] = tissue[inside]

    def _sulci(self, cerebrum: Field) -> Field:
        """Distance in mm to the nearest fluid of the folds and of the midline; negative in the fluid."""
        folds = self._fold_field()
        slope = np.sqrt(sum(g**2 for g in np.gradient(folds, *map(float, self.spacing_kji))))
        across = np.abs(folds) / np.maximum(slope, 0.02)
        vault = self._ellipsoid((0, 0, 0), (67, 84, 66))  # the flat base has no sulci of its own
        deeper = np.maximum(0, -vault - _SULCUS_DEPTH_MM * (1 + 0.35 * self.wobble))
        sulcus = np.hypot(across, deeper) - _SULCUS_MM - np.maximum(0, 0.9 + 0.08 * cerebrum)
        callosum = -self._ellipsoid((0, 2, 6), (30, 42, 22))
        midline = np.hypot(self.x + 1.2 * self.wobble, np.maximum(0, callosum)) - 0.6
        sylvian = np.hypot(0.8 * self.z + 4 - 0.6 * self.y + 2 * self.wobble, np.maximum(0, 33 - np.abs(self.x)))
        sylvian = np.hypot(sylvian, np.maximum(0, np.abs(self.y + 8) - 26)) - 0.9
        return np.minimum.reduce([sulcus, midline, sylvian, -cerebrum - 0.3])

    def _fold_field(self) -> Field:
        """A random field whose zero surfaces run from the surface inwards, as sulci do: constant along each ray."""
        noise = self._noise(_GYRUS_MM)
        ratios = [axis / np.float32(half) for axis, half in zip((self.z, self.y, self.x), (66, 84, 67))]
        level = np.maximum(np.sqrt(sum(r**2 for r in ratios)), np.float32(0.25))
        # A little of the depth is kept, so that the walls of a sulcus are not perfectly straight.
        stretch = (0.25 * level + 0.75) / level
        coordinates = [
            np.broadcast_to(axis * stretch, self.shape) / np.float32(step) + np.float32((n - 1) / 2 + shift)
            for axis, step, n, shift in zip(
                (self.z, self.y, self.x), self.spacing_kji, self.shape, (8 / self.spacing_kji[0], 0, 0)
            )
        ]
        return ndimage.map_coordinates(noise, coordinates, order=1, mode="grid-wrap", output=np.float32)

    def _deep_parts(self, tissue: Field) -> None:
        """Nuclei, then ventricles."""
        core = self._ellipsoid((0, 0, 6), (38, 50, 20)) < 0  # no sulcus reaches here
        tissue[core & (tissue != _CSF)] = _WHITE
        for center, half in (((11, 8, 4), (9, 14, 9)), ((14, -22, 12), (5, 12, 9)), ((27, -5, 4), (6, 19, 10))):
            tissue[self._both(center, half) + 0.5 * self.wobble < 0] = _NUCLEUS
        tissue[self._both((35, -6, 3), (1.6, 22, 14)) < 0] = _GRAY  # insula
        for chain in (_VENTRICLE, _TEMPORAL_HORN):
            for ball, following in pairwise(chain):
                tissue[self._link(ball, following) + 0.5 * self.wobble < 0] = _CSF
        tissue[self._ellipsoid((0, 4, 2), (1.8, 14, 10)) < 0] = _CSF  # third ventricle
        tissue[self._ellipsoid((0, -10, 18), (1.0, 20, 6)) < 0] = _WHITE  # septum between the lateral ventricles

    def _link(self, start: tuple[float, ...], end: tuple[float, ...]) -> Field:
        """Signed distance to the hull of two balls, on both sides of the head."""
        point = [np.abs(self.x) - start[0], self.y - start[1], self.z - start[2]]
        along = np.subtract(end[:3], start[:3]).astype(np.float32)
        share = np.clip(sum(p * a for p, a in zip(point, along)) / (along @ along), 0, 1)
        distance = np.sqrt(sum((p - share * a) ** 2 for p, a in zip(point, along)))
        return distance - (start[3] + share * np.float32(end[3] - start[3]))

    def _tumor(self, tissue: Field, brain: NDArray[np.bool_]) -> None:
        to_center = self._ellipsoid(_TUMOR_CENTER_MM, (_TUMOR_RADIUS_MM,) * 3) + _TUMOR_RADIUS_MM
        ragged = to_center + 2.0 * self.wobble + 0.9 * self.fine
        tumor = ragged < _TUMOR_RADIUS_MM
        edema = brain & ~tumor & (tissue == _WHITE) & (to_center + 7 * self.wobble < _EDEMA_RADIUS_MM)
        tissue[edema] = _EDEMA
        tissue[tumor] = _RIM + 60 * self.fine[tumor]
        tissue[ragged + 1.5 * self.fine < _NECROSIS_RADIUS_MM] = _NECROSIS
        self.labels[edema] = EDEMA
        self.labels[tumor] = TUMOR


def _to_ellipsoid(
    axes: tuple[Field, Field, Field], center: tuple[float, float, float], half: tuple[float, float, float]
) -> Field:
    """Signed distance to the surface in mm, to first order, negative inside."""
    ratios = [(axis - np.float32(c)) / np.float32(h) for axis, c, h in zip(axes, center, half)]
    level = np.sqrt(sum(r**2 for r in ratios))
    slope = np.sqrt(sum((r / np.float32(h)) ** 2 for r, h in zip(ratios, half)))
    return level * (level - 1) / np.maximum(slope, np.float32(1e-6))
