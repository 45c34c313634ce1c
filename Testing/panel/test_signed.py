"""Results that are signed: the certificate stands below the volume, and beside what is saved."""

import pytest
from panel_helpers import add_case, cell, finish


@pytest.fixture
def key(tmp_path, monkeypatch):
    """A locked key of the user, and no pinned issuer but those of this test."""
    from MedUnlearnableLib.engine.certificate.keys import PrivateKey
    from MedUnlearnableLib.files.keys import save_key

    monkeypatch.setenv("MEDUNLEARNABLE_CONFIG", str(tmp_path / "config"))
    return save_key(tmp_path / "keys", PrivateKey.fresh("me"), "open sesame")[0]


@pytest.fixture
def signed(module, ui, slicer_popups, key):
    """The result of a run that was signed."""
    import slicer.util

    add_case()
    ui.addAllButton.click()
    module.widget.panel.controls._rows["key"][1].findChild("QLineEdit").text = str(key)
    slicer_popups.answer("open sesame")
    ui.protectButton.click()
    finish(module)
    assert cell(ui.casesTable, 0, 3) == "done", ui.statusLabel.text
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return next(node for node in nodes if node.GetAttribute("MedUnlearnable.method"))


def test_a_signed_result_is_verified_restored_and_removed_in_the_scene(module, ui, signed, key):
    import numpy as np
    import slicer
    import slicer.util
    from MedUnlearnableLib.engine.certificate.verify import Kind
    from MedUnlearnableLib.engine.errors import Refused

    assert module.logic.verify(signed).kind is Kind.UNKNOWN_ISSUER
    source = slicer.mrmlScene.GetNodeByID(signed.GetAttribute("MedUnlearnable.source"))
    restored = module.logic.restore(signed, key, "open sesame")
    assert np.array_equal(slicer.util.arrayFromVolume(restored), slicer.util.arrayFromVolume(source))
    assert restored.GetAttribute("MedUnlearnable.method") is None
    with pytest.raises(Refused, match="no certificate"):
        module.logic.verify(restored)
    slicer.util.arrayFromVolume(signed)[3, 5, 5] += 1
    changed = module.logic.verify(signed)
    assert changed.kind is Kind.CHANGED
    assert changed.slices == (3,)
    ui.removeResultsButton.click()
    assert slicer.util.getNodesByClass("vtkMRMLTextNode") == []


def test_the_certificate_is_saved_beside_the_volume_and_the_original_comes_back(
    module, ui, signed, key, slicer_popups, tmp_path
):
    import numpy as np
    import slicer
    import slicer.util
    from MedUnlearnableLib.engine.certificate.verify import Trust
    from MedUnlearnableLib.files import formats
    from MedUnlearnableLib.files.certificates import restore_file, verify_file
    from MedUnlearnableLib.files.keys import load_key

    slicer_popups.answer(str(tmp_path / "shared.nrrd"))
    ui.saveButton.click()
    assert "its record and certificate" in ui.statusLabel.text
    assert verify_file(tmp_path / "shared.nrrd", lambda public: Trust.TRUSTED).unchanged
    opener = load_key(key).unlock("open sesame")
    restore_file(tmp_path / "shared.nrrd", tmp_path / "back.nrrd", opener, lambda public: Trust.TRUSTED)
    source = slicer.mrmlScene.GetNodeByID(signed.GetAttribute("MedUnlearnable.source"))
    assert np.array_equal(formats.read(tmp_path / "back.nrrd").array[0], slicer.util.arrayFromVolume(source))


def test_a_wrong_passphrase_is_one_sentence_and_starts_nothing(module, ui, slicer_popups, key):
    add_case()
    ui.addAllButton.click()
    module.widget.panel.controls._rows["key"][1].findChild("QLineEdit").text = str(key)
    slicer_popups.answer("sesame street")
    ui.protectButton.click()
    assert "the passphrase is wrong" in ui.statusLabel.text
    assert module.widget.panel.keeper.run is None
