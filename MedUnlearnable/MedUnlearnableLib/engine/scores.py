"""How well a predicted segmentation or class fits, and how sure a difference between two attackers is.

One rule for missing labels of segmentations: a label absent from reference and prediction is not scored (nan); a label
absent from one of them counts as a complete miss, DSC 0 and a distance of the image's diagonal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from .errors import UsageError


def dsc(prediction: NDArray[np.bool_], reference: NDArray[np.bool_]) -> float:
    """Dice similarity coefficient, 2 |A and B| / (|A| + |B|), of masks of one shape; 0 to 1, nan if both are empty."""
    total = int(prediction.sum()) + int(reference.sum())
    return float("nan") if total == 0 else 2 * int((prediction & reference).sum()) / total


def hd95(prediction: NDArray[np.bool_], reference: NDArray[np.bool_], spacing_mm: Sequence[float]) -> float:
    """95th percentile of the distances between two surfaces in mm, both directions pooled; `spacing_mm` is per axis.

    The surface of a mask is its voxels with a face neighbor outside it (outside the image counts). nan if both are
    empty, the image's diagonal if one is.
    """
    if not prediction.any() and not reference.any():
        return float("nan")
    if not prediction.any() or not reference.any():
        return float(np.linalg.norm(np.multiply(prediction.shape, spacing_mm)))
    surfaces = [mask & ~ndimage.binary_erosion(mask) for mask in (prediction, reference)]
    distances = [
        ndimage.distance_transform_edt(~target, sampling=spacing_mm)[source]
        for source, target in (surfaces, surfaces[::-1])
    ]
    return float(np.percentile(np.concatenate(distances), 95))


def balanced_credits(predicted: NDArray[np.integer], true: NDArray[np.integer]) -> NDArray[np.float64]:
    """What each sample [N] adds to the balanced accuracy, the mean recall of the classes: it is the mean of these.

    One column of classes [N, K] of 0 and 1 counts as a question of its own with two answers; the mean over columns is
    given.
    """
    if true.ndim == 2:
        return np.mean([balanced_credits(p, t) for p, t in zip(predicted.T, true.T, strict=True)], axis=0)
    classes, index, counts = np.unique(true, return_inverse=True, return_counts=True)
    return (predicted == true) * (len(true) / (len(classes) * counts[index]))


def area_under_roc(scores: NDArray[np.floating], true: NDArray[np.bool_]) -> float:
    """The chance that a positive scores above a negative, ties half (Hanley and McNeil 1982); nan if one is missing."""
    positives = int(true.sum())
    negatives = len(true) - positives
    if not positives or not negatives:
        return float("nan")
    from scipy.stats import rankdata  # takes a second to load; every command would wait for it

    rank_sum = float(rankdata(scores)[true].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence limits."""

    mean: float
    low: float
    high: float


def paired_bootstrap(
    first: ArrayLike, second: ArrayLike, random: np.random.Generator, draws: int = 5000, confidence: float = 0.95
) -> Interval:
    """Mean of `first - second` over cases, with its percentile bootstrap interval (Efron and Tibshirani 1993, ch. 13).

    Both are [cases], in the same order of cases; pairs with a nan are left out. It covers the choice of test cases,
    not the luck of one training: for that, train with several seeds. Raises `UsageError` when shapes differ or no pair
    is left.
    """
    differences = np.asarray(first, float) - np.asarray(second, float) if np.shape(first) == np.shape(second) else None
    if differences is None or differences.ndim != 1:
        raise UsageError(
            f"scores of the same cases are needed, but their shapes are {np.shape(first)}, {np.shape(second)}"
        )
    differences = differences[~np.isnan(differences)]
    if len(differences) == 0:
        raise UsageError("no case was scored in both runs, so there is nothing to compare")
    means = differences[random.integers(len(differences), size=(draws, len(differences)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(differences.mean()), float(low), float(high))
