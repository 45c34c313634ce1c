"""Input that cannot be protected: one sentence, and nothing half done."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from panel_helpers import add_case, cell, finish, wait_for


def protect(module):
    module.ui.addAllButton.click()
    module.ui.protectButton.click()
    finish(module)


def add_label_map(volume, labels, name="labels"):
    import slicer
    import slicer.util

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
    node.CopyOrientation(volume)
    slicer.util.updateVolumeFromArray(node, labels)
    return node


def assert_nothing_is_left(module):
    import slicer
    import slicer.util

    assert module.ui.resultsTable.rowCount == 0 or cell(module.ui.resultsTable, 0, 3) == "failed"
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert not [node for node in volumes if node.GetAttribute("MedUnlearnable.method")]
    assert list(Path(slicer.app.temporaryPath).glob("medunlearnable-*")) == []
    assert slicer.app.overrideCursors() == []


@pytest.fixture
def case_with_label_map(module):
    """A volume and a label map on its grid, no segmentation."""
    import slicer
    import slicer.util

    volume, segmentation = add_case("CT")
    labels = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "organ", volume).astype(np.int16)
    labels += slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "lesion", volume)
    slicer.mrmlScene.RemoveNode(segmentation)
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "of another patient")
    slicer.util.updateVolumeFromArray(other, np.ones((3, 3, 3), np.uint8))
    label_map = add_label_map(volume, labels)
    module.ui.addAllButton.click()
    return volume, label_map


def test_a_label_map_is_offered_and_converted_by_one_click(module, ui, case_with_label_map):
    import slicer.util

    volume, label_map = case_with_label_map
    assert not ui.protectButton.enabled
    assert ui.labelMapEditor.visible
    assert ui.labelMapSelector.currentNode() is label_map  # the one on the volume's grid
    ui.convertButton.click()
    assert "labels segments: all" in cell(ui.casesTable, 0, 1)
    assert not ui.labelMapEditor.visible
    ui.protectButton.click()
    finish(module)
    assert cell(ui.casesTable, 0, 3) == "done"
    (segmentation,) = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    stored = slicer.util.arrayFromVolume(label_map)
    for number, segment_id in enumerate(segmentation.GetSegmentation().GetSegmentIDs(), start=1):
        segment = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, volume)
        assert np.array_equal(segment != 0, stored == number)


def test_a_label_map_under_a_transform_is_not_resampled(module, ui, case_with_label_map):
    import slicer
    import slicer.util
    import vtk

    volume, label_map = case_with_label_map
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    turn = vtk.vtkTransform()
    turn.RotateZ(17)
    transform.SetMatrixTransformToParent(turn.GetMatrix())
    for node in case_with_label_map:
        node.SetAndObserveTransformNodeID(transform.GetID())
    ui.convertButton.click()
    (segmentation,) = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    first = segmentation.GetSegmentation().GetNthSegmentID(0)
    segment = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, first, volume)
    assert np.array_equal(segment != 0, slicer.util.arrayFromVolume(label_map) == 1)


def test_an_empty_label_map_is_refused_in_a_sentence(module, ui, case_with_label_map):
    import slicer.util

    slicer.util.arrayFromVolume(case_with_label_map[1])[...] = 0
    ui.convertButton.click()
    assert "label map 'labels' holds no label" in ui.statusLabel.text
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []


def test_a_label_map_cannot_be_chosen_as_image(module, ui, case_with_label_map):
    ui.volumeSelector.setCurrentNode(case_with_label_map[1])
    assert cell(ui.casesTable, 0, 0) != "labels"


def test_a_volume_without_image_data(module, ui):
    import slicer

    volume, _ = add_case()
    volume.SetAndObserveImageData(None)
    ui.addAllButton.click()
    assert not ui.protectButton.enabled
    assert "'CT' holds no image" in ui.statusLabel.text
    slicer.mrmlScene.RemoveNode(volume)
    assert "volume is missing" in ui.statusLabel.text


def test_a_segmentation_without_segments(module, ui):
    add_case(segments=())
    ui.addAllButton.click()
    assert not ui.protectButton.enabled
    assert "holds no segment; draw one" in ui.statusLabel.text


def test_segments_without_a_voxel(module, ui):
    _, segmentation = add_case(segments=())
    segmentation.GetSegmentation().AddEmptySegment("a", "a")
    protect(module)
    assert "has no voxel within volume 'CT'" in ui.statusLabel.text
    assert_nothing_is_left(module)


def test_a_segmentation_of_another_patients_geometry(module, ui):
    import slicer

    volume, segmentation = add_case("a")
    other, others_segmentation = add_case("b")
    other.SetOrigin(5000, 0, 0)
    slicer.mrmlScene.RemoveNode(segmentation)
    ui.addAllButton.click()
    ui.casesTable.selectRow(1)
    ui.removeCaseButton.click()
    ui.segmentSelector.setCurrentNode(others_segmentation)
    volume.SetOrigin(9000, 0, 0)
    ui.protectButton.click()
    assert "has no voxel within volume 'a'; draw the segments, or choose the volume" in ui.statusLabel.text
    assert_nothing_is_left(module)


def test_volume_and_segmentation_under_different_transforms(module, ui):
    import slicer
    import vtk

    volume, _ = add_case()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    shift = vtk.vtkMatrix4x4()
    shift.SetElement(0, 3, 7.0)
    transform.SetMatrixTransformToParent(shift)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    protect(module)
    assert "are under different transforms; put both under the same one" in ui.statusLabel.text
    assert_nothing_is_left(module)


def test_a_temporary_folder_that_is_not_there(module, ui, tmp_path, slicer_app):
    add_case()
    slicer_app.temporaryPath = str(tmp_path / "gone")
    protect(module)
    assert "gone: the temporary folder cannot be used (No such file or directory)" in ui.statusLabel.text
    assert ui.protectButton.enabled


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 300 kB."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a file system can be mounted by root only")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_no_room_for_the_copy_of_the_volume(module, ui, small_disk, slicer_app):
    add_case(shape=(30, 80, 80))
    slicer_app.temporaryPath = str(small_disk)
    protect(module)
    assert "No space left on device" in ui.statusLabel.text
    assert "check the folder and the free space" in ui.statusLabel.text
    assert_nothing_is_left(module)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process")
def test_no_room_for_what_the_worker_writes(module, ui):
    """Its largest file is limited, as by a disk that fills up meanwhile."""
    add_case(shape=(30, 80, 80))
    ui.addAllButton.click()
    ui.protectButton.click()
    resource.prlimit(worker_id(module), resource.RLIMIT_FSIZE, (100_000, 100_000))
    finish(module)
    assert "File too large" in ui.statusLabel.text
    assert "Traceback" not in ui.statusLabel.text
    assert_nothing_is_left(module)


def worker_id(module):
    return module.widget.panel.keeper.run._jobs[0]._running.process_id


def test_a_worker_that_cannot_start_shows_its_last_lines(module, ui, monkeypatch, tmp_path):
    """As with a broken numpy or torch: an import fails in the worker, not in Slicer."""
    (tmp_path / "scipy.py").write_text("raise ImportError('DLL load failed while importing scipy')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    add_case()
    protect(module)
    assert "DLL load failed while importing scipy" in ui.statusLabel.text
    assert_nothing_is_left(module)


def test_two_clicks_on_protect_start_one_job_and_cancel_it(module, ui):
    add_case(shape=(60, 220, 220))
    ui.addAllButton.click()
    ui.protectButton.click()
    run = module.widget.panel.keeper.run
    ui.protectButton.click()
    assert module.widget.panel.keeper.run is run
    assert run.total == 1
    wait_for(lambda: module.widget.panel.keeper.run is None)
    assert_nothing_is_left(module)
