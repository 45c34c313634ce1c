"""qMRMLSegmentSelectorWidget and qMRMLSegmentsTableView behave as in Slicer 5.12."""

import pytest
import slicer


def make_segmentation(name, *segment_ids):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    for segment_id in segment_ids:
        node.GetSegmentation().AddEmptySegment(segment_id, segment_id.title())
    return node


@pytest.fixture
def liver(slicer_app):
    return make_segmentation("liver", "organ", "lesion", "vessel")


@pytest.fixture
def selector(slicer_app):
    widget = slicer.qMRMLSegmentSelectorWidget()
    widget.setMRMLScene(slicer.mrmlScene)
    return widget


def test_a_node_added_later_is_not_selected(selector):
    make_segmentation("late", "x")
    assert selector.currentNode() is None


def test_setting_the_node_picks_its_first_segment(selector, liver):
    selector.setCurrentNode(liver)
    assert (selector.currentNode(), selector.currentSegmentID()) == (liver, "organ")


def test_the_segment_signal_comes_before_the_node_signal(selector, liver):
    got = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: got.append("node"))
    selector.connect("currentSegmentChanged(QString)", lambda segment_id: got.append("segment"))
    selector.setCurrentNode(liver)
    assert got == ["segment", "node"]


def test_an_unknown_segment_is_ignored(selector, liver):
    selector.setCurrentNode(liver)
    selector.setCurrentSegmentID("spleen")
    assert selector.currentSegmentID() == "organ"


def test_a_removed_segment_is_replaced_by_its_neighbor(selector, liver):
    got = []
    selector.setCurrentNode(liver)
    selector.setCurrentSegmentID("lesion")
    selector.connect("currentSegmentChanged(QString)", got.append)
    liver.GetSegmentation().RemoveSegment("lesion")
    assert selector.currentSegmentID() == "vessel"
    assert got == ["vessel"]


def test_a_removed_node_is_replaced_by_its_neighbor(selector, liver):
    other = make_segmentation("kidney", "cyst")
    selector.setCurrentNode(liver)
    slicer.mrmlScene.RemoveNode(liver)
    assert (selector.currentNode(), selector.currentSegmentID()) == (other, "cyst")


def test_the_segment_id_stays_after_the_node_was_set_to_none(selector, liver):
    selector.setCurrentNode(liver)
    selector.setCurrentNode(None)
    assert selector.currentNode() is None
    assert selector.currentSegmentID() == "organ"


def test_none_is_selected_first_if_it_is_enabled(selector, liver):
    selector.noneEnabled = True
    selector.setCurrentNode(liver)
    assert selector.currentSegmentID() == ""
    selector.setCurrentSegmentID("lesion")
    selector.setCurrentSegmentID("")
    assert selector.currentSegmentID() == ""


def test_several_segments_can_be_selected(selector, liver):
    got = []
    selector.multiSelection = True
    selector.setCurrentNode(liver)
    selector.connect("segmentSelectionChanged(QStringList)", got.append)
    selector.setSelectedSegmentIDs(["vessel", "unknown", "organ"])
    assert selector.selectedSegmentIDs() == ("vessel", "organ")
    assert len(got) == 1


def test_the_current_segment_is_the_selection_of_a_single_selector(selector, liver):
    selector.setCurrentNode(liver)
    assert selector.selectedSegmentIDs() == ("organ",)


def test_the_table_shows_the_segments_and_follows_changes(liver):
    table = slicer.qMRMLSegmentsTableView()
    table.setSegmentationNode(liver)
    assert table.segmentCount == 3
    liver.GetSegmentation().AddEmptySegment("cyst", "Cyst")
    assert table.segmentCount == 4
    assert table.displayedSegmentIDs() == ("organ", "lesion", "vessel", "cyst")


def test_segments_of_the_table_can_be_selected(liver):
    table, got = slicer.qMRMLSegmentsTableView(), []
    table.setSegmentationNode(liver)
    table.connect("selectionChanged(QItemSelection,QItemSelection)", lambda: got.append(table.selectedSegmentIDs()))
    table.setSelectedSegmentIDs(["lesion"])
    assert table.selectedSegmentIDs() == ("lesion",)
    assert got == [("lesion",)]


def test_the_table_refuses_a_node_of_another_class(liver):
    table = slicer.qMRMLSegmentsTableView()
    table.setSegmentationNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode"))
    assert table.segmentationNode() is None
