"""Which class a classifier falls back on: the one it wrongly gives most often (ours).

It is told by a linear classifier on coarse pictures, which needs no network and no second look at the cohort.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .region import gradient_magnitude

_BLOCKS = 8  # along each axis
_FOLDS = 4
_RIDGE = 30.0  # samples; what the z-scored features are held back by


def coarse(plane: NDArray[np.floating]) -> NDArray[np.float32]:
    """A plane [C, H, W] as few numbers [128]: block means of its z-scored channel mean, and of how steep that is."""
    gray = np.nan_to_num(plane.mean(axis=0))
    gray = (gray - gray.mean()) / max(float(gray.std()), 1e-6)
    return np.concatenate([_blocks(gray), _blocks(gradient_magnitude(gray[np.newaxis]))]).astype(np.float32)


def fallback_class(descriptions: NDArray[np.float32], shown: NDArray[np.int64], cases: NDArray[np.int64]) -> int | None:
    """The class with the lowest precision under cross-validation by case; None where there are too few samples.

    descriptions [N, features]; shown [N], the class of each; cases [N], the number of the case it is from. Classes
    weigh alike in the training, whatever their counts.
    """
    values, counts = np.unique(shown, return_counts=True)
    if len(values) < 2 or counts.min() < _FOLDS:
        return None
    features = (descriptions - descriptions.mean(0)) / np.maximum(descriptions.std(0), 1e-6)
    features = np.column_stack([features, np.ones(len(features))])
    weights = (1 / counts)[np.searchsorted(values, shown), np.newaxis] * len(shown) / len(values)
    targets = shown[:, np.newaxis] == values
    answers = np.zeros(len(shown), np.int64)
    folds = np.random.default_rng(0).permutation(int(cases.max()) + 1)[cases] % _FOLDS  # classes may take turns
    for fold in range(_FOLDS):
        kept = folds != fold
        weighted = (features[kept] * weights[kept]).T
        gram = weighted @ features[kept] + _RIDGE * np.eye(features.shape[1])
        answers[~kept] = values[(features[~kept] @ np.linalg.solve(gram, weighted @ targets[kept])).argmax(1)]
    precision = [float((shown[answers == k] == k).mean()) if (answers == k).any() else 0.0 for k in values]
    return int(values[np.argmin(precision)])


def _blocks(plane: NDArray[np.floating]) -> NDArray[np.floating]:
    for axis in (0, 1):
        side = plane.shape[axis]
        starts = np.arange(_BLOCKS) * side // _BLOCKS
        sizes = np.maximum(np.diff(starts, append=side), 1)
        plane = np.add.reduceat(plane, starts, axis) / (sizes[:, np.newaxis] if axis == 0 else sizes)
    return plane.ravel()
