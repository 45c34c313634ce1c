"""The noise of trained generators for any part of a case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..case import Case
from ..errors import Refused
from ..masks import Radius, Slab, bounding_box
from ..window import Windows
from .cohort import Cohort, SegmentClasses
from .generators import build_generators, reach
from .plan import GENERATOR_DEPTH
from .region import Region, Scale, brightness_scale, slab_with_halo, tiles

if TYPE_CHECKING:
    import torch
    from torch import nn

#: Largest side of a tile without its halo, by dimensions; multiples of the generators' blocks.
_TILE_SIDE = {2: 1024, 3: 96}


@dataclass(frozen=True)
class Ports:
    """What goes into the generators and comes out of them."""

    dimensions: int
    channels: int
    classes: SegmentClasses
    told_labels: bool

    @classmethod
    def of(cls, cohort: Cohort, told_labels: bool) -> Ports:
        return cls(cohort.dimensions, cohort.channels, cohort.classes, told_labels)

    @property
    def in_channels(self) -> int:
        return self.channels + (self.classes.digits + 1 if self.told_labels else 0)

    def networks(self, width: int) -> nn.Module:
        depth, apart = GENERATOR_DEPTH[self.dimensions], not self.told_labels
        return build_generators(self.dimensions, self.in_channels, self.channels, width, depth, apart)

    def inputs(self, z_scored: torch.Tensor, classes: torch.Tensor, contour: torch.Tensor) -> torch.Tensor:
        """z_scored [N, C, *sides], classes [N, *sides], contour [N, 1, *sides] (bool) to [N, in_channels, *sides]."""
        import torch

        if not self.told_labels:
            return z_scored
        digits = torch.stack([(classes >> digit) & 1 for digit in range(self.classes.digits)], dim=1)
        return torch.cat([z_scored, digits.to(z_scored.dtype), contour.to(z_scored.dtype)], dim=1)

    def to_json(self) -> dict[str, Any]:
        return {**self.__dict__, "classes": self.classes.values}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Ports:
        return cls(**{**values, "classes": SegmentClasses(tuple(map(tuple, values["classes"])))})


@dataclass(frozen=True)
class TrainedNoise:
    """Generators after their training."""

    ports: Ports
    width: int
    weights: Mapping[str, NDArray[Any]]

    @cached_property
    def _networks(self) -> nn.Module:
        import torch

        networks = self.ports.networks(self.width)
        networks.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in self.weights.items()})
        return networks.eval().requires_grad_(False)

    def scale(self, case: Case, windows: Windows) -> Scale:
        """What `of` needs to know of the whole case."""
        return brightness_scale(case, windows, self.ports.dimensions)

    def slabs(self, case: Case, radius: Radius) -> Iterator[Slab]:
        """Tiles that begin at multiples of the generators' blocks; a halo reaches as far as the generators see.

        Only cores are used and nothing is blended, so there is no seam where tiles meet.
        """
        box = bounding_box(case.segments, radius)
        depth, side = GENERATOR_DEPTH[self.ports.dimensions], _TILE_SIDE[self.ports.dimensions]
        blocks, sides, far = (2**depth,) * 3, (side,) * 3, (reach(depth),) * 3
        if self.ports.dimensions == 2:
            blocks, sides, far = (1, *blocks[1:]), (1, *sides[1:]), (0, *far[1:])
        # At the rim of a halo the masks are wrong, one radius deep; so much more is read.
        more = [-(-(max(r, 1) + distance) // block) * block for r, distance, block in zip(radius, far, blocks)]
        for core in tiles(box, sides, blocks) if box else ():
            slab = slab_with_halo(core, more, case.shape_kji)
            if any(layer[slab.halo].any() for layer in case.segments):
                yield slab

    def of(self, case: Case, region: Region, scale: Scale, device: str) -> NDArray[np.float32]:
        """Noise in (-1, 1) for the core of the region's slab, [C, D, H, W]; `case` is upright."""
        import torch
        from torch.nn.functional import pad

        if len(case.image) != self.ports.channels:
            raise Refused(
                f"the image has {len(case.image)} channels, but the training saw {self.ports.channels}; train anew"
            )
        slab, flat = region.slab, self.ports.dimensions == 2
        first = slab.core[0].start
        mean, deviation = (values[:, first, None, None, None] for values in (scale.mean, scale.deviation))
        # Of slices only that of the core goes through the networks; its neighbors were read for the masks.
        plane = slab.inner[0].start if flat else slice(None)
        image = ((region.image - mean) / deviation)[:, plane]
        classes = self.ports.classes.of([layer[slab.halo] for layer in case.segments])[plane]
        contour = region.contour[np.newaxis, plane]
        missing = [-side % 2 ** GENERATOR_DEPTH[self.ports.dimensions] for side in classes.shape]
        ends = [amount for more in reversed(missing) for amount in (0, more)]
        tensors = [
            pad(torch.from_numpy(np.ascontiguousarray(array))[None].to(device), ends)
            for array in (image, classes, contour)
        ]
        noise = self._networks.to(device)(self.ports.inputs(*tensors), tensors[2])[0].cpu().numpy()
        return noise[(slice(None), np.newaxis, *slab.inner[1:])] if flat else noise[(slice(None), *slab.inner)]
