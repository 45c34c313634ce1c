"""A run over a folder that was cancelled goes on, by the panel that was there or by a new one."""

import json

import pytest
from panel_helpers import add_folder, cell, finish, wait_for

CASES = 12


def start_and_cancel(module, slicer_popups, folder):
    """A run that is stopped after its second case; the folders are images, labels and out of `folder`."""
    add_folder(folder, CASES)
    slicer_popups.answer(*(str(folder / name) for name in ("images", "labels", "out")))
    module.ui.addFolderButton.click()
    module.ui.protectButton.click()
    wait_for((folder / "out" / "c01.medunlearnable.json").exists)
    module.ui.protectButton.click()
    finish(module)


@pytest.fixture
def cancelled(module, ui, slicer_popups, tmp_path):
    """The folder of such a run."""
    ui.seedEdit.text = "5"
    start_and_cancel(module, slicer_popups, tmp_path)
    assert not json.loads((tmp_path / "out" / "manifest.json").read_text())["complete"]
    return tmp_path


def finished(folder):
    return len(list((folder / "out").glob("c*.medunlearnable.json")))


def test_a_second_click_goes_on_where_the_first_was_cancelled(module, ui, cancelled):
    done = finished(cancelled)
    assert 2 <= done < CASES
    first = (cancelled / "out" / "c00.nrrd").stat().st_mtime_ns
    assert f"goes on, with its own settings: {done} of {CASES}" in cell(ui.casesTable, 0, 1)
    ui.seedEdit.text = ""
    ui.protectButton.click()
    finish(module)
    assert finished(cancelled) == CASES
    assert json.loads((cancelled / "out" / "manifest.json").read_text())["complete"]
    assert (cancelled / "out" / "c00.nrrd").stat().st_mtime_ns == first
    assert "labels in" in cell(ui.casesTable, 0, 1)  # nothing is left to go on with
    assert ui.resultsTable.rowCount == CASES


def test_choosing_the_folder_again_offers_to_go_on(module, ui, cancelled, slicer_app, slicer_popups):
    import qt

    ui.removeCaseButton.click()
    slicer_app.setTestingEnabled(False)
    folders = [str(cancelled / name) for name in ("images", "labels", "out")]
    slicer_popups.answer(*folders, qt.QMessageBox.No)
    ui.addFolderButton.click()
    assert ui.casesTable.rowCount == 0
    slicer_popups.answer(*folders, qt.QMessageBox.Yes)
    ui.addFolderButton.click()
    assert "was interrupted" in slicer_popups.shown[-1]
    ui.protectButton.click()
    finish(module)
    assert finished(cancelled) == CASES


def test_a_run_that_was_moved_away_is_refused(module, ui, cancelled):
    import slicer

    for name in ("out", "out-private"):
        (cancelled / name).rename(cancelled / name.replace("out", "moved"))
    pack = module.widget.panel.parameters.cases[0]
    pack.outputFolder = str(cancelled / "moved")
    module.widget.panel.cases.update()
    ui.protectButton.click()
    assert "move the folder back" in ui.statusLabel.text
    assert slicer.app.overrideCursors() == []


def test_a_signed_run_goes_on_with_its_key_only(module, ui, slicer_popups, tmp_path):
    from MedUnlearnableLib.engine.certificate.keys import PrivateKey
    from MedUnlearnableLib.files.keys import save_key

    field = module.widget.panel.controls._rows["key"][1].findChild("QLineEdit")
    field.text = str(save_key(tmp_path / "keys", PrivateKey.fresh("me"), "")[0])
    start_and_cancel(module, slicer_popups, tmp_path)
    key, field.text = field.text, ""
    ui.protectButton.click()
    assert "give the key it was started with" in ui.statusLabel.text
    field.text = key
    ui.protectButton.click()
    finish(module)
    assert len(list((tmp_path / "out").glob("*.mulcert.json"))) == CASES
