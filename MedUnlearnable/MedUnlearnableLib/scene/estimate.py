"""What a run will do, before it is started: the profile that auto stands for, and what a budget means for a volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..engine.case import Case, CasesInMemory, Geometry
from ..engine.masks import CONTOUR_PIXELS
from ..engine.streams import RandomStreams
from ..engine.umed import UMed, UMedParams
from ..engine.window_rules import WindowSetting, units_of
from ..files.cases import CaseFiles
from ..jobs.job import Job
from ..jobs.methods import METHODS
from . import segments, volumes
from .protect_job import SceneCase

_VOXELS_LOOKED_AT = 200_000


def profile_of(method: str, profile: str, cases: int) -> tuple[str, str]:
    """The profile that a run over so many cases takes, and why."""
    if profile != "auto":
        return profile, "asked for"
    files = tuple(CaseFiles(f"case{number}", Path(), None) for number in range(cases))
    return METHODS[method.lower()].auto_profile(Job(method.lower(), files, Path(), Path()))


def default_epsilon(method: str, profile: str) -> float | None:
    """The budget of a profile in 1/255 of the window; None for a method that has no budget."""
    params = METHODS[method.lower()].new(profile, {}, RandomStreams.fresh()).params
    epsilon = getattr(params, "epsilon", None)
    return None if epsilon is None else round(255 * epsilon, 6)


def estimated_budget(case: SceneCase, epsilon: float, window: str) -> str:
    """The largest change of a voxel as text with units, "3.1 HU". From a regular sample of voxels, so about right.

    `epsilon` in 1/255 of the window. Refuses what the run would refuse.
    """
    image = volumes.channels_of(case.volumeNode)
    stride = max(1, round((image[0].size / _VOXELS_LOOKED_AT) ** (1 / 3)))
    layers, _ = segments.layers_of(case.segmentationNode, case.segmentIDs, case.volumeNode, stride)
    modality = volumes.modality_of(case.volumeNode) or ("picture" if len(image) == 3 else "")
    spacing = np.array(volumes.geometry_of(case.volumeNode).spacing_kji)
    geometry = Geometry.of_spacing(tuple(stride * spacing[::-1]))
    sample = Case("sample", image[:, ::stride, ::stride, ::stride], geometry, tuple(layers), modality=modality)
    contour_mm = CONTOUR_PIXELS * float(spacing.min())  # of the whole volume: the band must not widen with the stride
    params = UMedParams(epsilon=epsilon / 255, window=WindowSetting.parse(window), contour_mm=contour_mm)
    method = UMed(params, RandomStreams.fresh())
    method.fit(CasesInMemory((sample,)))
    return f"{method.budget_physical(sample):.3g} {units_of(sample)}".strip()
