"""Puts label values where they belong on the grid of an image. Nothing is resampled."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..engine.case import Geometry

Layers = tuple[NDArray[np.integer], ...]


def offset(
    image: Geometry, label: Geometry, shape: tuple[int, ...], label_shape: tuple[int, ...]
) -> tuple[tuple[int, int, int], bool]:
    """Where the label's first voxel lies in the image (k, j, i), and whether its grid is a part of the image's grid."""
    first_ijk = np.linalg.solve(image.ijk_to_ras, label.ijk_to_ras[:, 3])[:3]
    k, j, i = (int(n) for n in np.rint(first_ijk[::-1]))
    moved = image.ijk_to_ras.copy()
    moved[:3, 3] = (image.ijk_to_ras @ [i, j, k, 1.0])[:3]
    inside = all(a >= 0 and a + n <= m for a, n, m in zip((k, j, i), label_shape, shape))
    return (k, j, i), inside and Geometry(moved).agrees_with(label, label_shape)


def place(layer: NDArray[np.integer], start: tuple[int, int, int], shape: tuple[int, ...]) -> NDArray[np.integer]:
    """`layer` in an empty array of `shape`, its first voxel at `start` (k, j, i)."""
    if layer.shape == shape:
        return layer
    placed = np.zeros(shape, layer.dtype)
    placed[box(start, layer.shape)] = layer
    return placed


def box(start: tuple[int, ...], size: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(first, first + n) for first, n in zip(start, size))


def in_layers(segments: Iterable[tuple[int, NDArray[np.bool_]]], shape: tuple[int, ...]) -> Layers:
    """As few layers of label values as keep segments that overlap apart."""
    layers: list[NDArray[np.uint16]] = []
    for value, mask in segments:
        free = next((layer for layer in layers if not layer[mask].any()), None)
        if free is None:
            free = np.zeros(shape, np.uint16)
            layers.append(free)
        free[mask] = value
    return tuple(layers) or (np.zeros(shape, np.uint16),)
