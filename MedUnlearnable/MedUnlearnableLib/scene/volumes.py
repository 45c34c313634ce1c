"""Volume nodes: out to a file for the worker, and back as a new node beside the input."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.case import Geometry
from ..engine.errors import Refused
from ..engine.record import Record
from ..files import nrrd
from ..files.volume import DTYPES, write_atomically

RECORD_REFERENCE = "MedUnlearnable.record"
_HOUNSFIELD_CODE = "[hnsf'U]"


def channels_of(volume: Any) -> NDArray[Any]:
    """The voxels as [C, D, H, W], a view. Refuses a volume without voxels, and what is neither scalar nor RGB."""
    import slicer.util

    name = volume.GetName()
    if volume.GetImageData() is None or volume.GetImageData().GetNumberOfPoints() == 0:
        raise Refused(f"volume '{name}' holds no image; load it again or choose another")
    if not volume.IsA("vtkMRMLScalarVolumeNode") or volume.IsA("vtkMRMLLabelMapVolumeNode"):
        raise Refused(f"node '{name}' is not an image volume; choose the volume the segments were drawn on")
    array = slicer.util.arrayFromVolume(volume)
    if array.dtype not in DTYPES:
        raise Refused(
            f"volume '{name}': voxels of type {array.dtype} are not supported; cast it to short, int or float"
        )
    if array.ndim == 3:
        return array[np.newaxis]
    if array.ndim == 4 and array.shape[-1] == 3:
        return np.moveaxis(array, -1, 0)
    raise Refused(f"volume '{name}' has {array.shape[-1]} components; only scalar and RGB volumes can be protected")


def geometry_of(volume: Any) -> Geometry:
    """IJK to RAS of the node itself; a parent transform is not part of it."""
    import slicer.util
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return Geometry(slicer.util.arrayFromVTKMatrix(matrix))


def modality_of(volume: Any) -> str:
    """CT or MR where the node or its DICOM series says so, else empty."""
    import slicer

    units = volume.GetVoxelValueUnits()
    if units is not None and units.GetCodeValue() == _HOUNSFIELD_CODE:
        return "CT"
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volume.GetScene())
    item = hierarchy.GetItemByDataNode(volume)
    return hierarchy.GetItemAttribute(item, "DICOM.Modality") if item else ""


def export(volume: Any, path: Path) -> None:
    """Writes the voxels as an uncompressed NRRD. The geometry is exact, sheared and left-handed axes included."""
    channels = channels_of(volume)
    kind = "vector" if len(channels) == 3 else None
    write_atomically(path, lambda file: nrrd.write(file, channels, geometry_of(volume), kind))


def add_protected(volume: Any, channels: NDArray[Any], record: Record) -> Any:
    """A new volume node beside `volume` in the subject hierarchy, with the record as attributes and text node.

    Geometry, parent transform, display and units are those of the input, which is not changed.
    """
    import slicer
    import slicer.util

    scene = volume.GetScene()
    name = scene.GenerateUniqueName(f"{volume.GetName()} protected ({record.method})")
    clone = slicer.vtkSlicerVolumesLogic.CloneVolume(scene, volume, name)
    voxels = slicer.util.arrayFromVolume(clone)
    voxels[...] = channels[0] if voxels.ndim == 3 else np.moveaxis(channels, 0, -1)
    slicer.util.arrayFromVolumeModified(clone)
    # CloneVolume loses units and keeps the identity of the DICOM instances it was read from.
    clone.SetVoxelValueUnits(volume.GetVoxelValueUnits())
    clone.SetVoxelValueQuantity(volume.GetVoxelValueQuantity())
    clone.RemoveAttribute("DICOM.instanceUIDs")
    _describe(clone, volume, record)
    _place_beside(clone, volume, _add_record_node(clone, record))
    return clone


def _describe(clone: Any, volume: Any, record: Record) -> None:
    parameters = json.dumps(record.parameters, sort_keys=True)
    attributes = {
        "method": record.method,
        "profile": record.profile,
        "version": record.version,
        "source": volume.GetID(),
        "parametersSHA256": hashlib.sha256(parameters.encode()).hexdigest(),
        "notice": record.notice,
    }
    for name, value in attributes.items():
        clone.SetAttribute(f"MedUnlearnable.{name}", value)


def _add_record_node(clone: Any, record: Record) -> Any:
    node = clone.GetScene().AddNewNodeByClass("vtkMRMLTextNode", f"{clone.GetName()} record")
    node.SetText(json.dumps(record.to_json(), indent=1))
    clone.SetNodeReferenceID(RECORD_REFERENCE, node.GetID())
    return node


def _place_beside(clone: Any, volume: Any, record_node: Any) -> None:
    """The clone under the input's parent, the record under the clone. slicer-core makes no items by itself."""
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volume.GetScene())
    source = hierarchy.GetItemByDataNode(volume)
    parent = hierarchy.GetItemParent(source) if source else hierarchy.GetSceneItemID()
    for node, parent_item in ((clone, lambda: parent), (record_node, lambda: hierarchy.GetItemByDataNode(clone))):
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.SetItemParent(item, parent_item())
        else:
            hierarchy.CreateItem(parent_item(), node)
