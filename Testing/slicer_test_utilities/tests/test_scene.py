"""The scene: logics, subject hierarchy, files, plots."""

import numpy as np
import pytest
import slicer
import vtk


def add_volume(shape=(4, 5, 6)):
    import slicer.util

    return slicer.util.addVolumeFromArray(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), name="CT")


def children(node):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    ids = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetItemByDataNode(node), ids)
    return [hierarchy.GetItemName(ids.GetId(index)) for index in range(ids.GetNumberOfIds())]


def item_of(node):
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene).GetItemByDataNode(node)


def test_each_test_has_an_empty_scene(slicer_scene):
    assert slicer_scene is slicer.mrmlScene
    assert slicer_scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 0


def test_a_volume_can_be_cloned(slicer_scene):
    volume = add_volume()
    clone = slicer.modules.volumes.logic().CloneVolume(slicer_scene, volume, "copy")
    assert np.array_equal(slicer.util.arrayFromVolume(clone), slicer.util.arrayFromVolume(volume))


def test_a_segment_survives_the_round_trip_through_an_array(slicer_scene):
    volume = add_volume()
    mask = (slicer.util.arrayFromVolume(volume) % 7 == 0).astype(np.uint8)
    node = slicer_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment_id = node.GetSegmentation().AddEmptySegment("lesion")
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment_id, volume)
    assert np.array_equal(slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, volume), mask)


@pytest.mark.parametrize(
    "class_name", ["vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLTextNode", "vtkMRMLTableNode"]
)
def test_a_data_node_appears_in_the_subject_hierarchy(slicer_scene, class_name):
    assert item_of(slicer_scene.AddNewNodeByClass(class_name, "node")) != 0


def test_parameter_nodes_and_hidden_nodes_do_not_appear_in_the_subject_hierarchy(slicer_scene):
    hidden = slicer_scene.CreateNodeByClass("vtkMRMLTextNode")
    hidden.UnRegister(None)
    hidden.SetHideFromEditors(True)
    slicer_scene.AddNode(hidden)
    assert item_of(slicer_scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")) == 0
    assert item_of(hidden) == 0


def test_a_removed_node_leaves_the_subject_hierarchy(slicer_scene):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer_scene)
    before = hierarchy.GetNumberOfItems()
    slicer_scene.RemoveNode(add_volume())
    assert hierarchy.GetNumberOfItems() == before


def test_segments_are_children_of_their_segmentation(slicer_scene):
    node = slicer_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.GetSegmentation().AddEmptySegment("a", "Liver")
    node.GetSegmentation().AddEmptySegment("b", "Lesion")
    assert children(node) == ["Liver", "Lesion"]
    node.GetSegmentation().RemoveSegment("a")
    assert children(node) == ["Lesion"]


@pytest.mark.parametrize("extension", [".nrrd", ".nii.gz", ".mha"])
def test_a_volume_is_saved_and_loaded(slicer_app, tmp_path, extension):
    volume = add_volume()
    path = str(tmp_path / f"ct{extension}")
    assert slicer.util.saveNode(volume, path)
    loaded = slicer.util.loadVolume(path)
    assert np.array_equal(slicer.util.arrayFromVolume(loaded), slicer.util.arrayFromVolume(volume))


def test_a_volume_is_exported_without_touching_its_storage(slicer_app, tmp_path):
    volume = add_volume()
    assert slicer.util.exportNode(volume, str(tmp_path / "out.nrrd"))
    assert (tmp_path / "out.nrrd").exists()
    assert volume.GetStorageNode() is None


def test_a_file_that_cannot_be_read_raises(slicer_app, slicer_problems, tmp_path):
    broken = tmp_path / "broken.nrrd"
    broken.write_text("not an image")
    with slicer_problems.expected("VTK error"), pytest.raises(RuntimeError, match="Failed to load"):
        slicer.util.loadVolume(str(broken))


def test_a_bundle_keeps_volumes_and_texts(slicer_app, tmp_path):
    volume = add_volume()
    voxels = slicer.util.arrayFromVolume(volume).copy()
    text = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "record")
    text.SetText("{}")
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(path)
    assert np.array_equal(slicer.util.arrayFromVolume(slicer.util.getNode("CT")), voxels)
    assert slicer.util.getNode("record").GetText() == "{}"


def test_a_scene_file_keeps_attributes(slicer_app, tmp_path):
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "record").SetAttribute("method", "UMed")
    path = str(tmp_path / "scene.mrml")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(path)
    assert slicer.util.getNode("record").GetAttribute("method") == "UMed"


def test_a_plot_makes_chart_series_and_table(slicer_app):
    chart = slicer.util.plot(np.array([[1.0, 2.0], [2.0, 3.0]]), xColumnIndex=0, title="Loss", show=True)
    series = chart.GetNthPlotSeriesNode(0)
    assert chart.GetTitle() == "Loss"
    assert series.GetName() == "Loss Y"
    assert series.GetTableNode().GetNumberOfColumns() == 2


def test_there_is_no_layout_manager_without_a_main_window(slicer_app):
    assert slicer_app.layoutManager() is None
    assert slicer.util.mainWindow() is None
    assert slicer.util.showStatusMessage("x") is False


def test_a_shown_plot_changes_the_layout_of_the_main_window(slicer_app):
    slicer_app.showMainWindow()
    layout_manager = slicer_app.layoutManager()
    before = layout_manager.layout
    slicer.util.plot(np.array([[1.0, 2.0]]), xColumnIndex=0, show=True)
    assert layout_manager.layout != before
    layout_manager.plotWidget(0).plotView().fitToContent()


def test_a_temporary_directory_can_be_made(slicer_app):
    import os

    assert os.path.isdir(slicer.util.tempDirectory())


def test_settings_are_fresh_in_each_test(slicer_app):
    import qt

    assert slicer.util.settingsValue("Marker", "absent") == "absent"
    qt.QSettings().setValue("Marker", "present")


def test_settings_of_the_test_before_are_gone(slicer_app):
    assert slicer.util.settingsValue("Marker", "absent") == "absent"
