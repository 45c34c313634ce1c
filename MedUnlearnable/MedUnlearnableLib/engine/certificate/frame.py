"""How the certified image lies in its array, and how to see another file of it in the same way.

Programs may flip or swap the axes of a volume (and say so in its geometry), change its dtype, or store Hounsfield units
where there were scanner values. The certificate records axes and units of the file it was made for; a file that is
checked is turned to those axes and, if need be, brought to those units. Turning to the recorded axes, not to a fixed
anatomical frame, leaves no choice at 45 degrees and keeps the numbers of the slices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..case import Geometry, Units
from .values import same_values

#: Rescaled values may lie this far from the integers they stand for, in steps of the certified file.
_STEP_TOLERANCE = 0.01


@dataclass(frozen=True)
class Image:
    """An image as a file holds it: `array` [C, D, H, W]; `geometry` is None where the format has none (PNG)."""

    array: NDArray[Any]
    geometry: Geometry | None = None
    units: Units = field(default_factory=Units)


@dataclass(frozen=True)
class Orientation:
    """Certified axis number n is axis `axes[n]` of the file, backwards where `flipped[n]`; axes k, j, i."""

    axes: tuple[int, int, int] = (0, 1, 2)
    flipped: tuple[bool, bool, bool] = (False, False, False)

    @classmethod
    def between(cls, geometry: Geometry, certified: Geometry) -> Orientation:
        """The turn that brings the axes of a file nearest to the certified ones."""
        cosines = _directions(certified) @ _directions(geometry).T
        axes = max(permutations(range(3)), key=lambda p: sum(abs(cosines[n, p[n]]) for n in range(3)))
        return cls(axes, tuple(bool(cosines[n, axes[n]] < 0) for n in range(3)))  # type: ignore[arg-type]

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array [C, ...] of the file, as a view along the certified axes."""
        return array.transpose(0, *(axis + 1 for axis in self.axes))[self._steps]

    def undo(self, array: NDArray[Any]) -> NDArray[Any]:
        """The inverse of `apply`."""
        return array[self._steps].transpose(0, *(self.axes.index(axis) + 1 for axis in range(3)))

    def geometry(self, geometry: Geometry, shape_kji: tuple[int, ...]) -> Geometry:
        """Where the voxels of the turned array of this shape lie, if those of the file lie at `geometry`."""
        turn = np.zeros((4, 4))
        turn[3, 3] = 1.0
        for certified, (axis, flipped) in enumerate(zip(self.axes, self.flipped)):
            turn[2 - axis, 2 - certified] = -1.0 if flipped else 1.0
            turn[2 - axis, 3] = shape_kji[certified] - 1 if flipped else 0.0
        return Geometry(geometry.ijk_to_ras @ turn)

    def slice_in_file(self, number: int, count: int) -> int:
        """The number that the file gives the certified slice, where it has the same slices at all."""
        return count - 1 - number if self.axes[0] == 0 and self.flipped[0] else number

    @property
    def _steps(self) -> tuple[slice, ...]:
        return (slice(None), *(slice(None, None, -1 if flipped else 1) for flipped in self.flipped))


@dataclass(frozen=True)
class Frame:
    """What the certificate says of its image: shape [C, D, H, W], dtype, geometry, units."""

    shape: tuple[int, int, int, int]
    dtype: np.dtype
    geometry: Geometry | None
    units: Units

    @classmethod
    def of(cls, image: Image) -> Frame:
        channels, depth, height, width = image.array.shape
        return cls((channels, depth, height, width), image.array.dtype.newbyteorder("="), image.geometry, image.units)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Frame:
        """From the checked part `protected` of a certificate."""
        geometry = None
        if data["ijk_to_ras"] is not None:
            geometry = geometry_of(data["ijk_to_ras"])
        depth, height, width = data["shape_kji"]
        units = Units(float(data["slope"]), float(data["intercept"]))
        return cls((data["components"], depth, height, width), np.dtype(data["dtype"]), geometry, units)

    def to_json(self) -> dict[str, Any]:
        """Numbers that are no integers become text: nine digits, and all of them where values depend on it."""
        rows = None if self.geometry is None else [f"{x + 0.0:.9g}" for x in self.geometry.ijk_to_ras[:3].ravel()]
        return {
            "dtype": self.dtype.name,
            "shape_kji": list(self.shape[1:]),
            "components": self.shape[0],
            "ijk_to_ras": rows,
            "slope": repr(float(self.units.slope)),
            "intercept": repr(float(self.units.intercept)),
        }

    def readings(self, image: Image) -> Iterator[Reading]:
        """The ways to see `image` as the certified one: as stored, and in the certified units where its own differ."""
        turn = Orientation()
        if image.geometry is not None and self.geometry is not None:
            turn = Orientation.between(image.geometry, self.geometry)
        if turn.apply(image.array).shape != self.shape:
            return
        yield Reading(self, image, turn, rescaled=False)
        if (image.units.slope, image.units.intercept) != (self.units.slope, self.units.intercept):
            yield Reading(self, image, turn, rescaled=True)


@dataclass(frozen=True)
class Reading:
    """A file seen as the certified image."""

    frame: Frame
    image: Image
    orientation: Orientation
    rescaled: bool

    def slab(self, number: int) -> NDArray[Any]:
        """Slice [C, H, W] along the certified axes."""
        found = self.orientation.apply(self.image.array)[:, number]
        return _converted(found, self.image.units, self.frame.units, self.frame.dtype) if self.rescaled else found

    @property
    def misplaced_voxels(self) -> float:
        """How far the file puts a corner from where the certified one has it; 0 where either has no geometry."""
        certified, own = self.frame.geometry, self.image.geometry
        if certified is None or own is None:
            return 0.0
        shape_kji = self.frame.shape[1:]
        return self.orientation.geometry(own, shape_kji).mismatch_voxels(certified, shape_kji)

    def in_file(self, certified: NDArray[Any]) -> NDArray[Any] | None:
        """An array of certified axes, units and dtype as the file would hold it; None if the file cannot, exactly."""
        dtype = self.image.array.dtype
        if dtype.newbyteorder("=") == self.frame.dtype and not self.rescaled:
            return self.orientation.undo(certified)
        held = np.empty(certified.shape, dtype)
        for number in range(certified.shape[1]):
            slab = certified[:, number]
            stored = _converted(slab, self.frame.units, self.image.units, dtype) if self.rescaled else slab
            with np.errstate(invalid="ignore", over="ignore"):
                held[:, number] = stored
            back = held[:, number]
            if self.rescaled:
                back = _converted(back, self.image.units, self.frame.units, self.frame.dtype)
            if not same_values(back, slab):
                return None
        return self.orientation.undo(held)


def geometry_of(rows: Sequence[str]) -> Geometry:
    """From the twelve numbers of the first three rows of ijk_to_ras."""
    return Geometry(np.vstack([np.reshape([float(x) for x in rows], (3, 4)), [0.0, 0.0, 0.0, 1.0]]))


def _converted(slab: NDArray[Any], units: Units, to: Units, dtype: np.dtype) -> NDArray[np.float64]:
    """Stored values of `units` as stored values of units `to`; near-integers are made whole where `dtype` is."""
    with np.errstate(over="ignore", invalid="ignore"):  # of units that are nonsense; the values will not fit then
        physical = slab.astype(np.float64) * units.slope + units.intercept
        values = (physical - to.intercept) / to.slope
    if dtype.kind == "f":
        return values
    whole = np.rint(values) + 0.0  # no negative zero
    return np.where(np.abs(whole - values) <= _STEP_TOLERANCE, whole, values)


def _directions(geometry: Geometry) -> NDArray[np.float64]:
    """Unit vectors [3, 3] of the axes k, j, i."""
    columns = geometry.ijk_to_ras[:3, :3]
    return (columns / np.linalg.norm(columns, axis=0)).T[::-1]
