"""TotalSegmentator: the module loads; its controls write the parameter node; tasks change the offered qualities."""

import types

import pytest
import slicer


@pytest.fixture
def total(scripted_module, proof_folder):
    """Its startup reads a terminology file; the test host does not register the logic that does this."""
    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    slicer.modules.terminologies = types.SimpleNamespace(logic=lambda: logic)
    return scripted_module(proof_folder / "SlicerTotalSegmentator/TotalSegmentator/TotalSegmentator.py")


def test_the_panel_opens_with_the_first_volume(add_volume, request):
    volume = add_volume()
    total = request.getfixturevalue("total")
    assert total.ui.inputVolumeSelector.currentNode() is volume
    assert total.ui.applyButton.enabled


def test_apply_is_disabled_without_a_volume(total):
    assert not total.ui.applyButton.enabled
    assert "Select input volume" in total.ui.applyButton.toolTip


def test_the_check_boxes_reach_the_parameter_node(total):
    node = total.logic.getParameterNode()
    for name, box in (("CPU", total.ui.cpuCheckBox), ("RobustCrop", total.ui.robustCropCheckBox)):
        before = box.checked
        box.click()
        assert node.GetParameter(name) == str(not before).lower()


def test_every_task_can_be_chosen(total):
    node = total.logic.getParameterNode()
    for index in range(total.ui.taskComboBox.count):
        total.ui.taskComboBox.currentIndex = index
        assert node.GetParameter("Task") == total.ui.taskComboBox.itemData(index)


def test_closing_the_scene_resets_the_panel(total, add_volume):
    slicer.mrmlScene.Clear(0)
    assert total.ui.inputVolumeSelector.currentNode() is None
