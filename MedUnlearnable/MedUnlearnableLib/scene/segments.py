"""Segments of a segmentation node as label layers on a volume's grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.case import Geometry
from ..engine.errors import Refused
from ..files import nrrd
from ..files.volume import write_atomically
from .volumes import geometry_of

_MOST_SEGMENTS_IN_A_LAYER = 255  # label values of uint8
_SAME_PLACE_MM = 1e-6


def export(segmentation: Any, segment_ids: Sequence[str] | None, volume: Any, path: Path) -> None:
    """Writes the segments as an uncompressed layered .seg.nrrd on the grid of `volume`; overlaps survive."""
    layers, pairs = layers_of(segmentation, segment_ids, volume)
    write_atomically(path, lambda file: nrrd.write(file, layers, geometry_of(volume), "list", pairs))


def layers_of(
    segmentation: Any, segment_ids: Sequence[str] | None, volume: Any, stride: int = 1
) -> tuple[NDArray[np.uint8], dict[str, str]]:
    """Layers [L, D, H, W] and the NRRD pairs that name the segments. None stands for all segments.

    With a `stride` above 1 only every so-manieth voxel of each axis is looked at, and no array of full size is made.
    """
    if not segmentation.IsA("vtkMRMLSegmentationNode"):
        raise Refused(f"node '{segmentation.GetName()}' is not a segmentation; convert it, or choose a segmentation")
    _refuse_other_transform(segmentation, volume)
    shape = tuple(-(-n // stride) for n in volume.GetImageData().GetDimensions()[::-1])
    grid = Geometry(geometry_of(volume).ijk_to_ras @ np.diag([stride, stride, stride, 1.0]))
    layers: list[NDArray[np.uint8]] = []
    used: list[int] = []
    pairs: dict[str, str] = {}
    for number, segment_id in enumerate(_chosen(segmentation, segment_ids)):
        mask = _mask_of(segmentation, segment_id, grid, shape)
        layer = _layer_with_room(layers, used, mask)
        used[layer] += 1
        layers[layer][mask] = used[layer]
        name = segmentation.GetSegmentation().GetSegment(segment_id).GetName()
        values = {"ID": segment_id, "Name": name, "LabelValue": str(used[layer]), "Layer": str(layer)}
        pairs |= {f"Segment{number}_{key}": value for key, value in values.items()}
    if not any(layer.any() for layer in layers):
        raise Refused(
            f"segmentation '{segmentation.GetName()}' has no voxel within volume '{volume.GetName()}'; "
            "draw the segments, or choose the volume they were drawn on"
        )
    return np.stack(layers), pairs


def _mask_of(segmentation: Any, segment_id: str, grid: Geometry, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The segment on the grid, without temporary nodes: every node that comes and goes wakes the application."""
    import slicer
    import slicer.util
    from vtk.util.numpy_support import vtk_to_numpy

    stored, placed, reference = (slicer.vtkOrientedImageData() for _ in range(3))
    if not segmentation.GetBinaryLabelmapRepresentation(segment_id, stored):
        raise Refused(f"segment '{segment_id}' of '{segmentation.GetName()}' cannot be made a label map; check it")
    reference.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(grid.ijk_to_ras))
    reference.SetExtent(0, shape[2] - 1, 0, shape[1] - 1, 0, shape[0] - 1)
    if stored.IsEmpty():
        return np.zeros(shape, bool)
    resample = slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage
    if not resample(stored, reference, placed):
        raise Refused(f"segment '{segment_id}' of '{segmentation.GetName()}' cannot be placed on the volume; check it")
    return vtk_to_numpy(placed.GetPointData().GetScalars()).reshape(shape) != 0


def _layer_with_room(layers: list[NDArray[np.uint8]], used: list[int], mask: NDArray[np.bool_]) -> int:
    """The first layer the mask does not overlap; a new one if there is none."""
    for index, layer in enumerate(layers):
        if used[index] < _MOST_SEGMENTS_IN_A_LAYER and not layer[mask].any():
            return index
    layers.append(np.zeros(mask.shape, np.uint8))
    used.append(0)
    return len(layers) - 1


def _chosen(segmentation: Any, segment_ids: Sequence[str] | None) -> list[str]:
    name = segmentation.GetName()
    there = segmentation.GetSegmentation()
    every = [there.GetNthSegmentID(index) for index in range(there.GetNumberOfSegments())]
    chosen = every if segment_ids is None else list(segment_ids)
    unknown = [segment_id for segment_id in chosen if segment_id not in every]
    if unknown:
        raise Refused(f"segmentation '{name}' has no segment '{unknown[0]}'; it has: {', '.join(every) or 'none'}")
    if not chosen:
        raise Refused(f"segmentation '{name}' holds no segment; draw or choose one")
    return chosen


def _refuse_other_transform(segmentation: Any, volume: Any) -> None:
    """A transform on only one of the two would resample the segments silently."""
    import slicer
    import slicer.util
    import vtk

    if segmentation.GetTransformNodeID() == volume.GetTransformNodeID():
        return
    between = vtk.vtkMatrix4x4()
    linear = slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(
        segmentation.GetParentTransformNode(), volume.GetParentTransformNode(), between
    )
    if not linear or np.abs(slicer.util.arrayFromVTKMatrix(between) - np.eye(4)).max() > _SAME_PLACE_MM:
        raise Refused(
            f"volume '{volume.GetName()}' and segmentation '{segmentation.GetName()}' are under different transforms; "
            "put both under the same one, or harden them"
        )
