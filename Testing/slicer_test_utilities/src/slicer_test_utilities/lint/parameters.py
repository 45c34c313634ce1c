"""The parameters that the modules beside a .ui file declare."""

from __future__ import annotations

import ast
from pathlib import Path


def sources_of(ui_file: Path) -> list[str]:
    """The Python files of the module that owns Resources/UI/X.ui."""
    folder = module_folder(ui_file)
    return [file.read_text(encoding="utf-8", errors="replace") for file in sorted(folder.rglob("*.py"))]


def module_folder(ui_file: Path) -> Path:
    parents = [parent for parent in ui_file.resolve().parents if parent.name == "Resources"]
    return parents[0].parent if parents else ui_file.resolve().parent


def known_names(ui_file: Path) -> set[str]:
    """Names of all annotated fields of parameter node wrappers, and dotted names given in code."""
    names: set[str] = set()
    for source in sources_of(ui_file):
        try:
            tree = ast.parse(source)
        except SyntaxError:
            continue  # reported by the rules for Python files
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and any(_is_wrapper(d) for d in node.decorator_list):
                names.update(_field_name(field) for field in node.body if isinstance(field, ast.AnnAssign))
    return names


def _is_wrapper(decorator: ast.expr) -> bool:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
    return name == "parameterNodeWrapper"


def _field_name(field: ast.AnnAssign) -> str:
    return field.target.id if isinstance(field.target, ast.Name) else ""
