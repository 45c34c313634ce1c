"""Slicer's Python files: stand-ins by default.

With SLICER_PYTHON_DIR=<Slicer source>/Base/Python, the real files are used.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

import slicer

_HERE = Path(__file__).parent
_STAND_INS = {
    "SampleData": "sample_data.py",
    "slicer.cli": "cli.py",
    "slicer.i18n": "i18n.py",
    "slicer.packaging": "packaging_stand_in.py",
    "slicer.parameterNodeWrapper": "parameter_node_wrapper/__init__.py",
    "slicer.ScriptedLoadableModule": "scripted_loadable_module.py",
}


class StandInFinder:
    """Finds the stand-ins under Slicer's names, so that imports behave as in Slicer.

    Above all `slicer.packaging` needs an import of its own.
    """

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._files:
            return None
        file = _HERE / self._files[name]
        folders = [str(file.parent)] if file.name == "__init__.py" else None
        return spec_from_file_location(name, file, submodule_search_locations=folders)


def uses_real_files() -> bool:
    return bool(os.environ.get("SLICER_PYTHON_DIR"))


def install() -> None:
    """Make `import slicer.i18n`, `slicer.parameterNodeWrapper` and so on work."""
    files = dict(_STAND_INS)
    if uses_real_files():
        slicer.__path__.append(os.path.join(os.environ["SLICER_PYTHON_DIR"], "slicer"))
        files = {"SampleData": files["SampleData"]}
    sys.meta_path.insert(0, StandInFinder(files))  # type: ignore[arg-type]
    importlib.import_module("slicer.cli")  # Slicer imports it at start, and modules use `slicer.cli.run`
