"""PyTorch that is missing: said with the exact step, and offered through the extension PyTorch."""

import importlib.util
import logging
import os
import sys

import pytest
from panel_helpers import add_case, finish

#: Stands in for the extension: notes how it was asked, and that it was.
EXTENSION = """\
class PyTorchUtilsLogic:
    def installTorch(self, askConfirmation=False, forceComputationBackend=None, torchVersionRequirement=None,
                     torchvisionVersionRequirement=None):
        import pathlib
        assert askConfirmation and torchVersionRequirement == ">=2.1"
        pathlib.Path(__file__).with_name("installed").touch()
        return object()
"""


@pytest.fixture
def without_torch(monkeypatch, tmp_path):
    """As in a bare Slicer, until the stand-in of the extension has installed it."""
    found = importlib.util.find_spec

    def find_spec(name, package=None):
        if name != "torch":
            return found(name, package)
        return found("json") if (tmp_path / "installed").exists() else None

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


@pytest.fixture
def with_extension(monkeypatch, tmp_path):
    (tmp_path / "PyTorchUtils.py").write_text(EXTENSION)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield
    sys.modules.pop("PyTorchUtils", None)


@pytest.fixture
def ready(without_torch, module, ui):
    add_case()
    ui.addAllButton.click()
    return ui


def test_instant_and_auto_need_none_and_offer_none(ready):
    for profile in ("auto", "instant"):
        ready.profileComboBox.currentText = profile
        assert ready.protectButton.enabled
        assert not ready.installTorchButton.visible
    assert "instant" in ready.statusLabel.text


def test_a_trained_profile_says_the_exact_step(ready, caplog):
    ready.profileComboBox.currentText = "standard"
    assert not ready.protectButton.enabled
    for text in (ready.statusLabel.text, ready.protectButton.toolTip):
        assert "install the extension PyTorch in the Extensions Manager" in text
    caplog.set_level(logging.INFO)
    ready.installTorchButton.click()
    assert "Extensions Manager" in caplog.text
    assert "PythonSlicer -m pip install" in caplog.text
    ready.removeCaseButton.click()
    assert "Add a volume" in ready.statusLabel.text
    ready.profileComboBox.currentText = "instant"
    assert not ready.installTorchButton.visible


def test_the_extension_installs_it_and_the_panel_is_ready(with_extension, ready):
    ready.profileComboBox.currentText = "paper"
    assert "click 'Install PyTorch...'" in ready.statusLabel.text
    ready.installTorchButton.click()
    assert ready.protectButton.enabled
    assert not ready.installTorchButton.visible


def test_nothing_is_imported_when_the_module_is_loaded(without_torch, with_extension, module):
    assert "PyTorchUtils" not in sys.modules


def test_a_torch_that_cannot_be_loaded_is_said_with_the_last_lines_of_the_worker(module, ui, monkeypatch, tmp_path):
    """As with a broken CUDA library: it is there, and its import fails in the worker, not in Slicer."""
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so.12: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    for number in range(16):
        add_case(f"case {number}", shape=(1, 48, 48))
    ui.addAllButton.click()
    ui.profileComboBox.currentText = "standard"
    ui.protectButton.click()
    finish(module)
    assert "libcudart.so.12: cannot open shared object file" in ui.statusLabel.text
    assert ui.protectButton.enabled
