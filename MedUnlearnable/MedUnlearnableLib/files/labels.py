"""Label files: integer values on the grid of their image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.case import Geometry
from ..engine.errors import Refused
from . import formats, nrrd
from .dicom import contours, segmentation
from .dicom.instances import is_dicom, read_header
from .placement import Layers, offset, place
from .volume import StoredImage

_DICOM_READERS = {"SEG": segmentation.read, "RTSTRUCT": contours.read}


def read(path: Path, image: StoredImage) -> Layers:
    """The layers [D, H, W] of a label file, on the grid of `image`. Refuses other shapes, geometries, fractions.

    A segmentation saved by Slicer may be cropped to its segments: it is placed where it belongs, never resampled.
    """
    if is_dicom(path) and (modality := read_header(path).modality) in _DICOM_READERS:
        if image.geometry is None:
            raise Refused(f"{path}: its image {image.path.name} has no place in the patient; give labels as a picture")
        return _DICOM_READERS[modality](path, image)
    if formats.ending(path) in (".jpg", ".jpeg"):
        raise Refused(f"{path}: JPEG is lossy and smears label values; save the labels as PNG")
    may_be_cropped = (formats.ending(path) or "").endswith((".nrrd", ".nhdr"))
    geometry: Geometry | None
    if may_be_cropped:
        layers, geometry = nrrd.read_layers(path)
    else:
        stored = formats.read(path)
        layers, geometry = _one_layer(path, stored), stored.geometry
    whole = [_integers(path, layer) for layer in layers]
    shape = image.array.shape[1:]
    start, fits = (0, 0, 0), whole[0].shape == shape
    if image.geometry is not None and geometry is not None:
        start, inside = offset(image.geometry, geometry, shape, whole[0].shape)
        fits = inside and (fits or may_be_cropped)
    if not fits:
        raise Refused(_disagreement(path, image, whole[0].shape, geometry))
    return tuple(place(layer, start, shape) for layer in whole)


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
