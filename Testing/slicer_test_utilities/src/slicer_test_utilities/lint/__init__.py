"""Static checks of scripted modules for what neither Slicer nor a test shows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from . import cmake_rules, python_rules, ui_rules
from .finding import Finding

__all__ = ["Finding", "lint"]

_SKIPPED = {"Testing", "tests", "build", "__pycache__", ".git", ".venv"}


def lint(paths: Iterable[Path]) -> list[Finding]:
    """All findings for these files and folders, sorted."""
    findings: set[Finding] = set()
    for path in paths:
        for file in _files(path):
            if file.suffix == ".ui":
                findings.update(ui_rules.check(file))
            elif file.suffix == ".py":
                findings.update(python_rules.check(file))
            elif file.name == "CMakeLists.txt":
                findings.update(cmake_rules.check(file))
    return sorted(finding for finding in findings if not _is_allowed(finding))


def _is_allowed(finding: Finding) -> bool:
    """A comment `slicer-lint: allow RULE` on the line, for code that never runs inside Slicer."""
    if finding.path.suffix != ".py" or finding.rule == "syntax":
        return False
    line = finding.path.read_text(encoding="utf-8").splitlines()[finding.line - 1 : finding.line]
    return f"slicer-lint: allow {finding.rule}" in "".join(line)


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if path.is_file():
        return [path]
    files = sorted(path.rglob("*"))
    return [file for file in files if not _SKIPPED & set(file.relative_to(path).parent.parts)]
