"""What a run will do, before it is started: the profile that auto stands for, and what a budget means for a volume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.case import Case, CasesInMemory, Classes, Geometry
from ..engine.masks import CONTOUR_PIXELS
from ..engine.salm import SALM, SALMParams
from ..engine.streams import RandomStreams
from ..engine.umed import UMed, UMedParams
from ..engine.window_rules import WindowSetting, units_of
from ..files.cases import CaseFiles
from ..files.classes import CaseClasses
from ..jobs.job import Job
from ..jobs.methods import METHODS
from . import segments, volumes
from .scene_case import SceneCase

_VOXELS_LOOKED_AT = 200_000


def profile_of(method: str, profile: str, labeled: Sequence[bool], parameters: Mapping[str, Any]) -> tuple[str, str]:
    """The profile that a run takes, and why. `labeled`: for each case whether its class is known."""
    if profile != "auto":
        return profile, "asked for"
    some_class = CaseClasses(("a", "b"), (0,))
    files = [
        CaseFiles(f"case{number}", Path(), None, classes=some_class if known else None)
        for number, known in enumerate(labeled)
    ]
    job = Job(method.lower(), tuple(files), Path(), Path(), parameters=parameters)
    return METHODS[method.lower()].auto_profile(job)


def default_epsilon(method: str, profile: str) -> float | None:
    """The budget of a profile in 1/255 of the window; None for a method that has no budget."""
    params = METHODS[method.lower()].new(profile, {}, RandomStreams.fresh()).params
    epsilon = getattr(params, "epsilon", None)
    return None if epsilon is None else round(255 * epsilon, 6)


def estimated_budget(method: str, case: SceneCase, epsilon: float, window: str) -> str:
    """The largest change of a voxel as text with units, "3.1 HU". From a regular sample of voxels, so about right.

    `epsilon` in 1/255 of the window. Refuses what the run would refuse. For methods that have a budget.
    """
    image = volumes.channels_of(case.volumeNode)
    stride = max(1, round((image[0].size / _VOXELS_LOOKED_AT) ** (1 / 3)))
    spacing = np.array(volumes.geometry_of(case.volumeNode).spacing_kji)
    sample = Case(
        "sample",
        image[:, ::stride, ::stride, ::stride],
        Geometry.of_spacing(tuple(stride * spacing[::-1])),
        _layers(case, stride),
        modality=volumes.modality_of(case.volumeNode) or ("picture" if len(image) == 3 else ""),
        classes=Classes(("this", "another"), ((0,),)),  # the budget is the same for every class
    )
    choices: dict[str, Any] = {"epsilon": epsilon / 255, "window": WindowSetting.parse(window)}
    estimator: UMed | SALM
    if method == "SALM":
        estimator = SALM(SALMParams(**choices), RandomStreams.fresh())
    else:
        contour_mm = CONTOUR_PIXELS * float(spacing.min())  # the band must not widen with the stride
        estimator = UMed(UMedParams(**choices, contour_mm=contour_mm), RandomStreams.fresh())
    estimator.fit(CasesInMemory((sample,)))
    return f"{estimator.budget_physical(sample):.3g} {units_of(sample)}".strip()


def _layers(case: SceneCase, stride: int) -> tuple[NDArray[np.uint8], ...]:
    if case.segmentationNode is None:
        return ()
    return tuple(segments.layers_of(case.segmentationNode, case.segmentIDs, case.volumeNode, stride)[0])
