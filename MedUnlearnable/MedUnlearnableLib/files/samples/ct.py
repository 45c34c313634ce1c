"""An upper abdomen in portal venous contrast: liver with a lesion, and what lies around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .sample import Sample
from .shapes import Plane, axial_geometry, axis_mm

LIVER, LESION = 1, 2

_AIR, _FAT, _FLUID, _MUSCLE, _TABLE = -1000.0, -100.0, 15.0, 55.0, 20.0
_MARROW, _CORTEX, _DISC = 190.0, 520.0, 85.0
_LIVER_HU, _VESSEL_HU, _LESION_HU, _RIM_HU = 105.0, 165.0, 58.0, 82.0
_NOISE_HU = 12.0  # standard deviation inside the body, that of a routine abdominal scan
_SHARPNESS_MM = 0.5  # the scanner's blur
_FIELD_MM, _LENGTH_MM = 360.0, 150.0
_WARP_MM = 2.5  # how far outlines stray from ellipses, each way
_LESION_CENTER_MM, _LESION_RADIUS_MM = (-86.0, -18.0, 5.0), 15.0


def synthetic_ct(shape_kji: tuple[int, int, int] = (60, 192, 192), seed: int = 0) -> Sample:
    """An abdomen 360 mm wide and 150 mm long, int16 HU; the liver takes 7 % of the volume, the lesion 30 mm."""
    depth, height, width = shape_kji
    spacing = (_FIELD_MM / width, _FIELD_MM / height, _LENGTH_MM / depth)
    random = np.random.default_rng(seed)
    image = np.empty(shape_kji, np.int16)
    labels = np.zeros(shape_kji, np.uint8)
    y, x = axis_mm(height, spacing[1]), axis_mm(width, spacing[0])
    phases = random.uniform(0.0, 2 * np.pi, (12, 4))
    for k, z in enumerate(axis_mm(depth, spacing[2])):
        section = _Section(x, y, float(z), phases)
        section.draw()
        labels[k] = section.labels
        hu = ndimage.gaussian_filter(section.hu, _SHARPNESS_MM / spacing[0])
        image[k] = np.clip(np.rint(hu + _noise(random, hu)), -1024, 3071)
    return Sample(
        image,
        labels,
        axial_geometry(spacing, shape_kji),
        {LIVER: "liver", LESION: "lesion"},
        modality="CT",
        class_label="liver lesion",
        finding=LESION,
        display_window=(-160.0, 240.0),
    )


@dataclass(frozen=True)
class _Ellipse:
    """Center and half axes in mm, turned by `turn` radians."""

    x: float
    y: float
    half_x: float
    half_y: float
    turn: float = 0.0

    def scaled(self, factor: float) -> _Ellipse:
        return _Ellipse(self.x, self.y, self.half_x * factor, self.half_y * factor, self.turn)

    def inset(self, mm: float) -> _Ellipse:
        return _Ellipse(self.x, self.y, self.half_x - mm, self.half_y - mm, self.turn)


class _Section:
    """One axial plane: HU before blur and noise, and labels. x to the patient's left, y to the back, z to the head."""

    def __init__(self, x: Plane, y: Plane, z: float, phases: NDArray[np.float64]) -> None:
        self.x, self.y, self.z, self.phases = x, y, z, phases
        self.hu = np.full((len(y), len(x)), _AIR, np.float32)
        self.labels = np.zeros(self.hu.shape, np.uint8)
        # x is bent as a function of y and y as a function of x: organic outlines for the price of two lines.
        self._bend_x = self._bend(y, phases[0])[:, np.newaxis]
        self._bend_y = self._bend(x, phases[1])[np.newaxis, :]

    def draw(self) -> None:
        """From the outside to the inside; what comes later lies on top."""
        self._wall()
        self._spine()
        self._left_side()
        self._kidneys()
        self._bowel()
        self._liver()
        self._great_vessels()

    def _bend(self, along: Plane, phase: NDArray[np.float64]) -> Plane:
        waves = [np.sin(along / length + p + self.z / 60) for length, p in zip((45, 23, 12), phase)]
        return np.float32(_WARP_MM / 3) * np.sum(waves, axis=0).astype(np.float32)

    def _box(self, ellipse: _Ellipse) -> tuple[slice, slice]:
        reach = max(ellipse.half_x, ellipse.half_y) + _WARP_MM
        columns = np.searchsorted(self.x, (ellipse.x - reach, ellipse.x + reach))
        rows = np.searchsorted(self.y, (ellipse.y - reach, ellipse.y + reach))
        return slice(*rows), slice(*columns)

    def _inside(self, ellipse: _Ellipse) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
        """The box around the ellipse, and which of its pixels lie inside."""
        if min(ellipse.half_x, ellipse.half_y) <= 0:
            return (slice(0, 0), slice(0, 0)), np.zeros((0, 0), bool)
        rows, columns = box = self._box(ellipse)
        dx = self.x[np.newaxis, columns] + self._bend_x[rows] - np.float32(ellipse.x)
        dy = self.y[rows, np.newaxis] + self._bend_y[:, columns] - np.float32(ellipse.y)
        if ellipse.turn:
            cos, sin = np.float32(np.cos(ellipse.turn)), np.float32(np.sin(ellipse.turn))
            dx, dy = dx * cos + dy * sin, dy * cos - dx * sin
        return box, (dx / np.float32(ellipse.half_x)) ** 2 + (dy / np.float32(ellipse.half_y)) ** 2 <= 1

    def _mask(self, ellipse: _Ellipse) -> NDArray[np.bool_]:
        mask = np.zeros(self.hu.shape, bool)
        box, inside = self._inside(ellipse)
        mask[box] = inside
        return mask

    def _fill(self, ellipse: _Ellipse, hu: float) -> None:
        box, inside = self._inside(ellipse)
        self.hu[box][inside] = hu

    def _bone(self, ellipse: _Ellipse, cortex_mm: float, marrow: float = _MARROW) -> None:
        self._fill(ellipse, _CORTEX)
        self._fill(ellipse.inset(cortex_mm), marrow)

    def _closing(self, center: float, half_length: float) -> float:
        """How wide something is at this height, as a share of its widest: 1 at `center`, 0 at its ends."""
        return float(np.sqrt(max(0.0, 1.0 - ((self.z - center) / half_length) ** 2)))

    def _wall(self) -> None:
        below = np.abs(self.y[:, np.newaxis] - 126 + (self.x / 50) ** 2) < 1.3
        self.hu[below & (np.abs(self.x) < 165)] = _TABLE
        skin = _Ellipse(0, 0, 162, 114)
        self._fill(skin, 20)
        self._fill(skin.inset(2.5), _FAT - 5)
        self._fill(_Ellipse(0, 2, 144, 98), _MUSCLE)
        self._fill(_Ellipse(0, -4, 133, 88), _FAT)
        for side in (-1, 1):
            self._fill(_Ellipse(side * 36, 88, 32, 17, -side * 0.15), _MUSCLE)  # erector spinae
            self._fill(_Ellipse(side * 33, 60, 13 - self.z / 10, 15 - self.z / 10), _MUSCLE)  # psoas
            for rib in range(6):
                angle = 0.95 - 0.42 * rib + 0.0035 * self.z
                center = side * 138 * np.cos(angle), 2 + 92 * np.sin(angle)
                tangent = np.arctan2(92 * np.cos(angle), -side * 138 * np.sin(angle))
                self._bone(_Ellipse(*center, 10, 4.5, tangent), 1.8)

    def _spine(self) -> None:
        disc = (self.z + 100) % 34 < 7
        self._fill(_Ellipse(0, 84, 20, 13), _CORTEX * 0.7)  # arch
        for side in (-1, 1):
            self._bone(_Ellipse(side * 26, 84, 17, 4.5, side * 0.25), 1.5)  # transverse process
        self._bone(_Ellipse(0, 97, 4.5, 11), 1.5)  # spinous process
        self._fill(_Ellipse(0, 82, 11, 9), _FLUID + 15)  # canal
        self._fill(_Ellipse(0, 81, 6, 6), 45)  # cord
        body = _Ellipse(0, 58, 24, 18)
        self._fill(body, _DISC)
        if not disc:
            self._bone(body, 1.8)

    def _left_side(self) -> None:
        """Stomach with an air-fluid level, and spleen."""
        size = self._closing(35, 75)
        stomach = _Ellipse(82, -36, 42 * size, 34 * size, 0.25)
        self._fill(stomach, 70)
        box, lumen = self._inside(stomach.inset(4))
        self.hu[box][lumen] = _FLUID + 10
        self.hu[box][lumen & (self.y[box[0], np.newaxis] < -50)] = -960
        size = self._closing(35, 62)
        self._fill(_Ellipse(101, 28, 24 * size, 46 * size, -0.35), 118)

    def _kidneys(self) -> None:
        for side, center in ((-1, -45.0), (1, -30.0)):
            size = self._closing(center, 55)
            kidney = _Ellipse(side * 66, 50, 25 * size, 30 * size, side * 0.5)
            self._fill(kidney, 190)
            self._fill(kidney.scaled(0.68), 140)
            self._fill(_Ellipse(side * 58, 47, 12 * size, 11 * size), -60)  # sinus
            self._fill(_Ellipse(side * 52, 46, 5 * size, 6 * size), 170)  # renal vein

    def _bowel(self) -> None:
        """Pancreas in the middle, then loops with a little gas, in the lower half."""
        size = self._closing(0, 38)
        self._fill(_Ellipse(20, 0, 46 * size, 9 * size, -0.35), 95)
        size = self._closing(-70, 62)
        for number, (course, radius, gas, drift) in enumerate(self.phases[2:10] / (2 * np.pi)):
            x = (number % 4) * 40 - 40 + 14 * np.sin(drift * 7 + self.z / 30)
            y = -58 + (number // 4) * 34 + 10 * np.cos(course * 7 + self.z / 25)
            loop = _Ellipse(x, y, (13 + 7 * radius) * size, (11 + 5 * gas) * size)
            self._fill(loop, 90)
            box, lumen = self._inside(loop.inset(2.5))
            self.hu[box][lumen] = 35
            if x > 15:  # gas beside the liver would widen the window that the data set is protected in
                self.hu[box][lumen & (self.y[box[0], np.newaxis] < y - 9 + 12 * gas)] = -850

    def _liver(self) -> None:
        size = self._closing(10, 88)
        left_size = self._closing(25, 62)
        right = self._mask(_Ellipse(-74, -8, 56 * size, 70 * size, 0.25))
        left = self._mask(_Ellipse(-18, -42, 54 * left_size, 28 * left_size, -0.2))
        kidney_size = self._closing(-45, 60)
        kidney = self._mask(_Ellipse(-66, 50, 29 * kidney_size, 34 * kidney_size, -0.5))  # and the fat around it
        bed = self._mask(_Ellipse(0, 52, 40, 46))  # keeps off the spine, aorta and vena cava
        liver = (right | left) & self._mask(_Ellipse(0, -4, 125, 81)) & ~kidney & ~bed
        size = self._closing(-25, 38)
        gallbladder = _Ellipse(-40, -38, 13 * size, 19 * size, -0.5)
        liver &= ~self._mask(gallbladder)
        self._fill(gallbladder, _FLUID)
        self.hu[liver] = _LIVER_HU
        self._liver_vessels(liver)
        self.labels[liver] = LIVER
        self._lesion(liver)

    def _liver_vessels(self, liver: NDArray[np.bool_]) -> None:
        for number, (course, turn, size, drift) in enumerate(self.phases):
            x = -62 + 42 * np.sin(course + self.z / 45)
            y = -8 + 42 * np.cos(drift + 2.1 * number + self.z / 55)
            vessel = _Ellipse(x, y, 5 + 1.6 * size, 1.8 + 0.25 * size, turn + self.z / 50)
            box, inside = self._inside(vessel)
            self.hu[box][inside & liver[box]] = _VESSEL_HU

    def _lesion(self, liver: NDArray[np.bool_]) -> None:
        """A hypodense ball with a slightly denser rim, all of it inside the liver."""
        x, y, z = _LESION_CENTER_MM
        radius = np.sqrt(max(0.0, _LESION_RADIUS_MM**2 - (self.z - z) ** 2))
        ball = _Ellipse(x, y, radius, radius)
        for ellipse, hu in ((ball, _RIM_HU), (ball.inset(3.0), _LESION_HU)):
            box, inside = self._inside(ellipse)
            inside = inside & liver[box]
            self.hu[box][inside] = hu
            self.labels[box][inside] = LESION

    def _great_vessels(self) -> None:
        self._fill(_Ellipse(10, 30, 11, 11), 185)  # aorta
        self._fill(_Ellipse(10, 19.5, 1.2, 10.5), _CORTEX if 12 < self.z < 15 else 185)  # a calcified mesenteric root
        self._fill(_Ellipse(-20, 32, 13, 10, 0.3), _VESSEL_HU)  # vena cava


def _noise(random: np.random.Generator, hu: Plane) -> Plane:
    """Slightly correlated noise, as a reconstruction kernel leaves it; much less in air."""
    white = random.standard_normal(hu.shape, dtype=np.float32)
    correlated = ndimage.gaussian_filter(white, 0.6)
    return correlated * (_NOISE_HU / correlated.std()) * np.where(hu > -900, np.float32(1.0), np.float32(0.3))
