"""Every control and every state of the panel, with real jobs in real worker processes."""

import json
import logging
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from panel_helpers import MODULE, add_case, add_folder, cell, finish, wait_for


def protect(module):
    module.ui.protectButton.click()


def rows(ui):
    return [cell(ui.casesTable, row, 0) for row in range(ui.casesTable.rowCount)]


def protected_volumes():
    import slicer.util

    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [node for node in nodes if node.GetAttribute("MedUnlearnable.method")]


def test_an_empty_scene_says_what_to_do(ui):
    assert not ui.protectButton.enabled
    assert "Add a volume" in ui.statusLabel.text
    assert "Add a volume" in ui.protectButton.toolTip


def test_the_only_volume_of_a_scene_is_the_case_on_entering(slicer_app, scripted_module):
    add_case("brain")
    ui = scripted_module(MODULE).ui
    assert rows(ui) == ["brain"]
    assert "brain segments: all" in cell(ui.casesTable, 0, 1)
    assert ui.protectButton.enabled


def test_add_all_adds_each_image_once_and_no_result_or_label_map(module, ui):
    import slicer

    add_case("a")
    add_case("b")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    ui.addAllButton.click()
    ui.addAllButton.click()
    assert rows(ui) == ["a", "b"]


def test_add_current_takes_the_volume_of_the_slice_views(module, ui, slicer_popups):
    import slicer

    ui.addCurrentButton.click()
    assert rows(ui) == []
    add_case("a")
    volume, _ = add_case("b")
    composite = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    composite.SetBackgroundVolumeID(volume.GetID())
    ui.addCurrentButton.click()
    assert rows(ui) == ["b"]


def test_one_click_protects_and_shows_the_figures(module, ui):
    volume, _ = add_case()
    ui.addAllButton.click()
    protect(module)
    assert ui.protectButton.text == "Cancel"
    assert ui.progressBar.visible
    assert not ui.addAllButton.enabled
    finish(module)
    assert ui.protectButton.text == "Protect"
    assert not ui.progressBar.visible
    assert cell(ui.casesTable, 0, 3) == "done"
    assert cell(ui.resultsTable, 0, 0) == "CT"
    assert float(cell(ui.resultsTable, 0, 1)) > 40
    assert "HU" in cell(ui.resultsTable, 0, 2)
    assert "outside the mask identical" in ui.verdictLabel.text
    assert "scene file holds the originals" in ui.statusLabel.text
    (protected,) = protected_volumes()
    assert protected.GetAttribute("MedUnlearnable.source") == volume.GetID()


def test_segments_chosen_below_the_table_are_the_ones_protected(module, ui):
    import slicer.util

    volume, segmentation = add_case()
    ui.addAllButton.click()
    ui.segmentSelector.setSelectedSegmentIDs(["lesion"])
    assert "lesion" in cell(ui.casesTable, 0, 1)
    assert "organ" not in cell(ui.casesTable, 0, 1)
    protect(module)
    finish(module)
    change = slicer.util.arrayFromVolume(protected_volumes()[0]).astype(int) - slicer.util.arrayFromVolume(volume)
    organ, lesion = (
        slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, i, volume).astype(bool) for i in ("organ", "lesion")
    )
    assert change[lesion].any()
    assert np.count_nonzero(change[organ & ~lesion]) < 0.5 * np.count_nonzero(organ & ~lesion)


def test_another_volume_can_be_chosen_for_a_row(module, ui):
    add_case("a")
    ui.addAllButton.click()
    other, _ = add_case("b")
    ui.volumeSelector.setCurrentNode(other)
    assert rows(ui) == ["b"]


def test_a_deleted_volume_is_missing_and_not_another_patients_image(module, ui):
    import slicer

    volume, _ = add_case("a")
    add_case("b")
    ui.addAllButton.click()
    slicer.mrmlScene.RemoveNode(volume)
    assert rows(ui) == ["(volume missing)", "b"]
    assert not ui.protectButton.enabled
    assert "Row 1" in ui.statusLabel.text
    ui.casesTable.selectRow(0)
    ui.removeCaseButton.click()
    assert rows(ui) == ["b"]
    assert ui.protectButton.enabled


def test_a_row_without_segmentation_says_so(module, ui):
    import slicer

    _, segmentation = add_case("a")
    slicer.mrmlScene.RemoveNode(segmentation)
    ui.addAllButton.click()
    assert "choose the segmentation of 'a'" in ui.protectButton.toolTip


def test_epsilon_is_shown_in_stored_units(module, ui):
    add_case()
    ui.addAllButton.click()
    three = ui.budgetLabel.text
    assert "HU" in three
    ui.epsilonSlider.value = 8
    assert ui.budgetLabel.text != three
    ui.windowEdit.text = "-160,240"
    assert "12 HU" in ui.budgetLabel.text


@pytest.mark.parametrize("sample", ["GeneratedCT", "GeneratedFundus"])
def test_the_budget_that_is_shown_is_the_one_of_the_record(module, ui, sample):
    """The estimate looks at every third voxel or so; the window it finds must be the one of the run."""
    from MedUnlearnableLib.files.samples import SAMPLES
    from MedUnlearnableLib.scene.sample_nodes import add_sample

    add_sample(sample, SAMPLES[sample]())
    ui.addAllButton.click()
    shown = ui.budgetLabel.text
    protect(module)
    finish(module)
    record = json.loads(protected_volumes()[0].GetNodeReference("MedUnlearnable.record").GetText())
    assert f"\u00b1{record['budget']:g}" in shown


def test_a_budget_below_one_level_is_said_before_the_run(module, ui):
    add_case()
    ui.addAllButton.click()
    ui.windowEdit.text = "0,50"
    ui.epsilonSlider.value = 1
    assert "--epsilon" in ui.budgetLabel.text


@pytest.mark.parametrize(
    ("control", "value", "words"),
    [
        ("seedEdit", "abc", "seed"),
        ("windowEdit", "5,1", "--window"),
        ("stateFileEdit", "/nowhere/key.json", "no such file"),
    ],
)
def test_wrong_settings_are_one_sentence(module, ui, control, value, words):
    add_case()
    ui.addAllButton.click()
    if control == "stateFileEdit":
        ui.stateFileEdit.setCurrentPath(value)
    else:
        getattr(ui, control).text = value
    protect(module)
    finish(module)
    assert words in ui.statusLabel.text
    assert protected_volumes() == []


def test_the_same_seed_in_the_panel_and_in_the_console_gives_the_same_voxels(module, ui):
    import slicer.util

    volume, segmentation = add_case()
    ui.addAllButton.click()
    ui.seedEdit.text = "7"
    protect(module)
    finish(module)
    by_panel = slicer.util.arrayFromVolume(protected_volumes()[0]).copy()
    by_console = module.logic.protect(volume, segmentation, seed=7)
    assert np.array_equal(by_panel, slicer.util.arrayFromVolume(by_console))


def test_a_second_click_cancels_and_leaves_no_node(module, ui):
    add_case(shape=(60, 220, 220))
    ui.addAllButton.click()
    protect(module)
    protect(module)
    assert "Cancelling" in ui.statusLabel.text
    finish(module)
    assert protected_volumes() == []
    assert "cancelled" in ui.statusLabel.text


def test_closing_the_scene_during_a_run_loses_nothing(module, ui):
    import slicer

    add_case("a")
    ui.addAllButton.click()
    protect(module)
    slicer.mrmlScene.Clear(False)
    assert rows(ui) == []
    finish(module)
    (protected,) = protected_volumes()
    assert "a protected" in protected.GetName()


def test_importing_another_scene_during_a_run_loses_nothing(module, ui, tmp_path):
    """Its parameter node replaces the settings and cases that are shown; the run has its own."""
    import slicer
    import slicer.util

    add_case("b")
    ui.addAllButton.click()
    ui.epsilonSlider.value = 6
    assert slicer.util.saveScene(str(tmp_path / "s.mrb"))
    slicer.mrmlScene.Clear(False)
    volume, _ = add_case("a")
    ui.addAllButton.click()
    protect(module)
    slicer.util.loadScene(str(tmp_path / "s.mrb"))
    assert ui.epsilonSlider.value == 6
    assert ui.protectButton.text == "Cancel"
    finish(module)
    (protected,) = protected_volumes()
    assert protected.GetAttribute("MedUnlearnable.source") == volume.GetID()
    assert "a protected" in protected.GetName()


def test_deleting_the_input_during_a_run_loses_nothing(module, ui):
    import slicer

    volume, _ = add_case("a")
    ui.addAllButton.click()
    protect(module)
    slicer.mrmlScene.RemoveNode(volume)
    finish(module)
    assert len(protected_volumes()) == 1


def test_reloading_the_module_during_a_run_keeps_the_run(module):
    add_case("a")
    module.ui.addAllButton.click()
    protect(module)
    module.reload()
    assert module.ui.protectButton.text == "Cancel"
    finish(module)
    assert len(protected_volumes()) == 1


def test_leaving_the_module_during_a_run_and_coming_back(module, ui):
    add_case("a")
    ui.addAllButton.click()
    protect(module)
    module.exit()
    finish(module)
    module.enter()
    assert cell(ui.resultsTable, 0, 0) == "a"


def test_a_second_panel_made_during_a_run_sees_it_end_too(module, ui):
    """Slicer makes another panel for a module window of its own."""
    import slicer

    add_case("a")
    ui.addAllButton.click()
    protect(module)
    module.parent.createNewWidgetRepresentation()
    second = slicer.modules.MedUnlearnableWidget
    assert second.ui.protectButton.text == "Cancel"
    wait_for(lambda: ui.protectButton.text == second.ui.protectButton.text == "Protect")
    assert [cell(panel.resultsTable, 0, 0) for panel in (ui, second.ui)] == ["a", "a"]
    assert len(protected_volumes()) == 1
    second.cleanup()


def test_a_worker_that_dies_is_said_with_how_it_ended(module, ui):
    add_case(shape=(60, 220, 220))
    ui.addAllButton.click()
    protect(module)
    os.kill(module.widget.panel.keeper.run._jobs[0]._running.process_id, signal.SIGKILL)
    finish(module)
    assert "signal 9" in ui.statusLabel.text
    assert ui.protectButton.enabled
    assert protected_volumes() == []


def test_quitting_ends_the_worker(slicer_app, scripted_module):
    import slicer

    module = scripted_module(MODULE)
    add_case(shape=(60, 220, 220))
    module.ui.addAllButton.click()
    protect(module)
    process = module.widget.panel.keeper.run._jobs[0]._running._worker._process
    slicer.app.aboutToQuit.emit()
    assert process.poll() is not None
    assert module.widget.panel.keeper.run is None


def test_before_after_difference_and_back(module, ui):
    import slicer
    import slicer.util

    volume, _ = add_case()
    composites = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode") for _ in range(3)]
    for composite in composites:
        composite.SetBackgroundVolumeID(volume.GetID())
        composite.SetForegroundOpacity(0.25)
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    ui.addAllButton.click()
    protect(module)
    finish(module)
    volume.GetDisplayNode().SetWindowLevel(300, 33)
    (protected,) = protected_volumes()
    nodes_before = slicer.mrmlScene.GetNumberOfNodes()
    ui.afterButton.click()
    assert [c.GetBackgroundVolumeID() for c in composites] == [protected.GetID()] * 3
    assert protected.GetDisplayNode().GetWindow() == 300
    assert ui.afterButton.checked
    ui.beforeButton.click()
    assert composites[0].GetBackgroundVolumeID() == volume.GetID()
    ui.differenceButton.click()
    shown = slicer.mrmlScene.GetNodeByID(composites[0].GetBackgroundVolumeID())
    difference = slicer.util.arrayFromVolume(shown)
    assert np.array_equal(
        difference, slicer.util.arrayFromVolume(protected).astype(float) - slicer.util.arrayFromVolume(volume)
    )
    ui.backButton.click()
    assert [c.GetBackgroundVolumeID() for c in composites] == [volume.GetID()] * 3
    assert composites[0].GetForegroundOpacity() == 0.25
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes_before
    assert not any(getattr(ui, f"{name}Button").checked for name in ("before", "after", "difference"))


def test_remove_results_removes_volume_display_and_record(module, ui):
    import slicer

    add_case()
    ui.addAllButton.click()
    before = slicer.mrmlScene.GetNumberOfNodes()
    protect(module)
    finish(module)
    assert slicer.mrmlScene.GetNumberOfNodes() == before + 3
    ui.removeResultsButton.click()
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert ui.resultsTable.rowCount == 0
    assert not ui.saveButton.enabled


def test_save_writes_the_volume_and_its_record(module, ui, slicer_popups, tmp_path):
    from MedUnlearnableLib.files import formats

    add_case()
    ui.addAllButton.click()
    protect(module)
    finish(module)
    slicer_popups.answer(str(tmp_path / "shared.nrrd"))
    ui.saveButton.click()
    assert "may be handed out" in ui.statusLabel.text
    assert formats.read(tmp_path / "shared.nrrd").array.dtype == np.int16
    assert '"method": "UMed"' in (tmp_path / "shared.medunlearnable.json").read_text()


def test_a_folder_is_protected_into_a_new_folder(module, ui, slicer_popups, tmp_path):
    add_folder(tmp_path, 2)
    slicer_popups.answer(str(tmp_path / "images"), str(tmp_path / "labels"), str(tmp_path / "out"))
    ui.addFolderButton.click()
    assert "folder" in rows(ui)[0]
    add_case("also a volume")
    ui.addAllButton.click()
    protect(module)
    finish(module)
    assert ui.resultsTable.rowCount == 3
    assert f"Hand out {tmp_path / 'out'}; keep {tmp_path / 'out-private'} for yourself" in ui.statusLabel.text
    assert (tmp_path / "out" / "manifest.json").exists()
    assert len(protected_volumes()) == 1


def test_a_data_set_of_nnunet_is_not_asked_for_its_labels(module, ui, slicer_popups, tmp_path):
    add_folder(tmp_path, 2)
    data_set = tmp_path / "Dataset001"
    data_set.mkdir()
    (tmp_path / "images").rename(data_set / "imagesTr")
    (tmp_path / "labels").rename(data_set / "labelsTr")
    slicer_popups.answer(str(data_set), str(tmp_path / "out"))
    ui.addFolderButton.click()
    protect(module)
    finish(module)
    assert ui.resultsTable.rowCount == 2, ui.statusLabel.text
    assert (tmp_path / "out" / "imagesTr" / "c00.nrrd").exists()


def test_an_aborted_folder_dialog_adds_no_row(module, ui, slicer_popups, tmp_path):
    slicer_popups.answer(str(tmp_path), "")
    ui.addFolderButton.click()
    assert rows(ui) == []


def test_one_bad_volume_is_named_and_the_other_is_protected(module, ui):
    import slicer.util

    add_case("good")
    bad, _ = add_case("bad")
    slicer.util.updateVolumeFromArray(bad, np.full((10, 40, 44), np.nan, np.float32))
    ui.addAllButton.click()
    protect(module)
    finish(module)
    assert [cell(ui.resultsTable, row, 3) for row in range(2)][1] == "failed"
    assert cell(ui.casesTable, 1, 3) == "failed"
    ui.resultsTable.selectRow(1)
    assert "'bad'" in ui.verdictLabel.text
    assert "'bad'" in ui.statusLabel.text
    assert len(protected_volumes()) == 1


def test_settings_and_cases_survive_saving_and_loading_a_scene(module, ui, tmp_path):
    import slicer
    import slicer.util

    add_case("a")
    ui.addAllButton.click()
    ui.epsilonSlider.value = 6
    ui.windowEdit.text = "-100,300"
    ui.segmentSelector.setSelectedSegmentIDs(["lesion"])
    assert slicer.util.saveScene(str(tmp_path / "s.mrb"))
    slicer.mrmlScene.Clear(False)
    assert ui.epsilonSlider.value == 4
    slicer.util.loadScene(str(tmp_path / "s.mrb"))
    assert ui.epsilonSlider.value == 6
    assert ui.windowEdit.text == "-100,300"
    assert rows(ui) == ["a"]
    assert "lesion" in cell(ui.casesTable, 0, 1)
    protect(module)
    finish(module)
    assert len(protected_volumes()) == 1


def test_settings_of_a_newer_version_are_put_back_to_defaults(module, ui):
    import slicer

    node = module.logic.getParameterNode()
    slicer.mrmlScene.InvokeEvent(slicer.mrmlScene.StartImportEvent)
    node.SetParameter("settingsVersion", "99")
    node.SetParameter("profile", "quantum")
    slicer.mrmlScene.InvokeEvent(slicer.mrmlScene.EndImportEvent)
    assert ui.profileComboBox.currentText == "auto"
    assert ui.epsilonSlider.value == 4


def test_the_panel_fits_the_default_width(module, ui):
    add_case("a volume with a rather long name, as scanners give them")
    ui.addAllButton.click()
    ui.advancedSection.collapsed = False
    assert module.container.minimumSizeHint.width() <= 342


def test_the_panel_works_without_a_main_window(module, ui):
    import slicer.util

    assert slicer.util.mainWindow() is None
    add_case()
    ui.addAllButton.click()
    protect(module)
    finish(module)
    assert len(protected_volumes()) == 1


def test_the_notice_is_seen_in_the_status_bar_of_the_application(slicer_app, scripted_module):
    slicer_app.showMainWindow()
    module = scripted_module(MODULE)
    add_case()
    module.ui.addAllButton.click()
    protect(module)
    module.exit()
    finish(module)
    import slicer.util

    assert "protected" in slicer.util.mainWindow().statusBar().currentMessage()


def test_progress_comes_while_the_job_runs(module, ui):
    add_case(shape=(60, 220, 220))
    ui.addAllButton.click()
    protect(module)
    shown = set()
    wait_for(lambda: shown.add(ui.statusLabel.text) or module.widget.panel.keeper.run is None)
    assert any(text.startswith("CT: ") and "(1/1)" in text for text in shown), shown


def test_the_self_test_of_the_module_protects_by_every_method(module, caplog):
    import importlib.util
    import logging

    from MedUnlearnableLib.jobs.methods import METHODS

    import MedUnlearnable

    caplog.set_level(logging.INFO)
    MedUnlearnable.MedUnlearnableTest().runTest()
    there = {node.GetAttribute("MedUnlearnable.method") for node in protected_volumes()}
    assert there == {kind.name for kind in METHODS.values()}
    without_torch = importlib.util.find_spec("torch") is None
    assert ("PyTorch is not installed" in caplog.text) == without_torch


def test_nothing_is_left_in_the_temporary_folder(module, ui):
    import slicer

    add_case()
    ui.addAllButton.click()
    protect(module)
    finish(module)
    assert list(Path(slicer.app.temporaryPath).glob("medunlearnable-*")) == []


def test_the_curves_of_a_training_are_drawn_small(module, ui):
    curve = module.widget.panel.curve
    assert not ui.curveLabel.visible
    for step in range(2000):
        curve.add("loss", step, 1 / (1 + step))
        curve.add("dice", step, float("nan") if step == 5 else step / 2000)
    curve.draw()
    assert ui.curveLabel.visible
    assert len(curve.points["dice"]) == 1999
    picture = ui.curveLabel.pixmap.toImage()
    colors = {picture.pixelColor(x, y).name() for x in range(picture.width()) for y in range(picture.height())}
    assert {"#1f77b4", "#d62728"} <= colors
    assert module.container.minimumSizeHint.width() <= 342
    curve.clear()
    assert not ui.curveLabel.visible


def test_the_forecast_of_a_training_stands_below_its_progress_and_in_the_log(module, ui, caplog):
    """Cancelled when it is known: how long the training would take is not the panel's."""
    pytest.importorskip("torch")
    caplog.set_level(logging.INFO)
    for number in range(16):
        add_case(f"case {number}", shape=(1, 48, 48))
    ui.addAllButton.click()
    ui.profileComboBox.currentText = "standard"
    protect(module)
    seen = set()
    wait_for(lambda: seen.add(ui.statusLabel.text) or "\nforecast: these segments are" in ui.statusLabel.text, 300)
    assert any(text.startswith("all cases: trying how hard the segments are to learn (") for text in seen)
    assert "MedUnlearnable: forecast: these segments are" in caplog.text
    protect(module)
    finish(module)
    assert "cancelled" in ui.statusLabel.text
