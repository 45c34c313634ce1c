"""Images and label maps as nodes: a volume and a segmentation with a named segment for each label value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.case import Geometry
from ..files.samples import Sample

#: Attribute of a volume node: the class that a classification data set gives the image.
LABEL_ATTRIBUTE = "MedUnlearnable.label"


def add_sample(name: str, sample: Sample) -> tuple[Any, Any]:
    """Volume and segmentation of a generated sample, with units, display window and class label."""
    volume, segmentation = add_nodes(name, sample.channels, sample.geometry, [sample.labels], sample.segment_names)
    volume.SetAttribute(LABEL_ATTRIBUTE, sample.class_label)
    if sample.modality == "CT":
        _set_hounsfield_units(volume)
    display = volume.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(*sample.display_window)
    return volume, segmentation


def add_nodes(
    name: str,
    channels: NDArray[Any],
    geometry: Geometry,
    layers: Sequence[NDArray[np.integer]],
    names: dict[int, str],
) -> tuple[Any, Any]:
    """Adds `channels` [C, D, H, W] and label `layers` [D, H, W]; a value without a name is called after its number."""
    import slicer
    import slicer.util

    voxels = channels[0] if len(channels) == 1 else np.moveaxis(channels, 0, -1)
    node_class = "vtkMRMLScalarVolumeNode" if len(channels) == 1 else "vtkMRMLVectorVolumeNode"
    native = np.ascontiguousarray(voxels, voxels.dtype.newbyteorder("="))
    volume = slicer.util.addVolumeFromArray(native, geometry.ijk_to_ras, name, node_class)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{name} segments")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for layer in layers:
        for value in np.unique(layer[layer != 0]):
            segment_name = names.get(int(value), f"label {value}")
            segment_id = segmentation.GetSegmentation().AddEmptySegment("", segment_name)
            mask = (layer == value).astype(np.uint8)
            slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, segment_id, volume)
    return volume, segmentation


def _set_hounsfield_units(volume: Any) -> None:
    """As Slicer's DICOM reader sets them."""
    import slicer

    units, quantity = slicer.vtkCodedEntry(), slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    quantity.SetValueSchemeMeaning("112031", "DCM", "Attenuation Coefficient")
    volume.SetVoxelValueUnits(units)
    volume.SetVoxelValueQuantity(quantity)
