"""Volume nodes: out to a file for the worker, and back as a new node beside the input."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
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
CERTIFICATE_REFERENCE = "MedUnlearnable.certificate"
#: The encrypted original as base64, where it is too large to stand in the certificate.
PAYLOAD_REFERENCE = "MedUnlearnable.payload"
TEXT_REFERENCES = (RECORD_REFERENCE, CERTIFICATE_REFERENCE, PAYLOAD_REFERENCE)
#: Attribute of a result: the DICOM instances its input was loaded from, which a derived series can be made of.
SOURCE_INSTANCES = "MedUnlearnable.sourceInstanceUIDs"
_DICOM_INSTANCES = "DICOM.instanceUIDs"
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
    units = volume.GetVoxelValueUnits()
    if units is not None and units.GetCodeValue() == _HOUNSFIELD_CODE:
        return "CT"
    hierarchy = _hierarchy(volume)
    item = hierarchy.GetItemByDataNode(volume)
    return hierarchy.GetItemAttribute(item, "DICOM.Modality") if item else ""


def export(volume: Any, path: Path) -> None:
    """Writes the voxels as an uncompressed NRRD. The geometry is exact, sheared and left-handed axes included."""
    channels = channels_of(volume)
    kind = "vector" if len(channels) == 3 else None
    write_atomically(path, lambda file: nrrd.write(file, channels, geometry_of(volume), kind))


@dataclass(frozen=True)
class Source:
    """What a result needs to know of its input, taken at the start: the input may be gone when the run ends."""

    volume: Any
    name: str
    node_id: str
    units: Any
    quantity: Any
    instances: str  # UIDs of the DICOM instances it was loaded from, separated by blanks

    @classmethod
    def of(cls, volume: Any) -> Source:
        units, quantity = volume.GetVoxelValueUnits(), volume.GetVoxelValueQuantity()
        instances = volume.GetAttribute(_DICOM_INSTANCES) or ""
        return cls(volume, volume.GetName(), volume.GetID(), units, quantity, instances)

    @property
    def is_in_scene(self) -> bool:
        return self.volume.GetScene() is not None


def add_protected(source: Source, channels: NDArray[Any], geometry: Geometry, record: Record) -> Any:
    """A new volume node with the record as attributes and text node. The input is not changed.

    It lies beside the input in the subject hierarchy, with its parent transform and display. If the input has left the
    scene, the result stands alone, with the geometry of the file.
    """
    import slicer

    name = slicer.mrmlScene.GenerateUniqueName(f"{source.name} protected ({record.method})")
    node = _clone(source.volume, name, channels) if source.is_in_scene else _stand_alone(name, channels, geometry)
    # CloneVolume loses the units.
    node.SetVoxelValueUnits(source.units)
    node.SetVoxelValueQuantity(source.quantity)
    _describe(node, source, record)
    _place(node, source)
    add_text_node(node, "record", RECORD_REFERENCE, json.dumps(record.to_json(), indent=1))
    return node


def add_restored(protected: Any, channels: NDArray[Any]) -> Any:
    """A new volume node beside a result, with its display, but with other voxels and without what makes it a result."""
    source = Source.of(protected)
    name = protected.GetScene().GenerateUniqueName(f"{source.name} restored")
    node = _clone(protected, name, channels)
    node.SetVoxelValueUnits(source.units)
    node.SetVoxelValueQuantity(source.quantity)
    for attribute in list(node.GetAttributeNames()):
        if attribute.startswith("MedUnlearnable."):
            node.RemoveAttribute(attribute)
    for role in TEXT_REFERENCES:
        node.RemoveNodeReferenceIDs(role)
    _place(node, source)
    return node


def _clone(volume: Any, name: str, channels: NDArray[Any]) -> Any:
    import slicer
    import slicer.util

    clone = slicer.vtkSlicerVolumesLogic.CloneVolume(volume.GetScene(), volume, name)
    voxels = slicer.util.arrayFromVolume(clone)
    voxels[...] = channels[0] if voxels.ndim == 3 else np.moveaxis(channels, 0, -1)
    slicer.util.arrayFromVolumeModified(clone)
    clone.RemoveAttribute(_DICOM_INSTANCES)  # the clone is not the instances the input was read from
    return clone


def _stand_alone(name: str, channels: NDArray[Any], geometry: Geometry) -> Any:
    import slicer.util

    node_class = "vtkMRMLScalarVolumeNode" if len(channels) == 1 else "vtkMRMLVectorVolumeNode"
    voxels = channels[0] if len(channels) == 1 else np.moveaxis(channels, 0, -1)
    return slicer.util.addVolumeFromArray(np.ascontiguousarray(voxels), geometry.ijk_to_ras, name, node_class)


def _describe(node: Any, source: Source, record: Record) -> None:
    parameters = json.dumps(record.parameters, sort_keys=True)
    attributes = {
        "method": record.method,
        "profile": record.profile,
        "version": record.version,
        "source": source.node_id,
        "parametersSHA256": hashlib.sha256(parameters.encode()).hexdigest(),
        "notice": record.notice,
    }
    for name, value in attributes.items():
        node.SetAttribute(f"MedUnlearnable.{name}", value)
    if source.instances:
        node.SetAttribute(SOURCE_INSTANCES, source.instances)


def add_text_node(protected: Any, what: str, role: str, text: str) -> Any:
    """A text node that the result refers to by `role`, below it in the subject hierarchy."""
    node = protected.GetScene().AddNewNodeByClass("vtkMRMLTextNode", f"{protected.GetName()} {what}")
    node.SetText(text)
    protected.SetNodeReferenceID(role, node.GetID())
    hierarchy = _hierarchy(protected)
    _put_under(hierarchy, hierarchy.GetItemByDataNode(protected), node)
    return node


def _place(protected: Any, source: Source) -> None:
    """The result under the input's parent. slicer-core makes no items by itself."""
    hierarchy = _hierarchy(protected)
    parent = hierarchy.GetSceneItemID()
    if source.is_in_scene and hierarchy.GetItemByDataNode(source.volume):
        parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(source.volume))
    _put_under(hierarchy, parent, protected)


def _put_under(hierarchy: Any, parent: int, node: Any) -> None:
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemParent(item, parent)
    else:
        hierarchy.CreateItem(parent, node)


def _hierarchy(node: Any) -> Any:
    import slicer

    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
