"""Values that come out of Qt: tuples, integers, and the objects that were put in."""

import pytest


def test_children_are_tuples(qt):
    box, label = qt.QWidget(), qt.QLabel()
    label.setParent(box)
    assert box.children() == (label,)
    assert box.findChildren("QLabel") == (label,)


def test_find_children_by_the_name_of_a_base_class(qt):
    box, spin_box = qt.QWidget(), qt.QSpinBox()
    spin_box.setParent(box)
    spin_box.name = "count"
    assert box.findChild("QAbstractSpinBox", "count") is spin_box
    assert box.findChild(qt.QSpinBox, "count") is spin_box


def test_find_children_without_a_class_is_refused(qt):
    with pytest.raises(ValueError):
        qt.QWidget().findChildren()


def test_lists_of_items_are_tuples(qt):
    table = qt.QTableWidget(1, 1)
    item = qt.QTableWidgetItem("x")
    table.setItem(0, 0, item)
    table.selectAll()
    assert table.selectedItems() == (item,)


def test_directory_entries_are_a_tuple(qt, tmp_path):
    (tmp_path / "case.nrrd").write_text("")
    assert qt.QDir(str(tmp_path)).entryList(["*.nrrd"]) == ("case.nrrd",)


def test_top_level_widgets_are_a_tuple(qt, slicer_app):
    widget = qt.QWidget()
    assert isinstance(slicer_app.topLevelWidgets(), tuple)
    assert isinstance(qt.QApplication.topLevelWidgets(), tuple)
    assert widget in slicer_app.topLevelWidgets()


def test_a_list_kept_in_a_combo_box_comes_back_as_a_tuple(qt):
    combo_box = qt.QComboBox()
    combo_box.addItem("a", ["x", "y"])
    assert combo_box.itemData(0) == ("x", "y")


def test_an_object_kept_in_a_combo_box_is_the_same_object(qt, slicer_app):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    combo_box = qt.QComboBox()
    combo_box.addItem("a", node)
    assert combo_box.itemData(0) is node


def test_enums_are_keys_equal_to_integers(qt):
    assert {qt.Qt.Checked: "on"}.get(2) == "on"
    assert qt.Qt.Checked == 2
    assert qt.Qt.Checked == 2


def test_both_spellings_of_an_enum_mean_the_same(qt):
    assert qt.Qt.AlignCenter == qt.Qt.AlignmentFlag.AlignCenter


def test_flags_convert_to_an_integer(qt):
    assert int(qt.Qt.AlignLeft | qt.Qt.AlignTop) == 0x21


def test_an_integer_is_accepted_where_qt_wants_an_enum(qt):
    label = qt.QLabel("x")
    label.setAlignment(0x84)
    label.focusPolicy = 0
    check_box = qt.QCheckBox()
    check_box.setCheckState(2)
    assert check_box.checkState() == 2
    assert label.focusPolicy == qt.Qt.NoFocus


def test_an_unchecked_state_is_false(qt):
    assert not qt.QCheckBox().checkState()


def test_inherits_tells_the_base_class(qt):
    """In Slicer isinstance(label, qt.QWidget) is False; `inherits` holds in both, and the linter asks for it."""
    assert qt.QLabel("x").inherits("QWidget")


def test_numpy_integers_go_into_a_spin_box(qt):
    import numpy as np

    spin_box = qt.QSpinBox()
    spin_box.setValue(np.int64(7))
    assert spin_box.value == 7


def test_a_color_takes_its_name_format_as_an_integer(qt):
    assert qt.QColor(1, 2, 3).name(1) == "#ff010203"
