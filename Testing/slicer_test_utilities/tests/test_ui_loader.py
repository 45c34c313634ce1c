"""loadUI: what Slicer loads, and errors where Slicer stays silent."""

import pytest
import slicer
import slicer.util

PANEL = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0">
 <widget class="qMRMLWidget" name="Panel">
  <layout class="QVBoxLayout" name="verticalLayout">
   <item><widget class="ctkCollapsibleButton" name="inputs">
     <property name="text"><string>Inputs</string></property>
     <property name="collapsed"><bool>{collapsed}</bool></property>
     <layout class="QFormLayout" name="form">
      <item row="0" column="0"><widget class="QLabel" name="label"/></item>
      <item row="0" column="1"><widget class="{selector_class}" name="selector">
        <property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
        <property name="noneEnabled"><bool>true</bool></property>
      </widget></item>
      <item row="1" column="1"><widget class="ctkSliderWidget" name="slider">
        <property name="maximum"><double>8.0</double></property>
        <property name="value"><double>2.5</double></property>
        <property name="SlicerParameterName" stdset="0"><string>epsilon</string></property>
      </widget></item>
     </layout>
   </widget></item>
   <item><widget class="Line" name="line"/></item>
  </layout>
 </widget>
 <connections>
  <connection>
   <sender>Panel</sender><signal>{signal}</signal>
   <receiver>{receiver}</receiver><slot>{slot}</slot>
  </connection>
 </connections>
</ui>
"""
GOOD = {
    "collapsed": "false",
    "selector_class": "qMRMLNodeComboBox",
    "signal": "mrmlSceneChanged(vtkMRMLScene*)",
    "receiver": "selector",
    "slot": "setMRMLScene(vtkMRMLScene*)",
}


@pytest.fixture
def load(slicer_app, tmp_path):
    def load(**changes):
        path = tmp_path / "Panel.ui"
        path.write_text(PANEL.format(**{**GOOD, **changes}))
        return slicer.util.loadUI(str(path))

    return load


def test_widgets_have_their_exact_classes(load, qt, ctk):
    ui = slicer.util.childWidgetVariables(load())
    assert type(ui.selector) is slicer.qMRMLNodeComboBox
    assert type(ui.slider) is ctk.ctkSliderWidget
    assert type(ui.label) is qt.QLabel


def test_properties_are_set(load):
    ui = slicer.util.childWidgetVariables(load())
    assert ui.selector.nodeTypes == ("vtkMRMLScalarVolumeNode",)
    assert (ui.slider.maximum, ui.slider.value) == (8.0, 2.5)
    assert ui.slider.property("SlicerParameterName") == "epsilon"
    assert ui.inputs.text == "Inputs"


def test_the_scene_reaches_the_connected_widgets(load):
    widget = load()
    widget.setMRMLScene(slicer.mrmlScene)
    assert slicer.util.childWidgetVariables(widget).selector.mrmlScene() is slicer.mrmlScene


def test_a_box_that_starts_collapsed_hides_its_children(load):
    widget = load(collapsed="true")
    widget.show()
    ui = slicer.util.childWidgetVariables(widget)
    assert not ui.slider.visible
    ui.inputs.collapsed = False
    assert ui.slider.visible


def test_flags_of_a_stand_in_are_set(load, ctk, tmp_path):
    path = tmp_path / "Path.ui"
    path.write_text(
        '<ui version="4.0"><widget class="ctkPathLineEdit" name="path"><property name="filters">'
        "<set>ctkPathLineEdit::Dirs|ctkPathLineEdit::Writable</set></property></widget></ui>"
    )
    assert slicer.util.loadUI(str(path)).filters == 0x21


def test_an_unknown_widget_class_raises(load):
    with pytest.raises(RuntimeError, match="unknown widget class qMRMLNodeComboBoks"):
        load(selector_class="qMRMLNodeComboBoks")


@pytest.mark.parametrize("receiver", ["selecter", ""])
def test_a_connection_to_a_missing_widget_raises(load, receiver):
    with pytest.raises(RuntimeError, match="missing widget"):
        load(receiver=receiver)


@pytest.mark.parametrize("change", [{"signal": "sceneChanged()"}, {"slot": "setScene(vtkMRMLScene*)"}])
def test_a_connection_with_an_unknown_signal_or_slot_raises(load, change):
    with pytest.raises(RuntimeError, match="does not exist"):
        load(**change)


def test_a_missing_file_raises(slicer_app):
    with pytest.raises(RuntimeError, match="file not found"):
        slicer.util.loadUI("/missing.ui")
