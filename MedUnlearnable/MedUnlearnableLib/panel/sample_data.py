"""The generated samples in Slicer's Sample Data module. They are computed here: nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..files.samples import SAMPLES, Sample
from ..scene.sample_nodes import add_sample

CATEGORY = "MedUnlearnable"
_ICONS = Path(__file__).parents[2] / "Resources" / "Icons"


def register() -> None:
    """Adds the samples; to be called when the application has started. Does nothing where Sample Data is left out."""
    try:
        from SampleData import SampleDataLogic  # type: ignore[import-not-found]
    except ModuleNotFoundError:
        return
    for name in SAMPLES:
        SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=name,
            # Nothing to fetch. Slicer takes the lengths of these three, so they cannot be left at None.
            uris=[],
            fileNames=[],
            nodeNames=[],
            customDownloader=_Generator(name),
            thumbnailFileName=str(_ICONS / f"{name}.png"),
        )


@dataclass(frozen=True)
class _Generator:
    """What a click on the sample runs. A dataclass, because Slicer tells sources apart by the text of this object."""

    name: str

    def __call__(self, source: Any = None) -> list[Any]:
        import slicer.util

        with slicer.util.WaitCursor():
            sample = SAMPLES[self.name]()
            volume, segmentation = add_sample(self.name, sample)
            _show(volume, sample)
        return [volume, segmentation]


def _show(volume: Any, sample: Sample) -> None:
    """The volume in the slice views, at its finding."""
    import slicer.util

    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    kji = np.argwhere(sample.labels == sample.finding).mean(axis=0)
    position = sample.geometry.ijk_to_ras @ [*kji[::-1], 1.0]
    for view in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        view.JumpSliceByOffsetting(*position[:3])
