"""Slicer's template: input chosen, Apply enabled, slider bound, logic called, scene close survived."""

import pytest
import slicer


@pytest.fixture
def load(scripted_module, proof_folder):
    return lambda: scripted_module(proof_folder / "Slicer/Utilities/Templates/Modules/Scripted/TemplateKey.py")


def test_the_first_volume_becomes_the_input(load, add_volume):
    volume = add_volume()
    assert load().ui.inputSelector.currentNode() is volume


def test_apply_is_enabled_when_both_volumes_are_chosen(load, add_volume):
    add_volume()
    template = load()
    assert not template.ui.applyButton.enabled
    assert "Select input" in template.ui.applyButton.toolTip
    template.ui.outputSelector.addNode()
    assert template.ui.applyButton.enabled


def test_the_slider_reaches_the_parameter_and_back(load):
    template = load()
    template.ui.imageThresholdSliderWidget.value = 33
    assert template.widget._parameterNode.imageThreshold == 33
    template.widget._parameterNode.imageThreshold = 44
    assert template.ui.imageThresholdSliderWidget.value == 44


def test_apply_calls_the_logic(load, add_volume, monkeypatch):
    volume = add_volume()
    template = load()
    output = template.ui.outputSelector.addNode()
    calls = []
    monkeypatch.setattr(template.logic, "process", lambda *arguments, **keywords: calls.append(arguments))
    template.ui.applyButton.click()
    assert calls == [(volume, output, 100.0, False)]


def test_closing_the_scene_resets_the_panel(load, add_volume):
    add_volume()
    template = load()
    template.ui.outputSelector.addNode()
    slicer.mrmlScene.Clear(0)
    assert not template.ui.applyButton.enabled
    assert template.ui.inputSelector.currentNode() is None


@pytest.mark.allow_slicer_problems("leak")  # a real one: cleanup does not disconnect the GUI that setup connected
def test_reload_makes_a_new_panel(load):
    template = load()
    old = template.widget
    template.reload()
    assert slicer.modules.TemplateKeyWidget is not old
