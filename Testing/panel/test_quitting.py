"""Closing the main window while a run is going on."""

import pytest
from panel_helpers import AUDIT_MODULE, MODULE, add_case, add_folder, finish, wait_for


@pytest.fixture
def window(slicer_app):
    """A main window that is there before the module, as in Slicer; people answer its questions."""
    slicer_app.setTestingEnabled(False)
    window = slicer_app.showMainWindow()
    window.show()
    return window


@pytest.fixture
def running(window, scripted_module):
    """The module with a run that takes a while, and its worker process."""
    module = scripted_module(MODULE)
    add_case(shape=(60, 220, 220))
    module.ui.addAllButton.click()
    module.ui.protectButton.click()
    return module, module.widget.panel.keeper.run._jobs[0]._running._worker._process


def test_no_keeps_slicer_open_and_the_run_going(running, window, slicer_popups):
    import qt

    module, worker = running
    slicer_popups.answer(qt.QMessageBox.No)
    assert not window.close()
    assert "still protecting" in slicer_popups.shown[0]
    assert window.visible
    assert worker.poll() is None
    finish(module)
    assert module.ui.resultsTable.rowCount == 1


def test_yes_lets_slicer_quit_and_the_worker_ends_with_it(running, window, slicer_app, slicer_popups):
    import qt

    module, worker = running
    slicer_popups.answer(qt.QMessageBox.Yes)
    assert window.close()
    slicer_app.aboutToQuit.emit()
    assert worker.poll() is not None
    assert module.widget.panel.keeper.run is None


def test_slicer_may_stay_open_after_yes_and_the_run_goes_on(running, window, slicer_popups):
    """Slicer's own question about the unsaved scene comes after ours, and can be answered by Cancel."""
    import qt

    module, worker = running
    slicer_popups.answer(qt.QMessageBox.Yes)
    window.close()
    assert worker.poll() is None
    finish(module)
    assert module.ui.resultsTable.rowCount == 1


def test_an_audit_is_asked_about_and_ends_with_slicer(window, scripted_module, slicer_app, slicer_popups):
    import qt

    module = scripted_module(AUDIT_MODULE)
    assert window.close()
    assert slicer_popups.shown == []
    window.show()
    original, _ = add_case("CT", shape=(60, 220, 220))
    copy, _ = add_case("copy", shape=(60, 220, 220))
    module.ui.cleanSelector.setCurrentNode(original)
    module.ui.protectedSelector.setCurrentNode(copy)
    module.ui.auditButton.click()
    audits = module.widget.panel.keeper
    worker = audits.audit._running._worker._process
    slicer_popups.answer(qt.QMessageBox.No)
    assert not window.close()
    assert "Audit is still running" in slicer_popups.shown[0]
    assert worker.poll() is None
    slicer_popups.answer(qt.QMessageBox.Yes)
    assert window.close()
    slicer_app.aboutToQuit.emit()
    assert worker.poll() is not None
    assert audits.audit is None


def test_nothing_is_asked_without_a_run(window, scripted_module, slicer_popups):
    scripted_module(MODULE)
    assert window.close()
    assert slicer_popups.shown == []


def test_nothing_is_asked_when_slicer_is_tested(running, window, slicer_app, slicer_popups):
    slicer_app.setTestingEnabled(True)
    assert window.close()
    assert slicer_popups.shown == []


def test_other_events_of_the_window_are_not_held_back(running, window):
    window.resize(500, 300)
    assert window.width == 500


def test_finished_cases_of_a_folder_are_kept(window, scripted_module, slicer_app, slicer_popups, tmp_path):
    module = scripted_module(MODULE)
    add_folder(tmp_path, 12)
    slicer_popups.answer(*(str(tmp_path / name) for name in ("images", "labels", "out")))
    module.ui.addFolderButton.click()
    module.ui.protectButton.click()
    wait_for((tmp_path / "out" / "c01.medunlearnable.json").exists)
    slicer_app.aboutToQuit.emit()
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"c00.nrrd", "c00.medunlearnable.json"} <= names
    assert "c11.nrrd" not in names
    assert not [name for name in names if name.startswith(".")]  # nothing half written
    assert (tmp_path / "out-private").is_dir()  # the key of the finished cases
