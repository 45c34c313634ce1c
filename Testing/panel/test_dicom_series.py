"""A result saved as a DICOM series, made of the instances in the database that its input was loaded from."""

import json

import numpy as np
import pytest
from panel_helpers import finish
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SPACING = (0.7, 0.8, 2.5)
#: Files are flushed by threads that the caller waits for, outside the event loop: there they do not starve.
pytestmark = pytest.mark.allow_slicer_problems("thread")


def write_instances(folder, stored, slope=1, name="REMOVED"):
    """One CT series, a folder for each slice, as the database may have it. Returns its SOP instance UIDs."""
    study, series, uids = generate_uid(), generate_uid(), []
    for number, pixels in enumerate(stored):
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = CTImageStorage
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.StudyInstanceUID, data.SeriesInstanceUID = study, series
        data.Modality, data.PatientName, data.ImageType = "CT", name, ["ORIGINAL", "PRIMARY", "AXIAL"]
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.ImagePositionPatient = [-15, -20, number * SPACING[2]]
        data.PixelSpacing, data.SliceThickness = [SPACING[1], SPACING[0]], SPACING[2]
        data.RescaleSlope, data.RescaleIntercept = slope, -1024
        data.Rows, data.Columns = pixels.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
        data.add_new("PixelData", "OW", pixels.astype("<u2").tobytes())
        path = folder / str(number) / "IM0001"
        path.parent.mkdir(parents=True)
        data.save_as(path, enforce_file_format=True)
        uids.append(data.SOPInstanceUID)
    return uids


def load_as_slicer_does(stored, uids, slope=1, turned=False):
    """The volume as Slicer's DICOM module makes it: physical values, the instances in an attribute."""
    import slicer
    import slicer.util

    ijk_to_ras = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
    ijk_to_ras[:3, 3] = 15, 20, 0
    values = stored * slope - 1024
    if turned:
        ijk_to_ras = ijk_to_ras @ [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, len(stored) - 1], [0, 0, 0, 1]]
        values = values[::-1]
    volume = slicer.util.addVolumeFromArray(
        np.ascontiguousarray(values.astype(np.int16 if slope == 1 else np.float64)), ijk_to_ras, "CT"
    )
    volume.SetAttribute("DICOM.instanceUIDs", " ".join(uids))
    mask = np.zeros(stored.shape, np.uint8)
    mask[2:5, 10:30, 10:30] = 1
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment = segmentation.GetSegmentation().AddEmptySegment("organ")
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask[::-1] if turned else mask, segmentation, segment, volume)
    return volume


def protect(module):
    import slicer.util

    module.ui.addAllButton.click()
    module.ui.protectButton.click()
    finish(module)
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return next(node for node in nodes if node.GetAttribute("MedUnlearnable.method"))


@pytest.fixture
def stored():
    return np.random.default_rng(1).integers(900, 1300, (8, 40, 36)).astype(np.uint16)


@pytest.fixture
def database_of(module, tmp_path):
    """A function that imports a series and returns its UIDs."""
    import slicer

    def imported(stored, **options):
        uids = write_instances(tmp_path / "database", stored, **options)
        for number in range(len(uids)):
            slicer.dicomDatabase.insert(str(tmp_path / "database" / str(number) / "IM0001"))
        return uids

    return imported


@pytest.mark.parametrize("turned", [False, True])
def test_the_series_holds_the_protected_voxels_as_stored_values(
    module, ui, stored, database_of, slicer_popups, tmp_path, turned
):
    import slicer.util
    from MedUnlearnableLib.files import formats

    load_as_slicer_does(stored, database_of(stored, name="Doe^Jane"), turned=turned)
    protected = protect(module)
    assert ui.saveDicomButton.visible
    slicer_popups.answer(str(tmp_path / "shared"))
    ui.saveDicomButton.click()
    assert "may be handed out" in ui.statusLabel.text
    assert "de-identify" in ui.statusLabel.text
    values = slicer.util.arrayFromVolume(protected).astype(int) + 1024
    written = formats.read(tmp_path / "shared")
    assert np.array_equal(written.array[0], values[::-1] if turned else values)
    assert 0 < np.count_nonzero(written.array[0] != stored) < stored.size / 2
    record = json.loads((tmp_path / "shared.medunlearnable.json").read_text())
    assert record["window"][0] > 0  # stored values, not HU
    assert list(record["files"]) == ["shared"]
    assert "derived" in record["notice"]


def test_the_series_is_derived_from_its_instances(module, ui, stored, database_of, slicer_popups, tmp_path):
    import pydicom

    uids = database_of(stored)
    load_as_slicer_does(stored, uids)
    protect(module)
    slicer_popups.answer(str(tmp_path / "shared"))
    ui.saveDicomButton.click()
    files = [pydicom.dcmread(path) for path in sorted((tmp_path / "shared").iterdir())]
    assert [file.SourceImageSequence[0].ReferencedSOPInstanceUID for file in files] == uids
    assert {file.ImageType[0] for file in files} == {"DERIVED"}
    assert not {file.SOPInstanceUID for file in files} & set(uids)


def test_it_is_not_offered_for_a_volume_that_is_not_from_the_database(module, ui, stored, database_of):
    load_as_slicer_does(stored, ["1.2.3"])
    protect(module)
    assert not ui.saveDicomButton.visible
    assert ui.saveButton.enabled


def refusal(ui, slicer_popups, folder):
    slicer_popups.answer(str(folder))
    ui.saveDicomButton.click()
    assert not folder.exists() or not list(folder.glob("*.dcm"))
    return ui.statusLabel.text


def test_a_folder_in_use_is_refused(module, ui, stored, database_of, slicer_popups, tmp_path):
    load_as_slicer_does(stored, database_of(stored))
    protect(module)
    assert "is in use" in refusal(ui, slicer_popups, tmp_path / "database")


def test_an_edited_result_is_refused(module, ui, stored, database_of, slicer_popups, tmp_path):
    import slicer.util

    load_as_slicer_does(stored, database_of(stored))
    protected = protect(module)
    slicer.util.arrayFromVolume(protected)[0, 0, 0] += 60
    assert "it was edited" in refusal(ui, slicer_popups, tmp_path / "shared")


def test_a_result_moved_off_the_grid_is_refused(module, ui, stored, database_of, slicer_popups, tmp_path):
    load_as_slicer_does(stored, database_of(stored))
    protected = protect(module)
    protected.SetSpacing(0.7, 0.8, 2.4)
    assert "not on the grid" in refusal(ui, slicer_popups, tmp_path / "shared")


def test_values_between_the_stored_steps_are_refused(module, ui, stored, database_of, slicer_popups, tmp_path):
    load_as_slicer_does(stored, database_of(stored, slope=0.37), slope=0.37)
    protect(module)
    assert "between the steps of 0.37" in refusal(ui, slicer_popups, tmp_path / "shared")


def test_instances_that_have_left_the_database_are_named(module, ui, stored, database_of, slicer_popups, tmp_path):
    load_as_slicer_does(stored, database_of(stored))
    protect(module)
    (tmp_path / "database" / "5" / "IM0001").unlink()
    assert "not in the database any more" in refusal(ui, slicer_popups, tmp_path / "shared")


def test_a_signed_series_is_verified_by_its_files(module, ui, stored, database_of, slicer_popups, tmp_path):
    from MedUnlearnableLib.engine.certificate.keys import PrivateKey
    from MedUnlearnableLib.engine.certificate.verify import Trust
    from MedUnlearnableLib.files.certificates import verify_file
    from MedUnlearnableLib.files.keys import save_key

    key = save_key(tmp_path / "keys", PrivateKey.fresh("me"), "")[0]
    module.widget.panel.controls._rows["key"][1].findChild("QLineEdit").text = str(key)
    load_as_slicer_does(stored, database_of(stored))
    protect(module)
    slicer_popups.answer(str(tmp_path / "shared"))
    ui.saveDicomButton.click()
    verdict = verify_file(tmp_path / "shared", lambda public: Trust.TRUSTED)
    assert verdict.unchanged, verdict.sentence
