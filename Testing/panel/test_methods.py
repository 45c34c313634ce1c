"""Every method protects volumes of the scene by a click, with what its controls say."""

import json

import numpy as np
import pytest
from panel_helpers import add_case, add_folder, cell, finish


def protect(module):
    module.ui.protectButton.click()
    finish(module)


def records():
    import slicer.util

    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    results = [node for node in nodes if node.GetAttribute("MedUnlearnable.method")]
    return [json.loads(node.GetNodeReference("MedUnlearnable.record").GetText()) for node in results]


def choose(module, method, profile="instant", **controls):
    module.ui.methodComboBox.currentText = method
    module.ui.profileComboBox.currentText = profile
    for option, value in controls.items():
        field = module.widget.panel.controls._rows[option][1]
        if hasattr(field, "currentText"):
            field.currentText = value
        else:
            field.findChild("QLineEdit").text = value


def test_salm_takes_the_labels_of_the_table(module, ui):
    import slicer

    for name, label in (("a", "benign"), ("b", "malignant")):
        volume, segmentation = add_case(name)
        slicer.mrmlScene.RemoveNode(segmentation)
        volume.SetAttribute("MedUnlearnable.label", label)
    ui.addAllButton.click()
    choose(module, "SALM")
    assert [cell(ui.casesTable, row, 2) for row in (0, 1)] == ["benign", "malignant"]
    assert "\u00b1" in ui.budgetLabel.text
    protect(module)
    assert [cell(ui.casesTable, row, 3) for row in (0, 1)] == ["done", "done"], ui.statusLabel.text
    assert {record["method"] for record in records()} == {"SALM"}


def test_salm_keeps_out_of_the_lesion_when_told_so(module, ui):
    import slicer.util

    volume, segmentation = add_case()
    volume.SetAttribute("MedUnlearnable.label", "benign")
    ui.addAllButton.click()
    choose(module, "SALM", region="outside")
    module.widget.panel.controls._rows["classNames"][1].text = "benign, malignant"
    ui.segmentSelector.setSelectedSegmentIDs(["organ"])
    protect(module)
    (node,) = [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        if node.GetAttribute("MedUnlearnable.method")
    ]
    change = slicer.util.arrayFromVolume(node).astype(int) - slicer.util.arrayFromVolume(volume)
    organ = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "organ", volume).astype(bool)
    assert change[~organ].any()
    assert not change[organ].any()


def test_a_folder_of_classes_is_asked_for_its_csv_and_not_for_segmentations(module, ui, slicer_popups, tmp_path):
    add_folder(tmp_path, 4)
    rows = [f"c{number:02},{'benign' if number % 2 else 'malignant'}" for number in range(4)]
    (tmp_path / "classes.csv").write_text("\n".join(["case,label", *rows]))
    choose(module, "SALM")
    slicer_popups.answer(str(tmp_path / "images"), "", str(tmp_path / "classes.csv"), str(tmp_path / "out"))
    ui.addFolderButton.click()
    assert "cancel: none" in slicer_popups.shown[1]
    assert cell(ui.casesTable, 0, 1) == "(none)"
    protect(module)
    assert ui.resultsTable.rowCount == 4, ui.statusLabel.text
    assert not [row for row in range(4) if cell(ui.resultsTable, row, 3) == "failed"]


def test_medlocker_marks_the_volume_and_leaves_the_lesion_free(module, ui):
    import slicer.util

    volume, segmentation = add_case(shape=(8, 96, 96))
    ui.addAllButton.click()
    ui.segmentSelector.setSelectedSegmentIDs(["lesion"])
    choose(module, "MedLocker", logo="MINE", logos="2")
    assert not ui.epsilonSlider.visible
    assert ui.budgetLabel.text == ""
    protect(module)
    assert cell(ui.casesTable, 0, 3) == "done", ui.statusLabel.text
    assert "outside the mark identical" in ui.verdictLabel.text  # a visible mark has no budget
    (node,) = [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        if node.GetAttribute("MedUnlearnable.method")
    ]
    changed = slicer.util.arrayFromVolume(node) != slicer.util.arrayFromVolume(volume)
    lesion = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "lesion", volume).astype(bool)
    assert changed.any()
    assert not changed[lesion].any()
    assert np.count_nonzero(changed) < changed.size / 2


@pytest.mark.parametrize("method", ["SALM", "MedLocker"])
def test_the_budget_is_that_of_the_profile_until_the_user_chooses_another(module, ui, method):
    from MedUnlearnableLib.scene.estimate import default_epsilon

    for profile in [ui.profileComboBox.itemText(i) for i in range(1, ui.profileComboBox.count)]:
        ui.profileComboBox.currentText = profile
        assert ui.epsilonSlider.value == default_epsilon("UMed", profile)
    ui.epsilonSlider.value = 7
    ui.profileComboBox.currentText = "instant"
    choose(module, method)
    assert ui.epsilonSlider.value == 7
    assert ui.epsilonSlider.visible == (method == "SALM")
