"""A scripted module lives as in Slicer: load, startup, setup, enter, exit, cleanup, quit."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import slicer

from slicer_test_utilities.install_tree import InstallError, install_extension, installed_files

MODULES = Path(__file__).parent / "modules"
SAMPLE = MODULES / "Sample" / "Sample.py"


@pytest.fixture
def sample(scripted_module):
    return scripted_module(SAMPLE)


def add_volume():
    return slicer.util.addVolumeFromArray(np.zeros((2, 3, 4), np.int16), name="CT")


def test_metadata_and_startup(sample):
    assert sample.parent.title == "Sample"
    assert slicer.modules.sample.path == str(SAMPLE)
    assert slicer.modules.SampleInstance.startupCount == 1
    assert slicer.modules.SampleWidget is sample.widget
    assert "Sample" in slicer.app.moduleManager().modulesNames()


def test_metadata_of_the_wrong_type_is_refused(sample):
    with pytest.raises(AttributeError):
        sample.parent.categories = "Examples"
    with pytest.raises(AttributeError):
        sample.parent.titel = "x"


def test_setup_comes_before_enter(sample):
    assert sample.widget.calls == ["setup", "enter"]
    assert sample.container.isEntered


def test_the_end_is_exit_cleanup_then_about_to_quit(sample):
    calls = sample.widget.calls
    slicer.app.connect("aboutToQuit()", lambda: calls.append("aboutToQuit"))
    sample.close()
    assert calls[2:] == ["exit", "cleanup", "aboutToQuit"]


def test_reload_is_cleanup_constructor_setup(sample):
    old = sample.widget
    sample.reload()
    assert old.calls == ["setup", "enter", "cleanup"]
    assert sample.widget is not old
    assert sample.widget.calls == ["setup"]
    assert slicer.modules.SampleWidget is sample.widget


def test_the_panel_works_on_the_real_scene(scripted_module):
    volume = add_volume()
    sample = scripted_module(SAMPLE)
    assert sample.ui.inputSelector.currentNode() is volume or sample.widget.parameterNode.inputVolume is None
    sample.ui.inputSelector.setCurrentNode(volume)
    sample.ui.applyButton.click()
    assert slicer.util.arrayFromVolume(volume).max() == 1


def test_the_slider_reaches_the_parameter(sample):
    sample.ui.epsilonSlider.value = 5
    assert sample.widget.parameterNode.epsilon == 5.0


def test_an_error_in_a_slot_fails_the_test(sample, slicer_problems):
    with slicer_problems.expected("exception in a slot", "no input volume"):
        sample.ui.applyButton.click()
    assert slicer.app.overrideCursors() == []


def test_closing_the_scene_is_observed(sample):
    slicer.mrmlScene.Clear(0)
    assert sample.widget.calls[-1] == "closed"


def test_util_finds_module_widget_and_logic(sample):
    assert slicer.util.getModuleWidget("Sample") is sample.widget
    assert slicer.util.getModuleLogic("Sample") is sample.logic
    assert slicer.util.modulePath("Sample") == str(SAMPLE)


def test_the_self_test_runs(sample):
    slicer.selfTests["Sample"]()


def test_the_module_leaves_sys_modules(scripted_module):
    assert "Sample" not in sys.modules


def test_a_parameter_name_that_binds_nothing_fails_the_test(scripted_module, slicer_problems, tmp_path):
    copy = copy_sample(tmp_path, ("self.guiTag = self.parameterNode.connectGui(self.ui)", "self.guiTag = None"))
    with slicer_problems.expected("panel", "no parameter node is connected"):
        scripted_module(copy)


def test_a_mrml_widget_without_scene_fails_the_test(scripted_module, slicer_problems, tmp_path):
    copy = copy_sample(tmp_path, ("uiWidget.setMRMLScene(slicer.mrmlScene)", "pass"))
    with slicer_problems.expected("panel", "has no scene"):
        scripted_module(copy)


def copy_sample(folder, change):
    import shutil

    shutil.copytree(SAMPLE.parent, folder / "Sample")
    copy = folder / "Sample" / "Sample.py"
    text = copy.read_text()
    assert change[0] in text
    copy.write_text(text.replace(*change))
    return copy


def test_the_installed_tree_is_flat_and_complete(installed_tree):
    modules = installed_tree(MODULES)
    assert installed_files(modules) == {"Sample.py", "SampleLib/__init__.py", "Resources/UI/Sample.ui"}
    assert modules.as_posix().endswith("lib/Slicer-5.12/qt-scripted-modules")


def test_a_module_runs_from_the_installed_tree(installed_tree, scripted_module):
    module = scripted_module(installed_tree(MODULES) / "Sample.py")
    assert module.widget.calls == ["setup", "enter"]


def test_a_listed_file_that_does_not_exist_fails_the_install(tmp_path):
    import shutil

    shutil.copytree(MODULES, tmp_path / "source")
    os.remove(tmp_path / "source" / "Sample" / "SampleLib" / "__init__.py")
    with pytest.raises(InstallError, match="SampleLib/__init__"):
        install_extension(tmp_path / "source", tmp_path / "out")
