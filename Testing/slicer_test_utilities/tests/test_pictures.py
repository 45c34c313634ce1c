"""Pictures are drawn without a display."""

import numpy as np
import pytest
import slicer

pictures = pytest.importorskip("slicer_test_utilities.pictures")


@pytest.fixture
def volume(slicer_app):
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    slicer.mrmlScene.AddNode(crosshair)
    voxels = np.zeros((20, 40, 40), np.int16)
    voxels[:, 10:30, 10:30] = 100
    volume = slicer.util.addVolumeFromArray(voxels, name="CT")
    display = volume.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(100, 50)
    return volume


@pytest.fixture
def segmentation(volume):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.GetSegmentation().AddEmptySegment("box", "box", [1, 0, 0])
    mask = (slicer.util.arrayFromVolume(volume) > 0).astype(np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, "box", volume)
    return node


def test_a_panel_is_drawn_with_its_caption(qt, tmp_path):
    label = qt.QLabel("Protect")
    plain = pictures.grab(label, tmp_path / "plain.png")
    captioned = pictures.grab(label, tmp_path / "captioned.png", "Rendered in the test host")
    heights = [qt.QImage(str(path)).height() for path in (plain, captioned)]
    assert heights[1] == heights[0] + 24


@pytest.mark.parametrize("orientation", ["Axial", "Coronal", "Sagittal"])
def test_a_slice_shows_the_bright_box_in_the_middle(volume, orientation):
    pixels = pictures.SliceView(volume, orientation).pixels()
    assert pixels[210, 240].min() > 200
    assert pixels[5, 5].max() < 50


def test_a_segment_is_drawn_over_the_slice(volume, segmentation, tmp_path):
    view = pictures.SliceView(volume)
    red, green, _ = (int(value) for value in view.pixels()[210, 240])
    assert red > green
    assert view.save(tmp_path / "slice.png").stat().st_size > 0


def test_a_segment_is_drawn_in_3d(segmentation):
    pixels = pictures.ThreeDView().pixels().reshape(-1, 3).astype(int)
    assert ((pixels[:, 0] - pixels[:, 2]) > 50).mean() > 0.01
