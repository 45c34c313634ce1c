"""A case: one image with its segments, as the methods see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import Refused
from .window import stored_quantum

#: Voxel (i, j, k) may lie this far (in voxels) from where another file of the same case puts it.
GEOMETRY_TOLERANCE_VOXELS = 1e-2
#: An image whose 0.5 percentile lies below holds air around a body: CT.
CT_AIR_HU = -500.0


@dataclass(frozen=True)
class Geometry:
    """Where the voxels lie: `ijk_to_ras` [4, 4] maps (i, j, k, 1) to millimeters, right-anterior-superior."""

    ijk_to_ras: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not np.isfinite(self.ijk_to_ras).all() or not abs(np.linalg.det(self.ijk_to_ras[:3, :3])) > 0:
            raise Refused(
                "the geometry is degenerate: two image axes point the same way or a spacing is 0; repair the header"
            )

    @classmethod
    def of_spacing(cls, spacing_ijk: Sequence[float]) -> Geometry:
        """Axes along RAS with the given spacing in mm, origin 0."""
        return cls(np.diag([*map(float, spacing_ijk), 1.0]))

    @property
    def spacing_kji(self) -> tuple[float, float, float]:
        """Distance between neighbors in mm, in array order (k, j, i)."""
        i, j, k = np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)
        return float(k), float(j), float(i)

    def mismatch_voxels(self, other: Geometry, shape_kji: Sequence[int]) -> float:
        """Largest distance, in the smallest spacing, between where the two put a corner of the array."""
        k, j, i = (n - 1 for n in shape_kji)
        corners = np.array([(a, b, c, 1.0) for a in (0, i) for b in (0, j) for c in (0, k)])
        distance_mm = np.linalg.norm(corners @ (self.ijk_to_ras - other.ijk_to_ras).T, axis=1).max()
        return float(distance_mm / min(self.spacing_kji))

    def agrees_with(self, other: Geometry, shape_kji: Sequence[int]) -> bool:
        return self.mismatch_voxels(other, shape_kji) <= GEOMETRY_TOLERANCE_VOXELS


@dataclass(frozen=True)
class Units:
    """What stored values mean: physical = stored * slope + intercept, in `name` (HU, or empty if unknown)."""

    slope: float = 1.0
    intercept: float = 0.0
    name: str = ""

    def to_stored(self, physical: float) -> float:
        return (physical - self.intercept) / self.slope


@dataclass(frozen=True)
class Channel:
    """What the stored values of one channel mean, where each channel comes from a file of its own. As in `Case`."""

    units: Units = field(default_factory=Units)
    modality: str = ""
    padding: float | None = None
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Classes:
    """Which classes a case shows. `names`: all classes of the cohort, in the same order for every case.

    shown: places in `names`, one entry for the whole case or one for each slice along k. A sample shows one class, or
    any number where `several`; None: it has no label.
    """

    names: tuple[str, ...]
    shown: tuple[tuple[int, ...] | None, ...]
    several: bool = False

    def of_slice(self, k: int) -> tuple[int, ...] | None:
        return self.shown[0] if len(self.shown) == 1 else self.shown[k]


@dataclass(frozen=True)
class Case:
    """One image to protect.

    `image` [C, D, H, W] holds stored values in the file's own dtype (D = 1 for a 2D picture) and is never written to.
    Channels that come from files of their own (CT and PET) have meanings of their own, `channels`, and share a dtype
    that holds the values of all exactly; what `units` to `limits` say then holds for none of them.
    `segments` are layers [D, H, W] of label values, 0 = background; segments that overlap lie in different layers.
    """

    id: str
    image: NDArray[Any]
    geometry: Geometry
    segments: tuple[NDArray[np.integer], ...] = ()
    units: Units = field(default_factory=Units)
    modality: str = ""  # "CT", "MR", "picture" (PNG, RGB) where the source says so, else ""
    padding: float | None = None  # stored value that means "no data", never changed
    limits: tuple[float, float] | None = None  # stored values the file can hold, where less than the dtype can
    warnings: tuple[str, ...] = ()  # what the source makes necessary to say, for the record
    classes: Classes | None = None  # what SALM protects
    channels: tuple[Channel, ...] = ()  # one for each channel of `image`, or none

    @property
    def shape_kji(self) -> tuple[int, int, int]:
        _, depth, height, width = self.image.shape
        return depth, height, width

    @cached_property
    def looks_like_ct(self) -> bool:
        """Whole numbers whose 0.5 percentile is air. Kept, for it takes a percentile of the whole image."""
        values = self.image if np.issubdtype(self.image.dtype, np.integer) else self.image[np.isfinite(self.image)]
        slope, intercept = self.units.slope, self.units.intercept
        lowest, highest = (float(v) * slope + intercept for v in (values.min(initial=0), values.max(initial=0)))
        if min(lowest, highest) > CT_AIR_HU or stored_quantum(self.image) is None:  # the cheap way out for most MR
            return False
        return bool(np.percentile(values, 0.5 if slope > 0 else 99.5) * slope + intercept <= CT_AIR_HU)

    def of_one_meaning(self) -> tuple[Case, ...]:
        """The case itself, or a case for each channel where these have meanings of their own. Views, no copies."""
        if not self.channels:
            return (self,)
        return tuple(
            replace(self, image=self.image[number : number + 1], channels=(), **channel.__dict__)
            for number, channel in enumerate(self.channels)
        )

    def refuse_constant(self) -> None:
        """Raises `Refused` where every channel holds one single value."""
        if all(channel.min() == channel.max() for channel in self.image):
            raise Refused("the image is constant, so there is nothing to protect; leave it out")

    @property
    def has_foreground(self) -> bool:
        return any(bool(layer.any()) for layer in self.segments)


class CaseSource(Protocol):
    """The cases of a run. Knows its ids without reading a voxel and holds no more than one case in memory."""

    @property
    def ids(self) -> Sequence[str]: ...

    def load(self, case_id: str) -> Case: ...


@dataclass(frozen=True)
class CasesInMemory:
    """A `CaseSource` of cases that are there already."""

    cases: tuple[Case, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(case.id for case in self.cases)

    def load(self, case_id: str) -> Case:
        return next(case for case in self.cases if case.id == case_id)
