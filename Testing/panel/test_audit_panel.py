"""The panel of the Audit: every control and state, with real workers; certificates verified and restored."""

import subprocess
import sys

import numpy as np
import pytest
from panel_helpers import AUDIT_MODULE, add_case, wait_for


@pytest.fixture
def module(scripted_module):
    return scripted_module(AUDIT_MODULE)


@pytest.fixture
def ui(module):
    return module.ui


def add_copy(volume, change=2):
    """A copy of the volume with some voxels changed."""
    import slicer
    import slicer.util

    voxels = slicer.util.arrayFromVolume(volume).copy()
    voxels[4:6, 10:20, 10:20] += change
    matrix = np.diag([1.0, 1.0, 2.0, 1.0])
    return slicer.util.addVolumeFromArray(voxels, matrix, f"{volume.GetName()} protected")


def choose_nodes(ui, segments=False):
    volume, segmentation = add_case("CT")
    copy = add_copy(volume)
    ui.cleanSelector.setCurrentNode(volume)
    ui.protectedSelector.setCurrentNode(copy)
    if segments:
        ui.segmentationSelector.setCurrentNode(segmentation)
    return volume, copy


def finish(module, seconds=120):
    wait_for(lambda: module.widget.panel.keeper.audit is None, seconds)


def test_an_empty_scene_says_what_to_do(ui):
    assert not ui.auditButton.enabled
    assert "Choose a volume and its protected copy" in ui.statusLabel.text
    assert not ui.resultsSection.visible


def test_one_click_compares_two_volumes_and_says_what_was_not_tested(module, ui, tmp_path):
    import slicer.util

    volume, _ = choose_nodes(ui)
    ui.reportFolderEdit.setCurrentPath(str(tmp_path / "report"))
    before = slicer.util.arrayFromVolume(volume).copy()
    ui.auditButton.click()
    assert ui.auditButton.text == "Cancel"
    assert not ui.imagesSection.enabled
    finish(module)
    assert ui.auditButton.text == "Audit"
    assert ui.resultsSection.visible
    assert "not tested" in ui.verdictLabel.text
    assert ui.openReportButton.enabled and not ui.showPlotButton.enabled
    assert (tmp_path / "report" / "report.html").exists()
    (table,) = slicer.util.getNodesByClass("vtkMRMLTableNode")
    assert table.GetTable().GetColumnByName("largest change").GetValue(0) == 2
    assert np.array_equal(slicer.util.arrayFromVolume(volume), before)


def test_attackers_are_a_table_of_conditions(module, ui, tmp_path):
    pytest.importorskip("torch")
    import slicer.util

    volume, segmentation = add_case("CT", shape=(48, 32, 32), segments=("organ",))
    ui.cleanSelector.setCurrentNode(volume)
    ui.protectedSelector.setCurrentNode(add_copy(volume))
    ui.segmentationSelector.setCurrentNode(segmentation)
    module.widget.panel.parameters.budget = "2m"
    ui.auditButton.click()
    wait_for(lambda: "attacker" in ui.statusLabel.text, 120)
    ui.auditButton.click()
    finish(module)
    assert "cancelled" in ui.statusLabel.text
    assert slicer.util.getNodesByClass("vtkMRMLTableNode") == []


def test_folders_need_a_report_folder_and_are_audited(module, ui, tmp_path):
    from MedUnlearnableLib.files import nrrd
    from MedUnlearnableLib.files.samples import synthetic_ct
    from MedUnlearnableLib.files.volume import write_atomically

    ui.sourceBox.setCurrentText("Folders of files")
    assert ui.foldersEditor.visible and not ui.nodesEditor.visible
    sample = synthetic_ct((6, 24, 24))
    for name, control in (("clean", ui.cleanFolderEdit), ("protected", ui.protectedFolderEdit)):
        write_atomically(
            tmp_path / name / "a.nrrd",
            lambda file: nrrd.write(file, sample.image[np.newaxis], sample.geometry, None),
        )
        control.setCurrentPath(str(tmp_path / name))
    assert "new folder for the report" in ui.statusLabel.text
    ui.reportFolderEdit.setCurrentPath(str(tmp_path / "report"))
    assert ui.auditButton.enabled
    ui.auditButton.click()
    finish(module)
    assert (tmp_path / "report" / "report.json").exists()


def test_what_is_wrong_is_told_and_nothing_runs(module, ui, tmp_path):
    volume, _ = choose_nodes(ui)
    ui.protectedSelector.setCurrentNode(volume)
    assert "same volume" in ui.statusLabel.text
    ui.protectedSelector.setCurrentNode(add_copy(volume))
    (tmp_path / "mine.txt").write_text("mine")
    ui.reportFolderEdit.setCurrentPath(str(tmp_path))
    ui.auditButton.click()
    assert "is not empty" in ui.statusLabel.text
    assert ui.auditButton.text == "Audit"


def test_settings_survive_in_the_scene_and_a_closed_scene_starts_anew(module, ui, tmp_path):
    import slicer

    choose_nodes(ui)
    ui.classesEdit.setCurrentPath(str(tmp_path / "classes.csv"))
    assert module.widget.panel.parameters.classes == str(tmp_path / "classes.csv")
    ui.budgetBox.setCurrentText("60m")
    assert module.widget.panel.parameters.budget == "60m"
    slicer.mrmlScene.Clear(False)
    assert ui.budgetBox.currentText == "10m"
    assert ui.classesEdit.currentPath == ""
    assert not ui.auditButton.enabled


def medunlearnable(*arguments):
    command = [sys.executable, "-m", "MedUnlearnableLib", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


def test_a_certificate_is_verified_and_the_original_restored(module, ui, tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.setenv("MEDUNLEARNABLE_CONFIG", str(tmp_path / "config"))
    original = np.random.default_rng(0).integers(0, 255, (24, 24)).astype(np.uint8)
    mask = np.zeros_like(original)
    mask[8:16, 8:16] = 255
    (tmp_path / "in").mkdir()
    Image.fromarray(original).save(tmp_path / "in" / "image.png")
    Image.fromarray(mask).save(tmp_path / "in" / "image_mask.png")
    (tmp_path / "word").write_text("open sesame")
    passphrase = "--passphrase-file", tmp_path / "word"
    medunlearnable("keygen", "--out", tmp_path / "key", "--name", "owner", *passphrase)
    private = tmp_path / "key" / "mulkey.json"
    run = "--images", tmp_path / "in" / "image.png", "--out", tmp_path / "out", "--profile", "instant"
    medunlearnable("protect", "umed", *run, "--key", private, *passphrase)
    image = tmp_path / "out" / "image.png"

    ui.signedFileEdit.setCurrentPath(str(image))
    assert not ui.restoreButton.enabled
    ui.verifyButton.click()
    assert "unchanged" in ui.certificateLabel.text
    ui.restoredFileEdit.setCurrentPath(str(tmp_path / "restored.png"))
    ui.keyEdit.setCurrentPath(str(private))
    ui.passphraseEdit.text = "wrong"
    ui.restoreButton.click()
    assert "mulkey.json" in ui.certificateLabel.text
    assert not (tmp_path / "restored.png").exists()
    assert ui.passphraseEdit.text == ""
    ui.passphraseEdit.text = "open sesame"
    ui.restoreButton.click()
    assert "bit for bit" in ui.certificateLabel.text
    assert np.array_equal(np.asarray(Image.open(tmp_path / "restored.png")), original)
    Image.fromarray(original).save(image)
    ui.verifyButton.click()
    assert "unchanged" not in ui.certificateLabel.text


def test_the_self_test_of_the_module_passes(slicer_app):
    from MedUnlearnableLib.scene.audit_self_test import audit_small_volume
    from MedUnlearnableLib.scene.logic import MedUnlearnableLogic

    audit_small_volume(MedUnlearnableLogic())
