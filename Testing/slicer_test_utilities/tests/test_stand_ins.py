"""slicer.i18n, slicer.packaging, SampleData and the dialogs of slicer.util in testing mode."""

import os

import pytest
import slicer
import slicer.util

real_files = bool(os.environ.get("SLICER_PYTHON_DIR"))


def test_texts_pass_through_translation(slicer_app):
    from slicer.i18n import tr, translate

    assert tr("Apply") == "Apply"
    assert translate("qSlicerAbstractCoreModule", "Informatics") == "Informatics"


@pytest.mark.skipif(real_files, reason="the real file is more lenient")
def test_a_text_that_is_none_is_refused(slicer_app):
    from slicer.i18n import tr

    with pytest.raises(TypeError):
        tr(None)


def test_packaging_checks_installed_packages(slicer_app):
    import slicer.packaging

    assert slicer.packaging.pip_check("numpy>=1")
    assert not slicer.packaging.pip_check(["numpy>=1", "no-such-package-here"])


@pytest.mark.skipif(real_files, reason="the real file installs")
def test_a_test_never_installs_packages(slicer_app):
    import slicer.packaging

    with pytest.raises(RuntimeError, match="tried to install torch"):
        slicer.packaging.pip_install("torch")


def test_requirements_files_are_read(slicer_app, tmp_path):
    import slicer.packaging

    path = tmp_path / "requirements.txt"
    path.write_text("# comment\nscipy>=1.10\n\nnumpy\n")
    assert [r.name for r in slicer.packaging.load_requirements(path)] == ["scipy", "numpy"]


def test_a_click_runs_the_downloader_of_a_sample_and_downloadSample_does_not(slicer_app):
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="Sample",
        sampleName="Generated",
        uris=[],
        fileNames=[],
        nodeNames=[],
        customDownloader=lambda source: slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", source.sampleName),
    )
    assert SampleData.SampleDataLogic().clickSample("Generated").GetName() == "Generated"
    with pytest.raises(IndexError):
        SampleData.downloadSample("Generated")


def test_sample_data_needs_uris_even_beside_a_downloader(slicer_app):
    import SampleData

    with pytest.raises(TypeError, match="needs uris"):
        SampleData.SampleDataLogic.registerCustomSampleDataSource(sampleName="Generated", customDownloader=print)


def test_sample_data_is_not_downloaded(slicer_app):
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(sampleName="Remote", uris="https://example.org/x.nrrd")
    with pytest.raises(RuntimeError, match="no network"):
        SampleData.downloadSample("Remote")


def test_registered_samples_are_forgotten_after_the_test(slicer_app):
    import SampleData

    with pytest.raises(RuntimeError, match="no sample data"):
        SampleData.downloadSample("Generated")


@pytest.mark.parametrize("display", ["infoDisplay", "warningDisplay", "errorDisplay"])
def test_messages_are_logged_and_not_shown(slicer_app, caplog, display):
    caplog.set_level("INFO")
    getattr(slicer.util, display)("volume is empty")
    assert "volume is empty" in caplog.text


def test_a_message_box_returns_ok(slicer_app):
    import qt

    assert slicer.util.messageBox("done") == qt.QMessageBox.Ok


def test_try_with_error_display_raises_again_and_restores_the_cursor(slicer_app):
    with pytest.raises(ValueError), slicer.util.tryWithErrorDisplay("failed", waitCursor=True):
        raise ValueError("x")
    assert slicer_app.overrideCursors() == []


def test_outside_testing_mode_a_confirmation_asks_the_user(slicer_app, slicer_popups):
    import qt

    slicer_app.setTestingEnabled(False)
    slicer_popups.answer(qt.QMessageBox.Yes, qt.QMessageBox.No)
    assert slicer.util.confirmYesNoDisplay("Overwrite?") is True
    assert slicer.util.confirmYesNoDisplay("Overwrite?") is False
    assert "Overwrite?" in slicer_popups.shown[0]


def test_file_dialogs_return_one_text(qt, slicer_popups):
    slicer_popups.answer("/data", "/data/a.nrrd")
    assert qt.QFileDialog.getExistingDirectory(None, "Folder") == "/data"
    assert qt.QFileDialog.getOpenFileName(None, "File") == "/data/a.nrrd"


def test_an_answer_can_be_given_inside_the_dialog(qt, slicer_popups):
    class Dialog(qt.QDialog):
        pass

    dialog = Dialog()
    edit = qt.QLineEdit()
    qt.QVBoxLayout(dialog).addWidget(edit)

    def fill(shown):
        edit.text = "case 7"
        return qt.QDialog.Accepted

    slicer_popups.answer(fill)
    assert dialog.exec_() == qt.QDialog.Accepted
    assert edit.text == "case 7"


@pytest.mark.skipif(real_files, reason="the real file returns None")
def test_command_line_modules_do_not_exist(slicer_app):
    with pytest.raises(RuntimeError, match="do not exist"):
        slicer.cli.run(None, None, {})


def test_paths_of_the_application_are_properties(slicer_app):
    assert os.path.isdir(slicer_app.temporaryPath)
    assert isinstance(slicer_app.slicerHome, str)
    assert (slicer_app.majorVersion, slicer_app.minorVersion) == (5, 12)


def test_the_application_refuses_unknown_attributes(slicer_app):
    with pytest.raises(AttributeError):
        slicer_app.myGlobal = 1


def test_quitting_and_restarting_are_errors_in_a_test(slicer_app):
    with pytest.raises(RuntimeError):
        slicer_app.restart()


def test_the_startup_environment_is_complete(slicer_app):
    assert slicer.util.startupEnvironment()["PATH"] == os.environ["PATH"]


def test_the_dicom_database_gives_an_empty_text_for_what_it_does_not_know(slicer_app):
    import slicer

    assert slicer.dicomDatabase.fileForInstance("1.2.3") == ""
    with pytest.raises(ValueError, match="text"):
        slicer.dicomDatabase.fileForInstance(None)
    with pytest.raises(AttributeError):
        slicer.dicomDatabase.noSuchName = 1


def test_the_dicom_database_knows_the_file_of_an_inserted_instance(slicer_app, tmp_path):
    import slicer

    pydicom = pytest.importorskip("pydicom")
    data = pydicom.Dataset()
    data.SOPClassUID, data.SOPInstanceUID = pydicom.uid.CTImageStorage, "1.2.3"
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    slicer.dicomDatabase.insert(str(tmp_path / "a.dcm"))
    path = slicer.dicomDatabase.fileForInstance("1.2.3")
    assert path == str(tmp_path / "a.dcm")
    assert slicer.dicomDatabase.instanceForFile(path) == "1.2.3"
