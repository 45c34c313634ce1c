"""Before any training: will this task be easy to protect?

What protects is a shortcut, and a network that augments takes it only where the structure itself is hard to learn. So a
tiny network learns the clean task for a moment: the less it reaches, the better the outlook. The contrast of segments
to their surroundings does not tell (median contrast-to-noise 0.7, 1.3 and 3.1 for hippocampi, breast lesions and
nuclei, of which the middle one was protected best in early experiments).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .attack import AttackData, AttackSettings, attack
from .carrier import fine_axes
from .case import Case, CaseSource
from .errors import Cancelled, MedUnlearnableError, Refused
from .progress import AsStage, Progress

#: DSC of the tiny network below which a task counts as easy to protect.
EASY_BELOW = 0.62
#: From Testing/benchmarks/forecast_hits.py; wrong on BUSI, which early experiments had seen protected from augmenting
#: attackers, and those of umed_strength.py have not.
HIT_RATE = "right on two of three data sets, and never yet where they gave a chance"
_SIDE = 48  # pixels of the slices the tiny network sees
_SLICES = 200
_FEWEST_CASES = 12  # a third of them is for the test
_SETTINGS = AttackSettings(width=8, steps=100, learning_rate=1e-2, curve_points=1)


@dataclass(frozen=True)
class Forecast:
    """One sentence to show; value: DSC of the tiny network on cases it has not seen, None where nothing can be said."""

    sentence: str
    value: float | None = None


def forecast(cases: CaseSource, random: np.random.Generator, progress: Progress | None = None) -> Forecast:
    """How well noise can protect these segments from attackers who augment; about ten seconds on a CPU core.

    Looks at 200 slices at most, whole but shrunk to 48 x 48 pixels, all labels as one. Cases that cannot be read or
    have no segment are passed over. `progress` may raise `Cancelled`. Needs torch.
    """
    progress = progress or Progress()
    names, slices, labels = _small_slices(cases, random, progress)
    different = list(dict.fromkeys(names))
    if len(different) < _FEWEST_CASES:
        return Forecast(
            f"no forecast: {len(different)} cases have segments that are large enough for it, and it takes "
            f"{_FEWEST_CASES}"
        )
    test = np.isin(names, different[: len(different) // 3])
    try:
        data = AttackData(
            slices[~test],
            labels[~test],
            slices[test],
            labels[test],
            test_cases=[name for name, held in zip(names, test) if held],
        )
        reached = attack(data, _SETTINGS, AsStage(progress, "forecast", min(len(cases.ids), _SLICES))).dsc
    except Cancelled:
        raise
    except MedUnlearnableError as error:  # such as extreme values; the method may be able to go on
        return Forecast(f"no forecast: {error}")
    outlook = (
        "these segments are hard to learn, so protection has a chance against training with augmentation, too"
        if reached < EASY_BELOW
        else "these segments are easy to learn, so expect protection from plain training only, not with augmentation"
    )
    return Forecast(
        f"forecast: {outlook} (a tiny network reaches DSC {reached:.2f} at once; such forecasts were {HIT_RATE})",
        reached,
    )


def _small_slices(
    cases: CaseSource, random: np.random.Generator, progress: Progress
) -> tuple[list[str], NDArray[np.float32], NDArray[np.uint8]]:
    """The case of each slice, slices [N, 1, 48, 48], labels [N, 48, 48] of 0 and 1; cases in random order."""
    ids = [cases.ids[number] for number in random.permutation(len(cases.ids))[:_SLICES]]
    share = -(-_SLICES // max(1, len(ids)))
    names, slices, labels = [], [], []
    for number, case_id in enumerate(ids):
        progress.step("forecast", number, len(ids) + _SETTINGS.steps)
        try:
            of_case = list(_slices_of(cases.load(case_id), share, random))
        except (Refused, MemoryError):
            continue
        for image, label in of_case:
            names.append(case_id)
            slices.append(image)
            labels.append(label)
    shape = (len(names), _SIDE, _SIDE)
    return (
        names,
        np.reshape(slices, (len(names), 1, _SIDE, _SIDE)).astype(np.float32),
        np.reshape(labels, shape).astype(np.uint8),
    )


def _slices_of(
    case: Case, count: int, random: np.random.Generator
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Up to `count` slices across the coarsest axis, of those with at least half as much foreground as the fullest."""
    if not case.has_foreground:
        return
    fine = fine_axes(case.geometry.spacing_kji, case.shape_kji)
    across = ({0, 1, 2} - set(fine)).pop()
    foreground = np.logical_or.reduce([layer != 0 for layer in case.segments])
    filled = foreground.sum(axis=fine)
    full = np.flatnonzero(2 * filled >= filled.max())
    for number in random.permutation(full)[:count]:
        channels = np.moveaxis(case.image, 1 + across, 1)[:, number].astype(np.float32)
        label = _shrunk(np.moveaxis(foreground, across, 0)[number].astype(np.float32)) >= 0.5
        if label.any():  # what vanishes at this size cannot be learned from it
            yield _shrunk(np.nan_to_num(channels).mean(axis=0)), label


def _shrunk(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """[H, W] to [48, 48]: averaged over about a target pixel, then interpolated."""
    smooth = ndimage.uniform_filter(plane, [max(1, round(side / _SIDE)) for side in plane.shape])
    return ndimage.zoom(smooth, [_SIDE / side for side in plane.shape], order=1, grid_mode=True, mode="nearest")
