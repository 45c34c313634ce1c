"""Protections small enough for the module's self test, by real worker processes, checked voxel by voxel."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..jobs.methods import METHODS
from .protect_job import ProtectJob
from .scene_case import SceneCase

_HIGHEST = 400  # of the voxels, which start at 0: at least the width of the window
_EPSILON = 4
_COHORT = 16


@dataclass(frozen=True)
class _Trial:
    """How a method is tried. `allowed`: from the segment [D, H, W] to where voxels may change."""

    allowed: Callable[[NDArray[np.bool_]], NDArray[np.bool_]]
    options: dict[str, Any] = field(default_factory=dict)
    has_budget: bool = True


def _around(segment: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Three pixels in the slice, and one of the thick slices."""
    return ndimage.binary_dilation(segment, np.ones((3, 7, 7)))


_TRIALS = {
    "umed": _Trial(_around),
    "salm": _Trial(lambda segment: segment, {"region": "inside", "classNames": ["this", "other"], "label": "this"}),
    "medlocker": _Trial(lambda segment: ~segment, {"logo": "TEST"}, has_budget=False),
}
#: Trained for a moment: enough to run every step of it.
_TRAINED = {"profile": "paper", "epsilon": _EPSILON / 255, "parameters": {"width": 4, "iterations": 2}}


def run(logic: Any, say: Callable[[str], None]) -> None:
    """Protects by every method of this version, and by trained generators where PyTorch is there.

    Raises AssertionError if a voxel changed where it must not or by too much, or if none did.
    """
    for key, kind in METHODS.items():
        say(f"{kind.name}: protecting a small volume, profile instant; it needs no PyTorch")
        trial, sample = _TRIALS[key], _Sample("self test", (8, 64, 64))
        options = {"epsilon": _EPSILON, **trial.options} if trial.has_budget else trial.options
        protected = logic.protect(sample.volume, sample.segmentation, kind.name, profile="instant", **options)
        sample.check(protected, trial)
    if importlib.util.find_spec("torch") is None:
        say("PyTorch is not installed: the trained profiles were not tested")
        return
    say(f"UMed: training on {_COHORT} small images for a moment, profile paper")
    samples = [_Sample(f"self test {number}", (1, 64, 64)) for number in range(_COHORT)]
    cases = [SceneCase(sample.volume, sample.segmentation) for sample in samples]
    for sample, protected in zip(samples, ProtectJob(cases, "UMed", dict(_TRAINED)).wait()):
        sample.check(protected, _TRIALS["umed"])


class _Sample:
    """A box in noise, as volume and segmentation."""

    def __init__(self, name: str, shape: tuple[int, int, int]) -> None:
        import slicer
        import slicer.util

        self.image = np.random.default_rng(0).integers(0, _HIGHEST, shape).astype(np.int16)
        self.segment = np.zeros(shape, bool)
        self.segment[shape[0] // 2, 20:40, 20:40] = True
        self.volume = slicer.util.addVolumeFromArray(self.image, np.diag([1.0, 1.0, 3.0, 1.0]), name)
        self.segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        self.segmentation.SetReferenceImageGeometryParameterFromVolumeNode(self.volume)
        box = self.segmentation.GetSegmentation().AddEmptySegment("box")
        voxels = self.segment.astype(np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, self.segmentation, box, self.volume)

    def check(self, protected: Any, trial: _Trial) -> None:
        import slicer.util

        change = slicer.util.arrayFromVolume(protected).astype(int) - self.image
        assert change.any(), "nothing was changed"
        assert not change[~trial.allowed(self.segment)].any(), "a voxel changed where it must not"
        largest = _EPSILON / 255 * _HIGHEST + 1
        assert not trial.has_budget or np.abs(change).max() <= largest, "the change is not within the budget"
        assert np.array_equal(slicer.util.arrayFromVolume(self.volume), self.image), "the input changed"
