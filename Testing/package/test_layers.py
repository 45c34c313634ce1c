"""Imports point one way: engine <- files <- jobs <- scene <- panel. Heavy or foreign imports stay where they belong."""

import ast
import subprocess
import sys
from pathlib import Path

import MedUnlearnableLib
import pytest

LIBRARY = Path(MedUnlearnableLib.__file__).parent
LAYERS = ("engine", "files", "jobs", "scene", "panel")
#: Imports that only these layers may have, at file scope or inside functions.
RESERVED = {"slicer": {"scene", "panel"}, "vtk": {"scene", "panel"}, "qt": {"panel"}, "ctk": {"panel"},
            "SimpleITK": {"files"}, "pydicom": {"files"}, "PIL": {"files", "engine"}}  # fmt: skip
SOURCES = sorted(LIBRARY.rglob("*.py"))


def imported_modules(node: ast.AST, package: list[str]) -> list[str]:
    """Absolute names of what an import statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else []
        name = ".".join([*base, *([node.module] if node.module else [])])
        return [name, *(f"{name}.{alias.name}" for alias in node.names)]
    return []


def imports_of(path: Path, file_scope_only: bool = False) -> set[str]:
    package = ["MedUnlearnableLib", *path.relative_to(LIBRARY).parent.parts]
    tree = ast.parse(path.read_text())
    nodes = tree.body if file_scope_only else ast.walk(tree)
    return {name for node in nodes for name in imported_modules(node, package)}


def layer_of(path: Path) -> str | None:
    first = path.relative_to(LIBRARY).parts[0]
    return first if first in LAYERS else None


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_a_file_imports_only_its_own_and_lower_layers(path):
    layer = layer_of(path)
    if layer is None:
        return  # command line: stands on all
    higher = {f"MedUnlearnableLib.{name}" for name in LAYERS[LAYERS.index(layer) + 1 :]}
    top = {"MedUnlearnableLib.cli", "MedUnlearnableLib.reporters", "MedUnlearnableLib.system"}
    wrong = {
        name for name in imports_of(path) if any(name == bad or name.startswith(bad + ".") for bad in higher | top)
    }
    assert not wrong


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_slicer_qt_and_file_libraries_stay_in_their_layer(path):
    layer = layer_of(path)
    for name in imports_of(path):
        allowed = RESERVED.get(name.split(".")[0])
        assert allowed is None or layer in allowed, f"{name} in {path.name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_nothing_heavy_is_imported_at_file_scope(path):
    heavy = {"torch", "monai", "SimpleITK", "PIL", "tqdm", "pydicom"}
    if layer_of(path) != "panel":  # panels are loaded by Slicer alone
        heavy |= {"slicer", "vtk"}
    assert not {name.split(".")[0] for name in imports_of(path, file_scope_only=True)} & heavy


BLOCKED = """
import importlib.abc, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
import {modules}
"""


@pytest.mark.parametrize(
    ("layer", "blocked"),
    [
        ("engine", ("slicer", "vtk", "qt", "ctk", "SimpleITK", "torch", "monai", "PIL")),
        ("files", ("slicer", "vtk", "qt", "ctk", "torch")),
        ("jobs", ("slicer", "vtk", "qt", "ctk", "torch")),
        ("scene", ("qt", "ctk", "torch")),
    ],
)
def test_a_layer_imports_without_what_it_must_not_need(layer, blocked):
    modules = [
        ".".join(["MedUnlearnableLib", *path.relative_to(LIBRARY).with_suffix("").parts])
        for path in SOURCES
        if layer_of(path) == layer and path.name != "__init__.py"
    ]
    code = BLOCKED.format(blocked=set(blocked), modules=", ".join(modules))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
