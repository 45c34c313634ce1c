"""CTK widgets behave as in Slicer 5.12."""

import os

import pytest


@pytest.fixture
def box(qt, ctk):
    """A shown collapsible button with a label in it."""
    window = qt.QWidget()
    layout = qt.QVBoxLayout(window)
    box = ctk.ctkCollapsibleButton()
    box.text = "Inputs"
    layout.addWidget(box)
    label = qt.QLabel("x")
    label.name = "label"
    qt.QVBoxLayout(box).addWidget(label)
    window.show()
    yield box
    window.close()


def test_a_slider_ends_at_99_99(ctk):
    slider = ctk.ctkSliderWidget()
    assert (slider.minimum, slider.maximum) == (0.0, 99.99)


def test_a_slider_keeps_the_exact_value_and_shows_it_rounded(qt, ctk):
    slider = ctk.ctkSliderWidget()
    slider.value = 3.14159
    assert slider.value == 3.14159
    assert slider.findChild("QDoubleSpinBox").value == 3.14


def test_a_slider_has_no_set_range(ctk):
    assert not hasattr(ctk.ctkSliderWidget(), "setRange")


def test_a_slider_has_page_step_suffix_and_tracking(ctk):
    slider = ctk.ctkSliderWidget()
    slider.suffix = " HU"
    assert (slider.pageStep, slider.suffix, slider.tracking) == (10.0, " HU", True)


def test_a_slider_stays_in_its_range_and_tells_the_value_once(ctk):
    slider, got = ctk.ctkSliderWidget(), []
    slider.maximum = 8
    slider.connect("valueChanged(double)", got.append)
    slider.value = 20
    slider.value = 20
    assert got == [8.0]


def test_a_smaller_maximum_moves_the_value(ctk):
    slider = ctk.ctkSliderWidget()
    slider.value = 50
    slider.maximum = 10
    assert slider.value == 10


def test_moving_the_handle_changes_the_value(ctk):
    slider = ctk.ctkSliderWidget()
    slider.maximum = 10
    slider.findChild("QSlider").sliderMoved(500)
    assert slider.value == 5.0


def test_a_collapsible_button_is_an_abstract_button(qt, ctk):
    box = ctk.ctkCollapsibleButton()
    assert box.inherits("QAbstractButton")
    assert not box.inherits("QPushButton")


def test_checked_means_not_collapsed(box):
    assert (box.checkable, box.checked, box.collapsed) == (True, True, False)
    box.collapsed = True
    assert box.checked is False


def test_a_click_toggles_a_collapsible_button(box):
    got = []
    box.connect("contentsCollapsed(bool)", got.append)
    box.click()
    box.click()
    assert got == [True, False]


def test_children_are_hidden_when_collapsed_and_shown_again(box):
    assert box.label.visible
    box.collapsed = True
    assert not box.label.visible
    box.collapsed = False
    assert box.label.visible


def test_a_child_that_was_hidden_stays_hidden(box):
    box.label.hide()
    box.collapsed = True
    box.collapsed = False
    assert not box.label.visible


def test_a_collapsible_button_takes_no_text(ctk):
    with pytest.raises(ValueError):
        ctk.ctkCollapsibleButton("Inputs")


def test_a_directory_button_starts_at_a_dot_and_reads_back_absolute(ctk, tmp_path):
    button, got = ctk.ctkDirectoryButton(), []
    assert button.directory == "."
    button.connect("directoryChanged(QString)", got.append)
    button.directory = str(tmp_path)
    assert button.directory == str(tmp_path)
    assert got == [os.path.abspath(tmp_path)]


def test_a_double_spin_box_ends_at_99_99(ctk):
    assert ctk.ctkDoubleSpinBox().maximum == 99.99


def test_range_values_are_sorted(ctk):
    widget = ctk.ctkRangeWidget()
    widget.setValues(5, 2)
    assert (widget.minimumValue, widget.maximumValue) == (2, 5)


def test_a_path_tells_whether_it_is_valid(ctk, tmp_path):
    edit, got = ctk.ctkPathLineEdit(), []
    edit.filters = ctk.ctkPathLineEdit.Dirs
    edit.connect("validInputChanged(bool)", got.append)
    edit.currentPath = str(tmp_path)
    edit.currentPath = str(tmp_path / "missing")
    assert got == [True, False]


def test_name_filters_of_a_path_are_a_tuple(ctk):
    edit = ctk.ctkPathLineEdit()
    edit.nameFilters = ["*.json"]
    assert edit.nameFilters == ("*.json",)


def test_browsing_takes_the_folder_that_the_user_chooses(ctk, slicer_popups, tmp_path):
    edit = ctk.ctkPathLineEdit()
    edit.filters = ctk.ctkPathLineEdit.Dirs
    slicer_popups.answer(str(tmp_path))
    edit.browse()
    assert edit.currentPath == str(tmp_path)


@pytest.mark.parametrize(
    ("class_name", "property_name"),
    [
        ("ctkComboBox", "defaultText"),
        ("ctkCheckablePushButton", "checkBoxControlsButton"),
        ("ctkColorPickerButton", "color"),
        ("ctkCoordinatesWidget", "coordinates"),
        ("ctkMessageBox", "dontShowAgainSettingsKey"),
        ("ctkSearchBox", "showSearchIcon"),
    ],
)
def test_properties_that_panels_use_exist(ctk, class_name, property_name):
    assert hasattr(getattr(ctk, class_name)(), property_name)


@pytest.mark.parametrize("class_name", ["ctkSliderWidget", "ctkPathLineEdit", "ctkCollapsibleButton"])
def test_stand_ins_refuse_unknown_attributes_like_c_plus_plus_objects(ctk, class_name):
    widget = getattr(ctk, class_name)()
    for name in ("_foo", "valeu"):
        with pytest.raises(AttributeError):
            setattr(widget, name, 1)


def test_a_python_subclass_of_a_stand_in_may_have_attributes(ctk):
    class Epsilon(ctk.ctkSliderWidget):
        pass

    slider = Epsilon()
    slider.unit = "HU"
    assert slider.unit == "HU"
