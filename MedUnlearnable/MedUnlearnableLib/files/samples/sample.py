"""What every generated sample is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engine.case import Geometry


@dataclass(frozen=True)
class Sample:
    """A generated image with its segments and its class."""

    image: NDArray[Any]  # stored values as a volume node holds them: [D, H, W], or [D, H, W, 3] in color; D = 1 in 2D
    labels: NDArray[np.uint8]  # [D, H, W], 0 = background
    geometry: Geometry
    segment_names: dict[int, str]  # by label value
    modality: str  # as in Case: "CT", "MR" or "picture"
    class_label: str  # what a classifier would have to find
    finding: int  # label value of the segment that the class is about
    display_window: tuple[float, float]  # stored values shown as black and as white

    @property
    def channels(self) -> NDArray[Any]:
        """The image as the methods take it, a view: [C, D, H, W]."""
        return self.image[np.newaxis] if self.image.ndim == 3 else np.moveaxis(self.image, -1, 0)
