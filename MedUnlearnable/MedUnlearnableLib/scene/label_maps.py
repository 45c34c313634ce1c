"""Label map volumes made segmentations, for who has only those."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine.errors import Refused
from .volumes import geometry_of


def segmentation_of(label_map: Any, volume: Any) -> Any:
    """A new segmentation node with a segment for each label, to be used with `volume`. The label map stays."""
    import slicer
    import slicer.util

    name = label_map.GetName()
    if label_map.GetImageData() is None or not slicer.util.arrayFromVolume(label_map).any():
        raise Refused(f"label map '{name}' holds no label; draw the segments, or choose another label map")
    scene = label_map.GetScene()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", scene.GenerateUniqueName(f"{name} segments"))
    node.CreateDefaultDisplayNodes()
    node.SetAndObserveTransformNodeID(label_map.GetTransformNodeID())  # or the labels would be resampled
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    if not slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(label_map, node):
        scene.RemoveNode(node)
        raise Refused(f"label map '{name}' cannot be made a segmentation; check it in the module Segmentations")
    return node


def label_map_for(volume: Any) -> Any:
    """The first label map on the grid of the volume, else the first of the scene, else None."""
    import slicer.util

    label_maps = slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeNode")
    return next((node for node in label_maps if _same_grid(node, volume)), label_maps[0] if label_maps else None)


def _same_grid(label_map: Any, volume: Any) -> bool:
    if label_map.GetImageData() is None or volume.GetImageData() is None:
        return False
    same_size = label_map.GetImageData().GetDimensions() == volume.GetImageData().GetDimensions()
    return same_size and np.allclose(geometry_of(label_map).ijk_to_ras, geometry_of(volume).ijk_to_ras)
