"""Installs an extension with CMake and a stand-in for Slicer's build system."""

from __future__ import annotations

import subprocess
from pathlib import Path

STUB = Path(__file__).parent / "cmake" / "Slicer"
MODULES = "lib/Slicer-5.12/qt-scripted-modules"


class InstallError(RuntimeError):
    """CMake refused; the message is its output."""


def install_extension(source: Path, folder: Path) -> Path:
    """Configure and install `source` under `folder`; returns the flat folder of the scripted modules."""
    build, prefix = folder / "build", folder / "installed"
    _cmake("-S", str(source), "-B", str(build), f"-DSlicer_DIR={STUB}", "-DBUILD_TESTING=ON")
    _cmake("--install", str(build), "--prefix", str(prefix))
    return prefix / MODULES


def installed_files(modules: Path) -> set[str]:
    """Paths of the installed files, relative to the folder of the modules."""
    return {path.relative_to(modules).as_posix() for path in modules.rglob("*") if path.is_file()}


def _cmake(*arguments: str) -> None:
    result = subprocess.run(["cmake", *arguments], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise InstallError(f"cmake {' '.join(arguments)} failed:\n{result.stdout}{result.stderr}")
