"""Each method shows what it needs, and nothing else; what is entered stays in the parameter node."""

import pytest
from panel_helpers import MODULE, add_case, cell

LOGO_OPTIONS = {"logo", "logos", "mode", "lesions", "placement", "models", "trustModels"}
NAMES = {"umed": "UMed", "salm": "SALM", "medlocker": "MedLocker"}


@pytest.fixture
def module(slicer_app, scripted_module, monkeypatch):
    """The panel in a version that has all three methods and knows all options."""
    import sys

    from MedUnlearnableLib.scene import logic

    own = {"region", "classNames", "key", "recipient", *LOGO_OPTIONS}
    monkeypatch.setattr(logic, "OPTIONS", logic.OPTIONS | own)
    for name in [name for name in sys.modules if name.startswith("MedUnlearnableLib.panel")]:
        del sys.modules[name]  # they have looked at the methods already
    yield scripted_module(MODULE)
    for name in [name for name in sys.modules if name.startswith("MedUnlearnableLib.panel")]:
        del sys.modules[name]


def choose(module, method):
    module.ui.methodComboBox.currentText = method


def fields(module):
    """The visible fields of the method, by option."""
    rows = module.widget.panel.controls._rows
    return {option: field for option, (label, field) in rows.items() if field.visible and label.visible}


def test_every_method_has_its_own_controls(module, ui):
    ui.advancedSection.collapsed = False
    certificate = {"key", "recipient"}
    assert set(fields(module)) == certificate
    choose(module, "SALM")
    assert set(fields(module)) == {"region", "classNames"} | certificate
    choose(module, "MedLocker")
    assert set(fields(module)) == LOGO_OPTIONS | certificate


def test_a_control_stays_away_while_the_logic_does_not_know_its_option(slicer_app, scripted_module):
    from MedUnlearnableLib.scene.logic import OPTIONS

    module = scripted_module(MODULE)
    module.ui.advancedSection.collapsed = False
    assert set(fields(module)) <= OPTIONS


def test_the_profiles_are_those_of_the_method(module, ui):
    from MedUnlearnableLib.jobs.methods import METHODS

    for key, name in NAMES.items():
        choose(module, name)
        shown = [ui.profileComboBox.itemText(i) for i in range(ui.profileComboBox.count)]
        assert shown == ["auto", *METHODS[key].profiles]


def test_segments_have_another_role_for_each_method(module, ui):
    add_case()
    ui.addAllButton.click()
    choose(module, "MedLocker")
    assert ui.segmentSelectorLabel.text == "Lesions:"
    assert "keep free" in ui.segmentSelector.toolTip
    choose(module, "UMed")
    assert ui.segmentSelectorLabel.text == "Segments:"


def test_only_methods_for_classes_ask_for_a_label(module, ui):
    import slicer

    volume, segmentation = add_case("scan")
    slicer.mrmlScene.RemoveNode(segmentation)
    ui.addAllButton.click()
    assert not ui.labelEdit.visible
    assert "choose the segmentation" in ui.statusLabel.text
    choose(module, "SALM")
    assert ui.labelEdit.visible
    assert "give the label of 'scan'" in ui.protectButton.toolTip
    ui.labelEdit.textEdited.emit("benign ")
    assert cell(ui.casesTable, 0, 2) == "benign"
    assert ui.protectButton.enabled
    assert volume.GetAttribute("MedUnlearnable.label") is None  # inputs are not written to


def test_the_class_that_a_volume_brings_is_taken_over(module, ui):
    volume, _ = add_case("scan")
    volume.SetAttribute("MedUnlearnable.label", "malignant")
    ui.addAllButton.click()
    choose(module, "SALM")
    assert cell(ui.casesTable, 0, 2) == "malignant"
    assert ui.labelEdit.text == "malignant"


def test_what_is_entered_becomes_options_of_the_logic(module, ui, slicer_popups):
    choose(module, "SALM")
    shown = fields(module)
    shown["region"].currentText = "outside"
    shown["classNames"].text = "benign, malignant"
    assert module.widget.panel.controls.options() == {"region": "outside", "classNames": ["benign", "malignant"]}
    choose(module, "MedLocker")
    shown = fields(module)
    shown["logos"].currentText = "3"
    slicer_popups.answer("/tmp/logo.png")
    shown["logo"].findChild("QToolButton").click()
    options = module.widget.panel.controls.options()
    assert options["logos"] == 3
    assert options["logo"] == "/tmp/logo.png"
    assert "region" not in options


def test_the_settings_of_every_method_survive_saving_and_loading(module, ui, tmp_path):
    import slicer
    import slicer.util

    choose(module, "MedLocker")
    fields(module)["mode"].currentText = "sealed"
    add_case("a")
    ui.addAllButton.click()
    assert slicer.util.saveScene(str(tmp_path / "s.mrb"))
    slicer.mrmlScene.Clear(False)
    assert ui.methodComboBox.currentText == "UMed"
    slicer.util.loadScene(str(tmp_path / "s.mrb"))
    assert ui.methodComboBox.currentText == "MedLocker"
    assert fields(module)["mode"].currentText == "sealed"


def test_the_panel_fits_the_default_width_with_every_method(module, ui):
    add_case("a volume with a rather long name, as scanners give them")
    ui.addAllButton.click()
    ui.advancedSection.collapsed = False
    for name in NAMES.values():
        choose(module, name)
        assert module.container.minimumSizeHint.width() <= 342


@pytest.fixture
def locked_key(tmp_path):
    from MedUnlearnableLib.engine.certificate.keys import PrivateKey
    from MedUnlearnableLib.files.keys import save_key

    return save_key(tmp_path, PrivateKey.fresh("me"), "open sesame")[0]


def test_the_passphrase_of_a_key_is_asked_for_and_remembered_nowhere(module, ui, slicer_popups, locked_key):
    ui.advancedSection.collapsed = False
    fields(module)["key"].findChild("QLineEdit").text = str(locked_key)
    slicer_popups.answer("open sesame")
    assert module.widget.panel._options()["passphrase"] == "open sesame"
    node = module.logic.getParameterNode()
    assert not any("sesame" in node.GetParameter(name) for name in node.GetParameterNames())


def test_a_run_that_is_to_be_signed_does_not_start_without_its_passphrase(module, ui, slicer_popups, locked_key):
    add_case()
    ui.addAllButton.click()
    ui.advancedSection.collapsed = False
    fields(module)["key"].findChild("QLineEdit").text = str(locked_key)
    slicer_popups.answer("")
    ui.protectButton.click()
    assert "no passphrase was given" in ui.statusLabel.text
    assert module.widget.panel.keeper.run is None
    fields(module)["key"].findChild("QLineEdit").text = str(locked_key.with_name("mulkey.pub"))
    ui.protectButton.click()
    assert "not a JSON object" in ui.statusLabel.text or "not a key file" in ui.statusLabel.text
