"""What the training has to know of all cases before it can take samples: labels, channels, how large things are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..case import Case
from ..errors import Refused
from .params import SMALLEST_COHORT

#: Volumes whose slices lie farther apart than this many pixels are treated slice by slice.
THICKEST_SLICE_PIXELS = 3.0
#: Volumes with fewer slices too: halving their depth leaves nothing.
FEWEST_SLICES = 16


@dataclass(frozen=True)
class SegmentClasses:
    """Which class a label value of a layer stands for: 1, 2, ... in this order; 0 is the background."""

    values: tuple[tuple[int, ...], ...]  # of each layer, ascending

    @property
    def count(self) -> int:
        """Classes with the background."""
        return 1 + sum(map(len, self.values))

    def of(self, layers: Sequence[NDArray[np.integer]]) -> NDArray[np.int16]:
        """Class of each voxel; where segments overlap, the one of the last layer. Refuses an unknown label."""
        classes = np.zeros(layers[0].shape, np.int16)
        first = 1
        for number, layer in enumerate(layers):
            known = self.values[number] if number < len(self.values) else ()
            for value in np.unique(layer[layer != 0]).tolist():
                if value not in known:
                    raise Refused(
                        f"label {value} did not occur in the cases the training saw; train anew with this case"
                    )
                classes[layer == value] = first + known.index(value)
            first += len(known)
        return classes


@dataclass(frozen=True)
class Cohort:
    """The cases a training can use, as far as it has to know them. Small, however many and large they are."""

    case_count: int  # with foreground
    channels: int
    dimensions: int  # 2: slice by slice across the coarsest axis, 3: volumes
    classes: SegmentClasses
    sides: tuple[int, ...]  # the largest along each network axis
    extent: tuple[int, ...]  # of the foreground along each network axis, in three cases of four
    pieces: tuple[int, ...]  # slices with foreground of each case, or 1 for a volume; 0 for a case left out

    def to_json(self) -> dict[str, Any]:
        return {**self.__dict__, "classes": self.classes.values}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Cohort:
        classes = SegmentClasses(tuple(map(tuple, values["classes"])))
        lists = {name: tuple(values[name]) for name in ("sides", "extent", "pieces")}
        return cls(values["case_count"], values["channels"], values["dimensions"], classes, **lists)


@dataclass
class Survey:
    """Looks at one case after the other and keeps a few numbers of each."""

    _channels: set[int] = field(default_factory=set)
    _values: list[set[int]] = field(default_factory=list)
    _shapes: list[tuple[int, int, int]] = field(default_factory=list)  # slice axis first
    _extents: list[tuple[int, int, int]] = field(default_factory=list)
    _slices: list[int] = field(default_factory=list)  # with foreground
    _fit_for_volumes: bool = True

    def add(self, case: Case) -> None:
        """`case` is upright and has foreground."""
        foreground = np.any([layer != 0 for layer in case.segments], axis=0)
        self._values += [set() for _ in range(len(case.segments) - len(self._values))]
        for known, layer in zip(self._values, case.segments):
            known.update(np.unique(layer[layer != 0]).tolist())
        used = [np.flatnonzero(foreground.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
        self._channels.add(len(case.image))
        self._shapes.append(case.shape_kji)
        self._extents.append(tuple(int(at[-1] - at[0] + 1) for at in used))  # type: ignore[arg-type]
        self._slices.append(len(used[0]))
        between, *within = case.geometry.spacing_kji
        thick = between > THICKEST_SLICE_PIXELS * min(within)
        self._fit_for_volumes &= case.shape_kji[0] >= FEWEST_SLICES and not thick

    def skip(self) -> None:
        """A case that the training cannot use."""
        self._slices.append(0)

    def cohort(self, as_volumes: bool) -> Cohort:
        """Refuses cases that cannot be trained on together. Without `as_volumes`, slice by slice in any case."""
        if len(self._shapes) < SMALLEST_COHORT:
            raise Refused(
                f"{len(self._shapes)} cases with segments are too few to train on, {SMALLEST_COHORT} are needed; "
                "use --profile instant, or --state with what was trained on other cases"
            )
        if len(self._channels) > 1:
            raise Refused("the cases have different numbers of channels, so they cannot be trained on together")
        dimensions = 3 if as_volumes and self._fit_for_volumes else 2
        axes = slice(3 - dimensions, 3)
        return Cohort(
            case_count=len(self._shapes),
            channels=next(iter(self._channels)),
            dimensions=dimensions,
            classes=SegmentClasses(tuple(tuple(sorted(known)) for known in self._values)),
            sides=tuple(int(side) for side in np.max(self._shapes, axis=0)[axes]),
            extent=tuple(int(side) for side in np.percentile(self._extents, 75, axis=0)[axes]),
            pieces=tuple(min(count, 1) if dimensions == 3 else count for count in self._slices),
        )
