"""The extension as it is installed: what lies there, and the panel with a real job from there."""

import json
import sys
from pathlib import Path

import pytest
from panel_helpers import add_case, cell, finish

ROOT = Path(__file__).parents[2]
MARK = "0.0.0+installed"


@pytest.fixture(scope="module")
def installed(installed_tree):
    """The folder of the modules. A mark in the library's version shows whose library was at work."""
    folder = installed_tree(ROOT)
    init = folder / "MedUnlearnableLib" / "__init__.py"
    init.write_text(f'{init.read_text()}\n__version__ = "{MARK}"\n')
    return folder


@pytest.fixture
def installed_module(installed, scripted_module, monkeypatch):
    """The module, with all it imports, from the installed tree."""
    ours = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "MedUnlearnableLib"}
    for name in ours:
        del sys.modules[name]
    monkeypatch.setattr(sys, "path", [str(installed), *sys.path])
    yield scripted_module(installed / "MedUnlearnable.py")
    for name in [name for name in sys.modules if name.split(".")[0] == "MedUnlearnableLib"]:
        del sys.modules[name]
    sys.modules.update(ours)


def test_only_what_is_ours_lies_in_the_folder_that_all_extensions_share(installed):
    names = {path.name for path in installed.iterdir()}
    assert {name for name in names if not name.startswith("MedUnlearnable")} == {"Resources"}
    assert {path.stem for path in installed.glob("*.py")} == {
        path.stem for path in (ROOT / "MedUnlearnable").glob("*.py")
    }


def test_every_library_file_and_resource_is_installed(installed):
    source = ROOT / "MedUnlearnable"
    for folder, pattern in (("MedUnlearnableLib", "*.py"), ("Resources", "*.*")):
        there = {path.relative_to(source).as_posix() for path in (source / folder).rglob(pattern)}
        assert {path for path in there if not (installed / path).is_file()} == set()


def test_resources_are_named_after_the_module_because_all_extensions_share_their_folder(installed):
    """MedUnlearnable.ui beside other extensions' files; a name like Icons/CT.png would be overwritten."""
    names = [path.name for path in (installed / "Resources").rglob("*") if path.is_file()]
    assert all(name.startswith(("MedUnlearnable", "Generated")) for name in names)


def test_the_installed_panel_protects_a_volume_by_the_installed_library(installed, installed_module):
    import MedUnlearnableLib
    import slicer.util

    assert Path(MedUnlearnableLib.__file__).is_relative_to(installed)
    add_case()
    installed_module.ui.addAllButton.click()
    installed_module.ui.protectButton.click()
    finish(installed_module)
    assert cell(installed_module.ui.casesTable, 0, 3) == "done"
    (protected,) = [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        if node.GetAttribute("MedUnlearnable.method")
    ]
    record = json.loads(protected.GetNodeReference("MedUnlearnable.record").GetText())
    assert record["version"] == MARK  # written by the worker process, too


def test_the_installed_module_meets_the_conditions_of_the_generic_module_test(installed_module):
    """What Slicer's qSlicerModuleGenericTest asks of every module, without a main window."""
    import slicer
    import slicer.util

    parent = installed_module.parent
    assert slicer.util.mainWindow() is None
    assert parent.name == "MedUnlearnable"
    assert parent.title
    assert parent.helpText
    assert parent.acknowledgementText
    assert list(parent.categories) == ["Informatics"]
    assert list(parent.contributors)
    assert parent.widgetRepresentation() is not None
    parent.widgetRepresentation().setMRMLScene(slicer.mrmlScene)


def test_the_installed_module_registers_its_samples_with_their_pictures(installed_module, installed):
    import SampleData

    pictures = [source.thumbnailFileName for source in SampleData.SampleDataLogic.sources["MedUnlearnable"]]
    assert len(pictures) == 4
    assert all(Path(picture).is_relative_to(installed) and Path(picture).is_file() for picture in pictures)
