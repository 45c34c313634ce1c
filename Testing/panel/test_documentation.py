"""What README and tutorial show as Python runs as it stands there."""

import re
from pathlib import Path

import pytest
from panel_helpers import add_case

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


def python_of(name):
    return BLOCK.findall((ROOT / name).read_text())


@pytest.fixture
def console(module):
    """The names that Slicer's console has, and the nodes that the examples speak of."""
    import slicer

    volumeNode, segmentationNode = add_case("GeneratedCT")
    return {"slicer": slicer, "volumeNode": volumeNode, "segmentationNode": segmentationNode}


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md"])
def test_the_python_examples_run(console, name):
    blocks = python_of(name)
    assert blocks
    for block in blocks:
        names = dict(console)
        exec(compile(block, name, "exec"), names)
        assert names["protected"].GetAttribute("MedUnlearnable.method") == "UMed"
        assert names["protected"].GetName().startswith("GeneratedCT protected (UMed)")


def test_the_console_of_slicer_gets_the_logic_by_the_name_in_the_readme(module):
    from MedUnlearnable import MedUnlearnableLogic

    assert isinstance(module.logic, MedUnlearnableLogic)
    assert "from MedUnlearnable import MedUnlearnableLogic" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md"])
def test_the_files_that_a_page_links_to_are_there(name):
    page = ROOT / name
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_tutorial_names_controls_that_the_panel_has():
    ui = (ROOT / "MedUnlearnable" / "Resources" / "UI" / "MedUnlearnable.ui").read_text()
    text = (ROOT / "docs" / "tutorial.md").read_text()
    for control in (
        "Protect",
        "Before",
        "After",
        "Difference",
        "Back",
        "Save...",
        "Convert",
        "Save as DICOM series...",
        "Install PyTorch...",
    ):
        assert f"**{control}**" in text
        assert f"<string>{control}</string>" in ui
