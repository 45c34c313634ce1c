"""What the user gives for one case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SceneCase:
    """A volume with the segments that say where it may change. `segmentIDs` None: all of them.

    `label`: the class of a case; None: what the attribute `MedUnlearnable.label` of the volume says. `lesionROIs`:
    markups ROIs that MedLocker keeps free.
    """

    volumeNode: Any
    segmentationNode: Any = None
    segmentIDs: Sequence[str] | None = None
    label: str | None = None
    lesionROIs: Sequence[Any] = ()
