"""Label files: integer values on the grid of their image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.case import Geometry
from ..engine.errors import Refused
from . import formats, nrrd
from .volume import StoredImage

Layers = tuple[NDArray[np.integer], ...]


def read(path: Path, image: StoredImage) -> Layers:
    """The layers [D, H, W] of a label file, on the grid of `image`. Refuses other shapes, geometries, fractions.

    A segmentation saved by Slicer may be cropped to its segments: it is placed where it belongs, never resampled.
    """
    may_be_cropped = (formats.ending(path) or "").endswith(".nrrd")
    geometry: Geometry | None
    if may_be_cropped:
        layers, geometry = nrrd.read_layers(path)
    else:
        stored = formats.read(path)
        layers, geometry = _one_layer(path, stored), stored.geometry
    whole = [_integers(path, layer) for layer in layers]
    shape = image.array.shape[1:]
    offset, fits = (0, 0, 0), whole[0].shape == shape
    if image.geometry is not None and geometry is not None:
        offset, inside = _offset(image.geometry, geometry, shape, whole[0].shape)
        fits = inside and (fits or may_be_cropped)
    if not fits:
        raise Refused(_disagreement(path, image, whole[0].shape, geometry))
    return tuple(_place(layer, offset, shape) for layer in whole)


def _one_layer(path: Path, stored: StoredImage) -> NDArray[Any]:
    """Label values of a plain image. Pictures of masks are often RGB with equal channels; 255 then means 1 label."""
    channels = stored.array
    if any(np.any(channel != channels[0]) for channel in channels[1:]):
        raise Refused(f"{path}: a colored picture is not a label image; save it as gray values")
    if stored.units.slope == 1.0 and stored.units.intercept == 0.0:
        return channels[:1]
    return channels[:1] * stored.units.slope + stored.units.intercept


def _integers(path: Path, layer: NDArray[Any]) -> NDArray[np.integer]:
    if np.issubdtype(layer.dtype, np.integer):
        return layer
    whole = np.rint(layer)
    if not np.isfinite(layer).all() or np.abs(layer - whole).max() > 1e-3:
        raise Refused(
            f"{path}: label values must be whole numbers; this file holds fractions or NaN, so it is no label file"
        )
    return whole.astype(np.int32)


def _offset(
    image: Geometry, label: Geometry, shape: tuple[int, ...], label_shape: tuple[int, ...]
) -> tuple[tuple[int, int, int], bool]:
    """Where the label's first voxel lies in the image (k, j, i), and whether its grid is a part of the image's grid."""
    first_ijk = np.linalg.solve(image.ijk_to_ras, label.ijk_to_ras[:, 3])[:3]
    k, j, i = (int(n) for n in np.rint(first_ijk[::-1]))
    moved = image.ijk_to_ras.copy()
    moved[:3, 3] = (image.ijk_to_ras @ [i, j, k, 1.0])[:3]
    inside = all(a >= 0 and a + n <= m for a, n, m in zip((k, j, i), label_shape, shape))
    return (k, j, i), inside and Geometry(moved).agrees_with(label, label_shape)


def _place(layer: NDArray[np.integer], offset: tuple[int, int, int], shape: tuple[int, ...]) -> NDArray[np.integer]:
    if layer.shape == shape:
        return layer
    placed = np.zeros(shape, layer.dtype)
    placed[tuple(slice(start, start + n) for start, n in zip(offset, layer.shape))] = layer
    return placed


def _disagreement(path: Path, image: StoredImage, shape: tuple[int, ...], geometry: Geometry | None) -> str:
    def size(shape_kji: tuple[int, ...]) -> str:
        return " x ".join(str(n) for n in shape_kji[::-1])

    if shape != image.array.shape[1:]:
        sizes = f"the label has {size(shape)} voxels, its image {image.path.name} {size(image.array.shape[1:])}"
        return f"{path}: {sizes}; use labels on the image's grid"
    assert geometry is not None and image.geometry is not None
    voxels = image.geometry.mismatch_voxels(geometry, shape)
    distance = f"the label lies up to {voxels:.2g} voxels away from its image {image.path.name}"
    return f"{path}: {distance}; export both from one geometry"
