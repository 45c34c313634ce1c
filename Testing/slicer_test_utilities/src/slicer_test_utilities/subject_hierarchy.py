"""Subject hierarchy items that appear with their nodes, as Slicer's plug-ins make them."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

# The node classes that Slicer's own plug-ins add; script parameters, views and colors stay outside.
_CLASSES = (
    "vtkMRMLScalarVolumeNode",
    "vtkMRMLModelNode",
    "vtkMRMLTransformNode",
    "vtkMRMLMarkupsNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLTableNode",
    "vtkMRMLTextNode",
    "vtkMRMLPlotChartNode",
    "vtkMRMLPlotSeriesNode",
    "vtkMRMLFolderDisplayNode",
)


def keep_items(scene: Any) -> None:
    """Create an item for each node that is added, and remove it with the node."""
    scene.AddObserver(scene.NodeAddedEvent, _node_added)
    scene.AddObserver(scene.NodeAboutToBeRemovedEvent, _node_about_to_be_removed)


@vtk.calldata_type(vtk.VTK_OBJECT)
def _node_added(scene: Any, event: str, node: Any) -> None:
    if scene.IsImporting() or node.GetHideFromEditors() or not any(node.IsA(name) for name in _CLASSES):
        return
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if not hierarchy.GetItemByDataNode(node):
        hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    if node.IsA("vtkMRMLSegmentationNode"):
        _keep_segment_items(node)


@vtk.calldata_type(vtk.VTK_OBJECT)
def _node_about_to_be_removed(scene: Any, event: str, node: Any) -> None:
    if scene is None or scene.IsClosing() or node.IsA("vtkMRMLSubjectHierarchyNode"):
        return
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.RemoveItem(item, False)


def _keep_segment_items(node: Any) -> None:
    """Segments become children of their segmentation's item, with the attribute "segmentID"."""

    def update(caller: Any, event: str) -> None:
        if node.GetScene() is not None:
            _update_segment_items(node)

    for event in (slicer.vtkSegmentation.SegmentAdded, slicer.vtkSegmentation.SegmentRemoved):
        node.GetSegmentation().AddObserver(event, update)
    _update_segment_items(node)


def _update_segment_items(node: Any) -> None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    parent = hierarchy.GetItemByDataNode(node)
    children = vtk.vtkIdList()
    hierarchy.GetItemChildren(parent, children)
    items = {}
    for index in range(children.GetNumberOfIds()):
        item = children.GetId(index)
        items[hierarchy.GetItemAttribute(item, "segmentID")] = item
    segmentation = node.GetSegmentation()
    present = [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]
    for segment_id in present:
        if segment_id not in items:
            item = hierarchy.CreateHierarchyItem(parent, segmentation.GetSegment(segment_id).GetName(), "Segment")
            hierarchy.SetItemAttribute(item, "segmentID", segment_id)
    for segment_id in set(items) - set(present) - {""}:
        hierarchy.RemoveItem(items[segment_id], False)
