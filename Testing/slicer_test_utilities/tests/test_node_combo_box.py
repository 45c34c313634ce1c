"""qMRMLNodeComboBox selects as in Slicer 5.12."""

import gc

import pytest
import slicer


@pytest.fixture
def volumes(slicer_app):
    return [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name) for name in ("a", "b", "c")]


def make_combo(none_enabled=False, connect=None):
    combo = slicer.qMRMLNodeComboBox()
    combo.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    combo.noneEnabled = none_enabled
    if connect:
        combo.connect("currentNodeChanged(vtkMRMLNode*)", connect)
    combo.setMRMLScene(slicer.mrmlScene)
    return combo


def add_volume(name="late"):
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)


def test_the_first_node_is_selected_when_the_scene_is_set(volumes):
    assert make_combo().currentNode() is volumes[0]


def test_none_is_selected_when_the_scene_is_set_and_none_is_enabled(volumes):
    assert make_combo(none_enabled=True).currentNode() is None


def test_a_node_added_later_is_not_selected(slicer_app):
    combo = make_combo()
    add_volume()
    assert combo.currentNode() is None


def test_a_node_added_later_is_selected_if_no_action_is_enabled(slicer_app):
    combo = make_combo()
    combo.addEnabled = combo.removeEnabled = combo.editEnabled = combo.renameEnabled = False
    volume = add_volume()
    assert combo.currentNode() is volume


@pytest.mark.parametrize("none_enabled", [False, True])
def test_the_next_node_is_selected_when_the_current_one_is_removed(volumes, none_enabled):
    combo = make_combo(none_enabled)
    combo.setCurrentNode(volumes[1])
    got = []
    combo.connect("currentNodeChanged(vtkMRMLNode*)", got.append)
    slicer.mrmlScene.RemoveNode(volumes[1])
    assert combo.currentNode() is volumes[2]
    assert got == [volumes[2]]


def test_the_previous_node_is_selected_when_the_last_one_is_removed(volumes):
    combo = make_combo()
    combo.setCurrentNode(volumes[2])
    slicer.mrmlScene.RemoveNode(volumes[2])
    assert combo.currentNode() is volumes[1]


def test_none_is_left_when_the_only_node_is_removed(slicer_app):
    volume = add_volume()
    combo = make_combo()
    slicer.mrmlScene.RemoveNode(volume)
    assert combo.currentNode() is None


def test_removing_another_node_changes_nothing(volumes):
    combo = make_combo()
    got = []
    combo.connect("currentNodeChanged(vtkMRMLNode*)", got.append)
    slicer.mrmlScene.RemoveNode(volumes[2])
    assert (combo.currentNode(), got) == (volumes[0], [])


def test_none_can_be_set_even_if_it_is_not_enabled(volumes):
    combo = make_combo()
    combo.setCurrentNode(None)
    assert combo.currentNode() is None
    assert combo.currentNodeID == ""


def test_an_unknown_id_and_a_wrong_class_mean_none(volumes):
    combo = make_combo()
    combo.setCurrentNodeID("vtkMRMLScalarVolumeNode999")
    assert combo.currentNode() is None
    combo.setCurrentNode(volumes[0])
    combo.setCurrentNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode"))
    assert combo.currentNode() is None


def test_the_current_node_stays_when_it_is_hidden(volumes):
    combo = make_combo()
    volumes[0].SetHideFromEditors(True)
    assert combo.currentNode() is volumes[0]
    assert combo.nodeCount() == 3


def test_a_hidden_node_is_not_offered(volumes):
    volumes[1].SetHideFromEditors(True)
    assert make_combo().nodeCount() == 2


def test_renaming_the_current_node_fires_the_signal_again(volumes):
    got = []
    combo = make_combo()
    combo.connect("currentNodeChanged(vtkMRMLNode*)", got.append)
    volumes[0].SetName("renamed")
    assert got == [volumes[0]]


def test_an_attribute_filter_added_later_deselects_at_once(volumes):
    combo = make_combo()
    volumes[1].SetAttribute("protected", "yes")
    combo.addAttribute("vtkMRMLScalarVolumeNode", "protected", "yes")
    assert combo.currentNode() is None
    assert combo.nodeCount() == 1
    combo.setCurrentNode(volumes[1])
    assert combo.currentNode() is volumes[1]


def test_node_types_set_after_the_scene_select_the_first_match(volumes):
    combo = slicer.qMRMLNodeComboBox()
    combo.setMRMLScene(slicer.mrmlScene)
    combo.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    assert combo.currentNode() is volumes[0]


def test_an_empty_list_announces_none_when_the_scene_is_set(slicer_app):
    got = []
    make_combo(connect=got.append)
    assert got == [None]


def test_the_signal_has_an_overload_with_a_bool(volumes):
    combo, got = make_combo(), []
    combo.connect("currentNodeChanged(bool)", got.append)
    combo.setCurrentNode(None)
    combo.setCurrentNode(volumes[1])
    assert got == [False, True]


def test_a_signal_with_another_node_class_does_not_exist(volumes):
    with pytest.raises(RuntimeError, match="does not exist"):
        make_combo().connect("currentNodeChanged(vtkMRMLVolumeNode*)", print)


def test_none_is_the_first_index_if_it_is_enabled(volumes):
    assert make_combo(none_enabled=True).nodeFromIndex(0) is None
    assert make_combo(none_enabled=True).nodeFromIndex(1) is volumes[0]
    assert make_combo().nodeFromIndex(0) is volumes[0]


def test_a_node_made_by_the_user_is_selected_and_announced(volumes):
    combo, got = make_combo(), []
    combo.baseName = "Protected"
    combo.connect("nodeAddedByUser(vtkMRMLNode*)", got.append)
    node = combo.addNode()
    assert combo.currentNode() is node
    assert got == [node]
    assert node.GetName().startswith("Protected")


def test_an_unreferenced_combo_leaves_no_observer(volumes):
    got = []
    combo = make_combo(connect=got.append)
    del combo
    gc.collect()
    got.clear()
    slicer.mrmlScene.RemoveNode(volumes[0])
    assert got == []


def test_closing_the_scene_leaves_none(volumes):
    combo = make_combo()
    slicer.mrmlScene.Clear(0)
    assert combo.currentNode() is None


def test_child_classes_are_offered_unless_switched_off(slicer_app):
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    combo = make_combo()
    assert combo.nodeCount() == 1
    combo.showChildNodeTypes = False
    assert combo.nodeCount() == 0


def test_setters_that_are_no_slots_do_not_exist(slicer_app):
    assert not hasattr(slicer.qMRMLNodeComboBox(), "setNoneEnabled")


def test_checked_nodes_of_the_checkable_combo(volumes):
    combo = slicer.qMRMLCheckableNodeComboBox()
    combo.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    combo.setMRMLScene(slicer.mrmlScene)
    combo.setCheckState(volumes[1], 2)
    assert combo.checkedNodes() == (volumes[1],)
