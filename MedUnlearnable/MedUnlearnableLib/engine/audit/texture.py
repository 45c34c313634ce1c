"""Texture as radiomics measures it: features of the gray-level co-occurrence matrix.

Haralick, Shanmugam and Dinstein, "Textural Features for Image Classification", IEEE Trans. SMC 3(6), 1973; definitions
as in the Image Biomarker Standardisation Initiative. Details are our choice: 32 levels over the intensity window,
neighbors at distance 1 within a slice, the counts of four directions and of all slices in one symmetric matrix.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEVELS = 32
_NEIGHBORS = ((0, 1), (1, 0), (1, 1), (1, -1))  # row and column offsets; the opposite ones come by symmetry


def texture_features(image: NDArray[np.floating], mask: NDArray[np.bool_]) -> dict[str, float]:
    """contrast, homogeneity, energy, entropy (bits) and correlation of the voxels under the mask.

    image [D, H, W] in [0, 1], mask bool of the same shape. Empty where no two neighbors lie under the mask.
    """
    matrix = _co_occurrences(image, mask)
    if not matrix.any():
        return {}
    p = matrix / matrix.sum()
    i, j = np.indices(p.shape)
    mean = float((i * p).sum())  # that of j is the same, as the matrix is symmetric
    variance = float(((i - mean) ** 2 * p).sum())
    seen = p[p > 0]
    return {
        "contrast": float(((i - j) ** 2 * p).sum()),
        "homogeneity": float((p / (1 + (i - j) ** 2)).sum()),
        "energy": float((p**2).sum()),
        "entropy": float(-(seen * np.log2(seen)).sum()),
        "correlation": float(((i - mean) * (j - mean) * p).sum() / variance) if variance else 1.0,
    }


def _co_occurrences(image: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How often level i is a neighbor of level j, [LEVELS, LEVELS], symmetric."""
    levels = np.minimum((image * LEVELS).astype(np.int64), LEVELS - 1)
    counts = np.zeros(LEVELS * LEVELS, np.int64)
    for down, right in _NEIGHBORS:
        here, there = _shifted(down, right)
        both = mask[here] & mask[there]
        counts += np.bincount(levels[here][both] * LEVELS + levels[there][both], minlength=len(counts))
    matrix = counts.reshape(LEVELS, LEVELS)
    return matrix + matrix.T


def _shifted(down: int, right: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Indices of all voxels that have such a neighbor, and of the neighbors."""
    rows, next_rows = slice(None, -down or None), slice(down, None)
    columns, next_columns = slice(None, -right or None), slice(right, None)
    if right < 0:
        columns, next_columns = slice(-right, None), slice(None, right)
    return (slice(None), rows, columns), (slice(None), next_rows, next_columns)
