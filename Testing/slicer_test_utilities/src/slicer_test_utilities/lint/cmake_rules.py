"""Rules for the CMakeLists.txt of a scripted module: only listed files are installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from .finding import Finding

_RESOURCE_SUFFIXES = {".ui", ".png", ".svg", ".json", ".txt", ".csv", ".toml"}


def module_names(path: Path) -> set[str]:
    """Names of the scripted modules that this file builds."""
    if not path.is_file():
        return set()
    text = _without_comments(path)
    if "slicerMacroBuildScriptedModule" not in text:
        return set()
    variables = dict(re.findall(r"set\(\s*(\w+)\s+\"?([\w.]+)\"?\s*\)", text))
    names = {variables.get(name.strip("${}"), name) for name in re.findall(r"\bNAME\s+([\w${}]+)", text)}
    return names | {value for key, value in variables.items() if key == "MODULE_NAME"}


def check(path: Path) -> Iterator[Finding]:
    """Library files and resources in the folder that are not listed, and listed files that do not exist."""
    names = module_names(path)
    if not names:
        return
    listed = _listed(path)
    for file in sorted(path.parent.rglob("*")):
        relative = file.relative_to(path.parent)
        if _must_be_listed(file, relative) and relative.as_posix() not in listed:
            yield Finding(path, 0, "cmake-not-listed", f"{relative.as_posix()} is not listed, so it is not installed")
    for name in sorted(listed):
        if not (path.parent / name).exists():
            yield Finding(path, _line_of(path, name), "cmake-missing-file", f"{name} is listed and does not exist")


def _must_be_listed(file: Path, relative: Path) -> bool:
    top = relative.parts[0]
    if not file.is_file() or top in ("Testing", "tests") or "__pycache__" in relative.parts:
        return False
    if file.suffix == ".py":
        return len(relative.parts) > 1
    return top == "Resources" and file.suffix in _RESOURCE_SUFFIXES


def _listed(path: Path) -> set[str]:
    """Every entry that looks like a file; scripts may be written without .py."""
    text = _without_comments(path)
    variables = dict(re.findall(r"set\(\s*(\w+)\s+\"?([\w.]+)\"?\s*\)", text))
    for name, value in variables.items():
        text = text.replace("${" + name + "}", value)
    listed = set()
    for word in re.findall(r"[\w./-]+", text):
        if "/" in word or word.endswith(".py"):
            is_bare_script = not Path(word).suffix and (path.parent / f"{word}.py").is_file()
            if is_bare_script or Path(word).suffix:
                listed.add(f"{word}.py" if is_bare_script else word)
    return listed


def _without_comments(path: Path) -> str:
    return re.sub(r"#.*", "", path.read_text(encoding="utf-8"))


def _line_of(path: Path, name: str) -> int:
    stem = name.removesuffix(".py").rsplit("/", 1)[-1]
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((number for number, line in enumerate(lines, 1) if stem in line), 0)
