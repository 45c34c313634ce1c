"""Attributes of Qt objects behave as in Slicer's PythonQt."""

import pytest


def test_a_property_is_a_value_and_not_a_method(qt):
    button = qt.QPushButton("Apply")
    assert button.text == "Apply"
    with pytest.raises(TypeError):
        button.text()


def test_writing_a_property_changes_the_widget(qt):
    button = qt.QPushButton("Apply")
    button.enabled = False
    assert not button.isEnabled()


@pytest.mark.parametrize("name", ["enabeld", "_foo", "setText2"])
def test_an_unknown_attribute_cannot_be_written(qt, name):
    with pytest.raises(AttributeError, match="creating new attributes"):
        setattr(qt.QPushButton("Apply"), name, 1)


def test_a_python_subclass_may_have_any_attribute(qt):
    class Panel(qt.QWidget):
        def __init__(self):
            super().__init__()
            self._state = 1
            self.anything = 2

    panel = Panel()
    assert (panel._state, panel.anything) == (1, 2)


def test_items_have_neither_properties_nor_new_attributes(qt):
    item = qt.QTableWidgetItem("case 1")
    assert item.text() == "case 1"
    with pytest.raises(AttributeError):
        item.text = "case 2"
    with pytest.raises(AttributeError):
        item.caseId = 7


@pytest.mark.parametrize("make", [lambda qt: qt.QLabel(text="x"), lambda qt: qt.QPushButton("a", enabled=False)])
def test_keyword_arguments_are_refused_by_constructors(qt, make):
    with pytest.raises(ValueError, match="keyword"):
        make(qt)


def test_keyword_arguments_are_refused_by_methods(qt):
    with pytest.raises(ValueError, match="keyword"):
        qt.QLabel().setText(arg__1="x")


@pytest.mark.parametrize(("name", "value"), [("text", 5), ("text", None), ("enabled", "abc")])
def test_a_property_of_the_wrong_type_is_refused(qt, name, value):
    with pytest.raises(AttributeError, match="does not accept"):
        setattr(qt.QPushButton("Apply"), name, value)


def test_a_method_with_the_wrong_type_raises_value_error(qt):
    with pytest.raises(ValueError):
        qt.QPushButton("Apply").setText(5)


def test_a_read_only_property_cannot_be_written(qt):
    with pytest.raises(AttributeError, match="not writable"):
        qt.QLabel("x").hasSelectedText = True


def test_size_hint_of_a_widget_made_in_python_is_a_value(qt):
    assert qt.QLabel("some text").sizeHint.width() > 0


def test_text_of_a_progress_bar_is_a_value(qt):
    bar = qt.QProgressBar()
    bar.value = 5
    assert bar.text == "5%"


def test_a_progress_dialog_can_be_filled(qt):
    dialog = qt.QProgressDialog()
    dialog.labelText = "Fitting"
    dialog.value = 3
    assert (dialog.labelText, dialog.value) == ("Fitting", 3)


def test_a_cell_widget_can_be_set_and_read(qt):
    table, label = qt.QTableWidget(1, 1), qt.QLabel("x")
    table.setCellWidget(0, 0, label)
    assert table.cellWidget(0, 0) is label


def test_a_python_override_of_size_hint_is_called(qt):
    class Tall(qt.QLabel):
        def sizeHint(self):
            return qt.QSize(10, 321)

    box, tall = qt.QWidget(), Tall()
    layout = qt.QVBoxLayout(box)
    layout.addWidget(tall)
    assert box.sizeHint.height() >= 321


def test_dynamic_properties_are_attributes(qt):
    label = qt.QLabel()
    label.setProperty("SlicerParameterName", "epsilon")
    assert label.SlicerParameterName == "epsilon"
    label.SlicerParameterName = "noise"
    assert label.property("SlicerParameterName") == "noise"


def test_a_direct_child_is_an_attribute_and_a_grandchild_is_not(qt):
    box, row, label = qt.QWidget(), qt.QWidget(), qt.QLabel()
    row.name, label.name = "row", "label"
    row.setParent(box)
    label.setParent(row)
    assert box.row is row
    with pytest.raises(AttributeError):
        _ = box.label
    with pytest.raises(AttributeError):
        box.row = label


def test_name_is_the_object_name(qt):
    label = qt.QLabel()
    label.name = "status"
    assert (label.objectName, label.name) == ("status", "status")


def test_a_destroyed_object_raises_value_error(qt):
    label = qt.QLabel("x")
    label.delete()
    with pytest.raises(ValueError, match="destroyed"):
        _ = label.text


def test_visible_is_false_before_show(qt):
    assert qt.QLabel("x").visible is False


@pytest.mark.parametrize("name", ["QTextCodec", "QRegExp"])
def test_classes_that_qt_6_lacks_are_missing(qt, name):
    assert not hasattr(qt, name)


def test_exact_types_stay_also_for_objects_that_qt_made(qt):
    area = qt.QScrollArea()
    assert type(area.verticalScrollBar()) is qt.QScrollBar
    assert area.verticalScrollBar().maximum == 0
