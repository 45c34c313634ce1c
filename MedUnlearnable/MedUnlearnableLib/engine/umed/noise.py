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
from .generators import build_generators, reach
from .plan import GENERATOR_DEPTH
from .region import Region, Scale, brightness_scale, slab_with_halo, tiles

if TYPE_CHECKING:
    from torch import nn

#: Largest side of a tile without its halo, by dimensions; multiples of the generators' blocks.
_TILE_SIDE = {2: 1024, 3: 96}


def generators_of(dimensions: int, channels: int, width: int) -> nn.Module:
    """Those of a training, with fresh weights from torch's global stream."""
    return build_generators(dimensions, channels, channels, width, GENERATOR_DEPTH[dimensions])


@dataclass(frozen=True)
class TrainedNoise:
    """Generators after their training."""

    dimensions: int
    channels: int
    width: int
    weights: Mapping[str, NDArray[Any]]

    @cached_property
    def _networks(self) -> nn.Module:
        import torch

        networks = generators_of(self.dimensions, self.channels, self.width)
        networks.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in self.weights.items()})
        return networks.eval().requires_grad_(False)

    def scale(self, case: Case, windows: Windows) -> Scale:
        """What `of` needs to know of the whole case."""
        return brightness_scale(case, windows, self.dimensions)

    def slabs(self, case: Case, radius: Radius) -> Iterator[Slab]:
        """Tiles that begin at multiples of the generators' blocks; a halo reaches as far as the generators see.

        Only cores are used and nothing is blended, so there is no seam where tiles meet.
        """
        box = bounding_box(case.segments, radius)
        depth, side = GENERATOR_DEPTH[self.dimensions], _TILE_SIDE[self.dimensions]
        blocks, sides, far = (2**depth,) * 3, (side,) * 3, (reach(depth),) * 3
        if self.dimensions == 2:
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

        if len(case.image) != self.channels:
            raise Refused(f"the image has {len(case.image)} channels, but the training saw {self.channels}; train anew")
        slab, flat = region.slab, self.dimensions == 2
        first = slab.core[0].start
        mean, deviation = (values[:, first, None, None, None] for values in (scale.mean, scale.deviation))
        # Of slices only that of the core goes through the networks; its neighbors were read for the masks.
        plane = slab.inner[0].start if flat else slice(None)
        image = ((region.image - mean) / deviation)[:, plane]
        contour = region.contour[np.newaxis, plane]
        missing = [-side % 2 ** GENERATOR_DEPTH[self.dimensions] for side in contour.shape[1:]]
        ends = [amount for more in reversed(missing) for amount in (0, more)]
        tensors = [
            pad(torch.from_numpy(np.ascontiguousarray(array))[None].to(device), ends) for array in (image, contour)
        ]
        noise = self._networks.to(device)(*tensors)[0].cpu().numpy()
        return noise[(slice(None), np.newaxis, *slab.inner[1:])] if flat else noise[(slice(None), *slab.inner)]
