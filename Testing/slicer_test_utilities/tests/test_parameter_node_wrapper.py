"""slicer.parameterNodeWrapper as in Slicer 5.12. With SLICER_PYTHON_DIR set, the same tests run on the real files."""

import contextlib
import enum
import os
import pathlib
from typing import Annotated, Union

import pytest
import slicer
import vtk

real_files = bool(os.environ.get("SLICER_PYTHON_DIR"))
stricter_than_slicer = pytest.mark.skipif(real_files, reason="Slicer is silent here; the stand-in is stricter")


class Profile(enum.Enum):
    INSTANT = "instant"
    PAPER = "paper"


@pytest.fixture
def wrapping(slicer_app):
    import slicer.parameterNodeWrapper

    return slicer.parameterNodeWrapper


@pytest.fixture
def node(slicer_app):
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "parameters")


@pytest.fixture
def case_class(wrapping):
    @wrapping.parameterPack
    class Case:
        volume: slicer.vtkMRMLScalarVolumeNode
        label: int = 1

    return Case


@pytest.fixture
def parameters_class(wrapping, case_class):
    @wrapping.parameterNodeWrapper
    class Parameters:
        volume: slicer.vtkMRMLScalarVolumeNode
        epsilon: Annotated[float, wrapping.WithinRange(0, 1)] = 0.5
        count: int = 3
        isEnabled: bool = True
        name: str = "case"
        profile: Profile = Profile.PAPER
        folder: pathlib.Path
        method: Annotated[str, wrapping.Choice(["UMed", "SALM"]), wrapping.Default("SALM")]
        cases: list[case_class]
        numbers: list[int]

    return Parameters


@pytest.fixture
def parameters(parameters_class, node):
    return parameters_class(node)


def add_volume(name="v"):
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)


@contextlib.contextmanager
def counting_modified(node):
    got = []
    tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: got.append(1))
    yield got
    node.RemoveObserver(tag)


def test_defaults_are_written_into_the_node(parameters, node):
    assert node.GetParameter("epsilon") == "0.5"
    assert (parameters.count, parameters.isEnabled, parameters.name) == (3, True, "case")
    assert (parameters.method, parameters.folder, parameters.volume) == ("SALM", pathlib.Path("."), None)


def test_an_enum_is_stored_by_name(parameters, node):
    parameters.profile = Profile.INSTANT
    assert node.GetParameter("profile") == "INSTANT"
    assert parameters.profile is Profile.INSTANT


def test_a_node_is_stored_as_a_reference(parameters, node):
    volume = add_volume()
    parameters.volume = volume
    assert node.GetNodeReference("volume") is volume
    slicer.mrmlScene.RemoveNode(volume)
    assert parameters.volume is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 1.5),
        ("count", "1"),
        ("isEnabled", 1),
        ("name", 3),
        ("name", None),
        ("epsilon", "0.5"),
        ("folder", "."),
    ],
)
def test_a_value_of_another_type_is_refused(parameters, name, value):
    with pytest.raises((TypeError, ValueError)):
        setattr(parameters, name, value)


def test_numpy_scalars_are_refused_except_float64(parameters):
    import numpy as np

    parameters.epsilon = np.float64(0.25)
    for name, value in (("epsilon", np.float32(0.25)), ("count", np.int64(2))):
        with pytest.raises(TypeError):
            setattr(parameters, name, value)


def test_a_text_is_no_enum(parameters):
    with pytest.raises(TypeError):
        parameters.profile = "INSTANT"


def test_true_is_refused_for_an_integer(parameters):
    with pytest.raises((TypeError, ValueError)):
        parameters.count = True


@stricter_than_slicer
def test_a_refused_true_leaves_the_parameter_as_it_was(parameters, node):
    with pytest.raises(TypeError):
        parameters.count = True
    assert node.GetParameter("count") == "3"


@pytest.mark.parametrize(("name", "value"), [("epsilon", 1.5), ("epsilon", -0.1), ("method", "Other")])
def test_a_value_outside_the_range_or_the_choices_is_refused(parameters, name, value):
    with pytest.raises(ValueError):
        setattr(parameters, name, value)


@pytest.mark.parametrize("kind", ["choice", "range"])
def test_a_choice_or_range_without_default_fails_when_the_node_is_made(wrapping, node, kind):
    annotation = wrapping.Choice(["a"]) if kind == "choice" else wrapping.WithinRange(1, 300)
    base = str if kind == "choice" else int

    @wrapping.parameterNodeWrapper
    class Parameters:
        field: Annotated[base, annotation]

    with pytest.raises(ValueError):
        Parameters(node)


def test_types_that_slicer_refuses_are_refused_at_class_creation(wrapping):
    with pytest.raises(Exception, match="field|type"):

        @wrapping.parameterNodeWrapper
        class Parameters:
            field: set


def test_changes_in_place_write_through(parameters, parameters_class, node):
    parameters.numbers.append(4)
    parameters.numbers += [5]
    parameters.numbers[0] = 7
    assert list(parameters_class(node).numbers) == [7, 5]
    del parameters.numbers[0]
    assert list(parameters_class(node).numbers) == [5]


def test_packs_in_a_list_write_through(parameters, parameters_class, case_class, node):
    volume = add_volume()
    parameters.cases.append(case_class(volume, 2))
    parameters.cases[0].label = 9
    again = parameters_class(node).cases[0]
    assert (again.volume, again.label) == (volume, 9)


def test_a_removed_node_leaves_none_in_the_list(parameters, case_class):
    volume = add_volume()
    parameters.cases = [case_class(volume, 1), case_class(add_volume("w"), 2)]
    slicer.mrmlScene.RemoveNode(volume)
    assert len(parameters.cases) == 2
    assert parameters.cases[0].volume is None


def test_one_assignment_is_one_modified_event_and_an_equal_one_is_none(parameters, case_class, node):
    with counting_modified(node) as got:
        parameters.epsilon = 0.75
        parameters.epsilon = 0.75
        assert len(got) == 1
        parameters.cases = [case_class(add_volume(), 1), case_class(add_volume(), 2)]
        assert len(got) == 2


def test_values_are_reached_by_dotted_names(wrapping, node, case_class):
    @wrapping.parameterNodeWrapper
    class Parameters:
        case: case_class

    parameters = Parameters(node)
    parameters.setValue("case.label", 5)
    assert (parameters.getValue("case.label"), parameters.case.label) == (5, 5)


def test_closing_the_scene_resets_every_parameter(parameters_class, wrapping, slicer_app):
    from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

    logic = ScriptedLoadableModuleLogic()
    old = parameters_class(logic.getParameterNode())
    old.count = 9
    slicer.mrmlScene.Clear(0)
    assert parameters_class(logic.getParameterNode()).count == 3


@stricter_than_slicer
def test_an_unknown_name_is_refused(parameters, case_class):
    with pytest.raises(AttributeError, match="has no parameter 'epsilno'"):
        parameters.epsilno = 1
    with pytest.raises(AttributeError, match="has no parameter 'lable'"):
        case_class().lable = 1


def test_parameters_survive_a_bundle(parameters_class, case_class, node, tmp_path):
    parameters_class(node).cases = [case_class(add_volume("kept"), 4)]
    path = str(tmp_path / "scene.mrb")
    slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(1)
    slicer.util.loadScene(path)
    cases = parameters_class(slicer.util.getNode("parameters")).cases
    assert (cases[0].volume.GetName(), cases[0].label) == ("kept", 4)


def widget_for(qt, ctk, kind):
    return {
        "slider": ctk.ctkSliderWidget,
        "double": qt.QDoubleSpinBox,
        "spin": qt.QSpinBox,
        "check": qt.QCheckBox,
        "button": qt.QPushButton,
        "edit": qt.QLineEdit,
        "path": ctk.ctkPathLineEdit,
        "directory": ctk.ctkDirectoryButton,
    }[kind]()


@pytest.mark.parametrize(
    ("kind", "parameter", "property_name", "from_gui", "expected", "from_node", "shown"),
    [
        ("slider", "epsilon", "value", 0.25, 0.25, 0.75, 0.75),
        ("double", "epsilon", "value", 0.25, 0.25, 0.75, 0.75),
        ("spin", "count", "value", 8, 8, 4, 4),
        ("check", "isEnabled", "checked", False, False, True, True),
        ("button", "isEnabled", "checked", False, False, True, True),
        ("edit", "name", "text", "x", "x", "y", "y"),
        ("path", "folder", "currentPath", "/usr", pathlib.Path("/usr"), pathlib.Path("/tmp"), "/tmp"),
        ("directory", "folder", "directory", "/usr", pathlib.Path("/usr"), pathlib.Path("/tmp"), "/tmp"),
    ],
)
def test_widget_and_parameter_follow_each_other(
    qt, ctk, parameters, kind, parameter, property_name, from_gui, expected, from_node, shown
):
    widget = widget_for(qt, ctk, kind)
    if kind == "button":
        widget.checkable = True
    tag = parameters.connectParametersToGui({parameter: widget})
    setattr(widget, property_name, from_gui)
    assert getattr(parameters, parameter) == expected
    setattr(parameters, parameter, from_node)
    assert getattr(widget, property_name) == shown
    parameters.disconnectGui(tag)
    setattr(widget, property_name, from_gui)
    assert getattr(parameters, parameter) == from_node


def test_a_combo_box_is_filled_with_the_choices_or_member_names(qt, parameters):
    choice, profile = qt.QComboBox(), qt.QComboBox()
    profile.addItem("placeholder")
    tag = parameters.connectParametersToGui({"method": choice, "profile": profile})
    assert [choice.itemText(i) for i in range(choice.count)] == ["UMed", "SALM"]
    assert [profile.itemText(i) for i in range(profile.count)] == ["INSTANT", "PAPER"]
    choice.currentIndex, profile.currentIndex = 0, 0
    assert (parameters.method, parameters.profile) == ("UMed", Profile.INSTANT)
    parameters.disconnectGui(tag)


def test_a_node_combo_follows_its_parameter(parameters):
    first, second = add_volume("a"), add_volume("b")
    combo = slicer.qMRMLNodeComboBox()
    combo.setMRMLScene(slicer.mrmlScene)
    tag = parameters.connectParametersToGui({"volume": combo})
    combo.setCurrentNode(second)
    assert parameters.volume is second
    parameters.volume = first
    assert combo.currentNode() is first
    assert combo.nodeTypes == ("vtkMRMLScalarVolumeNode",)
    parameters.disconnectGui(tag)


def test_a_range_sets_the_limits_and_neither_step_nor_decimals(ctk, parameters):
    slider = ctk.ctkSliderWidget()
    tag = parameters.connectParametersToGui({"epsilon": slider})
    assert (slider.minimum, slider.maximum, slider.singleStep, slider.decimals) == (0, 1, 1.0, 2)
    parameters.disconnectGui(tag)


def test_widgets_are_bound_by_their_dynamic_property(qt, parameters):
    panel, edit = qt.QWidget(), qt.QLineEdit()
    edit.setParent(panel)
    edit.setProperty("SlicerParameterName", "name")
    tag = parameters.connectGui(panel)
    edit.text = "liver"
    assert parameters.name == "liver"
    parameters.disconnectGui(tag)


def test_an_unknown_parameter_name_of_a_widget_raises(qt, parameters):
    panel, edit = qt.QWidget(), qt.QLineEdit()
    edit.setParent(panel)
    edit.setProperty("SlicerParameterName", "nme")
    with pytest.raises(ValueError, match="nme"):
        parameters.connectGui(panel)


@pytest.mark.parametrize(
    ("kind", "parameter"),
    [("check", "epsilon"), ("edit", "count"), ("QPlainTextEdit", "name"), ("QRadioButton", "isEnabled")],
)
def test_pairs_that_slicer_does_not_bind_are_refused(qt, ctk, parameters, kind, parameter):
    widget = getattr(qt, kind)() if kind.startswith("Q") else widget_for(qt, ctk, kind)
    with pytest.raises((RuntimeError, TypeError)):
        parameters.connectParametersToGui({parameter: widget})


def test_a_slider_without_limits_is_refused(ctk, wrapping, node):
    @wrapping.parameterNodeWrapper
    class Parameters:
        value: float

    with pytest.raises(RuntimeError, match="unbounded"):
        Parameters(node).connectParametersToGui({"value": ctk.ctkSliderWidget()})


def test_a_union_of_node_classes_offers_both(wrapping, node):
    @wrapping.parameterNodeWrapper
    class Parameters:
        data: Union[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLSegmentationNode, None]  # noqa: UP007

    parameters = Parameters(node)
    combo = slicer.qMRMLNodeComboBox()
    tag = parameters.connectParametersToGui({"data": combo})
    assert set(combo.nodeTypes) == {"vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode"}
    parameters.disconnectGui(tag)
