"""A fundus photograph of a right eye: disc, macula, a tree of vessels, hemorrhages and hard exudates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .sample import Sample
from .shapes import Plane, axial_geometry, axis_mm, smooth_noise

HEMORRHAGE, EXUDATE = 1, 2

_FIELD_MM = 13.0  # a 45 degree camera
_RADIUS_MM = 6.2  # of the visible circle
_DISC_MM, _MACULA_MM = (4.3, -0.2), (-0.3, 0.3)
_DISC_HALF_AXES_MM = (0.85, 0.98)
_CHOROID_RGB, _DISC_RGB, _CUP_RGB = (196, 92, 38), (240, 178, 98), (254, 232, 188)
_BLOOD_RGB, _EXUDATE_RGB = (122, 22, 12), (246, 214, 112)
#: How much of red, green and blue the blood of a vessel takes away where it is thickest.
_VEIN_LOSS, _ARTERY_LOSS = (0.36, 0.62, 0.55), (0.16, 0.44, 0.42)
_STEP_MM = 0.04


@dataclass(frozen=True)
class _Branch:
    """Where a vessel begins, where it heads to (radians), half width and length in mm."""

    x: float
    y: float
    heading: float
    half_width: float
    length: float
    bend: float  # radians per mm


#: The eight trunks that leave the disc. Temporal ones (left in the picture) arch around the macula.
_TRUNKS = tuple(
    _Branch(*_DISC_MM, np.radians(heading), width, length, bend)
    for heading, width, length, bend in (
        (-112, 0.105, 9.5, -0.26),
        (116, 0.11, 9.5, 0.26),
        (-50, 0.07, 3.5, 0.12),
        (55, 0.07, 3.5, -0.12),
    )
)


def synthetic_fundus(
    shape_ji: tuple[int, int] = (576, 576), seed: int = 0, lesions: tuple[int, int] = (16, 26)
) -> Sample:
    """A photograph of 13 x 13 mm of retina, RGB uint8. `lesions`: how many hemorrhages and hard exudates."""
    random = np.random.default_rng(seed)
    height, width = shape_ji
    spacing = (_FIELD_MM / width, _FIELD_MM / height)
    x = axis_mm(width, spacing[0])[np.newaxis, :]
    y = axis_mm(height, spacing[1])[:, np.newaxis]
    picture = _background(random, x, y, spacing)
    _add_disc(picture, x, y)
    for loss, turn in ((_ARTERY_LOSS, 0.16), (_VEIN_LOSS, -0.1)):
        thickness = _vessels(random, x, y, turn, 0.72 if loss is _ARTERY_LOSS else 1.0)
        picture *= 1 - thickness[..., np.newaxis] * np.array(loss, np.float32)
    labels = _add_lesions(random, picture, x, y, lesions)
    inside = np.hypot(x, y)
    aperture = np.clip((_RADIUS_MM - inside) / 0.06, 0, 1)
    labels[inside > _RADIUS_MM - 0.1] = 0
    picture = ndimage.gaussian_filter(picture, (0.8, 0.8, 0)) * aperture[..., np.newaxis]
    picture += 2.2 * ndimage.gaussian_filter(random.standard_normal(picture.shape), (0.6, 0.6, 0)) * 1.6
    image = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return Sample(
        image[np.newaxis],
        labels[np.newaxis],
        axial_geometry((*spacing, 1.0), (1, height, width)),
        {HEMORRHAGE: "hemorrhages", EXUDATE: "hard exudates"},
        modality="picture",
        class_label="diabetic retinopathy",
        finding=HEMORRHAGE,
        display_window=(0.0, 255.0),
    )


def _background(random: np.random.Generator, x: Plane, y: Plane, spacing: tuple[float, float]) -> Plane:
    """Choroid through the pigment: mottled, brighter towards the disc, darker at the rim and in the macula."""
    shape = np.broadcast_shapes(x.shape, y.shape)
    mottle = sum(
        strength * smooth_noise(random, shape, mm / spacing[0])
        for mm, strength in ((0.9, 0.035), (0.25, 0.025), (0.07, 0.02))
    )
    rim = 1 - 0.38 * (np.hypot(x, y) / _RADIUS_MM) ** 2.6
    glow = 0.16 * np.exp(-(((x - _DISC_MM[0]) / 2.6) ** 2) - ((y - _DISC_MM[1]) / 3.0) ** 2)
    to_macula = np.hypot(x - _MACULA_MM[0], y - _MACULA_MM[1])
    macula = 0.30 * np.exp(-((to_macula / 0.95) ** 2)) + 0.16 * np.exp(-((to_macula / 0.28) ** 2))
    brightness = (rim + glow + mottle) * (1 - macula)
    reddening = np.stack([np.ones(shape), 1 - 0.35 * macula, 1 - 0.5 * macula], axis=-1)  # yellow pigment
    return (brightness[..., np.newaxis] * reddening * _CHOROID_RGB).astype(np.float32)


def _add_disc(picture: Plane, x: Plane, y: Plane) -> None:
    half_x, half_y = _DISC_HALF_AXES_MM
    for share, shift, softness, color in ((1.0, 0.0, 0.1, _DISC_RGB), (0.42, -0.08, 0.2, _CUP_RGB)):
        level = np.hypot((x - _DISC_MM[0] - shift) / half_x, (y - _DISC_MM[1]) / half_y)
        _blend(picture, _falling(level - share, softness * 0.35), color, 0.93)


def _vessels(random: np.random.Generator, x: Plane, y: Plane, turn: float, caliber: float) -> Plane:
    """Blood thickness, 0 to 1, of one tree: arteries and veins run side by side but not on top of each other."""
    thickness = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    waiting = [
        _Branch(b.x, b.y + turn / 2, b.heading + turn * np.sign(b.heading), b.half_width * caliber, b.length, b.bend)
        for b in _TRUNKS
    ]
    while waiting:
        waiting += _grow(random, thickness, waiting.pop(), x[0], y[:, 0])
    return thickness


def _grow(random: np.random.Generator, thickness: Plane, branch: _Branch, x: Plane, y: Plane) -> list[_Branch]:
    """Draws one vessel step by step; returns the branches it gives off."""
    side_branches = []
    px, py, heading, half_width = branch.x, branch.y, branch.heading, branch.half_width
    sway, next_fork = 0.0, random.uniform(0.6, 1.3)
    steps = int(branch.length / _STEP_MM)
    for step in range(steps):
        sway = 0.93 * sway + random.normal(0, 0.16)
        heading += (branch.bend + sway) * _STEP_MM
        px, py = px + np.cos(heading) * _STEP_MM, py + np.sin(heading) * _STEP_MM
        if np.hypot(px, py) > _RADIUS_MM + 0.2:
            break
        half_width = branch.half_width * (1 - 0.55 * step / steps)
        _stamp(thickness, px, py, half_width, x, y)
        if step * _STEP_MM > next_fork and half_width > 0.022:
            next_fork += random.uniform(0.7, 1.5)
            side = random.choice((-1, 1))
            away = heading + side * random.uniform(0.5, 1.0)
            length = min(branch.length * 0.55, 60 * half_width) * random.uniform(0.7, 1.2)
            side_branches.append(_Branch(px, py, away, half_width * 0.62, length, -side * random.uniform(0.02, 0.25)))
    return side_branches


def _stamp(thickness: Plane, px: float, py: float, half_width: float, x: Plane, y: Plane) -> None:
    """A ball of blood; near the macula vessels fade out."""
    reach = 2.2 * half_width + 0.05
    rows = slice(*np.searchsorted(y, (py - reach, py + reach)))
    columns = slice(*np.searchsorted(x, (px - reach, px + reach)))
    distance = np.hypot(x[np.newaxis, columns] - px, y[rows, np.newaxis] - py)
    to_macula = np.hypot(px - _MACULA_MM[0], py - _MACULA_MM[1])
    strength = np.clip((to_macula - 0.45) / 0.8, 0, 1) * min(1.0, 0.45 + half_width / 0.08)
    ball = strength * np.exp(-((distance / (0.85 * half_width)) ** 4))
    np.maximum(thickness[rows, columns], ball, out=thickness[rows, columns])


def _add_lesions(
    random: np.random.Generator, picture: Plane, x: Plane, y: Plane, counts: tuple[int, int]
) -> NDArray[np.uint8]:
    """Dark red blots scattered over the posterior pole, yellow flecks in a ring beside the macula; their labels."""
    labels = np.zeros(picture.shape[:2], np.uint8)
    blots = [(*random.normal((-0.5, 0), (2.0, 2.2)), random.uniform(0.09, 0.26)) for _ in range(counts[0])]
    angles = random.uniform(-0.5, 3.6, counts[1])
    flecks = [
        (-1.5 + 1.0 * np.cos(a) + random.normal(0, 0.1), 1.1 + 0.8 * np.sin(a) + random.normal(0, 0.1), size)
        for a, size in zip(angles, random.uniform(0.05, 0.14, len(angles)))
    ]
    for value, spots, color, softness in ((HEMORRHAGE, blots, _BLOOD_RGB, 0.25), (EXUDATE, flecks, _EXUDATE_RGB, 0.12)):
        for px, py, size in spots:
            cover = _spot(random, px, py, size, softness, x, y)
            _blend(picture, cover, color, 0.85)
            labels[cover > 0.5] = value
    return labels


def _spot(random: np.random.Generator, px: float, py: float, size: float, softness: float, x: Plane, y: Plane) -> Plane:
    """Share of cover, 0 to 1, of one spot with an uneven outline."""
    dx, dy = x - px, y - py
    angle = np.arctan2(dy, dx)
    outline = 1 + sum(0.10 * np.sin(n * angle + random.uniform(0, 2 * np.pi)) for n in (2, 3, 5))
    return _falling(np.hypot(dx, dy) / (size * outline) - 1, softness * 0.5)


def _falling(level: Plane, width: float) -> Plane:
    """From 1 where `level` is negative to 0 where it is positive."""
    return 1 / (1 + np.exp(np.clip(level / width, -30, 30)))


def _blend(picture: Plane, cover: Plane, color: tuple[int, int, int], opacity: float) -> None:
    picture += cover[..., np.newaxis] * (np.array(color, np.float32) - picture) * np.float32(opacity)
