"""Stands in for `slicer.packaging`: checks are real, installing fails, because a test must not change its machine."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

Requirements = str | Requirement | Iterable[str | Requirement]


def load_requirements(path: str | Path) -> list[Requirement]:
    """A comment needs a line of its own, as in Slicer."""
    lines = (line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def load_pyproject_dependencies(path: str | Path) -> list[Requirement]:
    import sys

    if sys.version_info < (3, 11):
        raise NotImplementedError("load_pyproject_dependencies needs Python 3.11")
    import tomllib

    data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    return [Requirement(line) for line in data.get("project", {}).get("dependencies", [])]


def pip_check(requirements: Requirements) -> bool:
    """Whether all requirements are installed, without starting a process."""
    return all(_is_installed(requirement) for requirement in _as_list(requirements))


def pip_ensure(requirements: Requirements, **options: Any) -> None:
    """As in testing mode: what is missing is not installed."""
    if not options.get("skip_in_testing", True) and not pip_check(requirements):
        pip_install(requirements)


def pip_install(requirements: Requirements, **options: Any) -> None:
    wanted = requirements if isinstance(requirements, str) else ", ".join(str(r) for r in _as_list(requirements))
    raise RuntimeError(f"a test tried to install {wanted}; replace the installer in the test")


def pip_uninstall(requirements: Requirements, **options: Any) -> None:
    raise RuntimeError(f"a test tried to uninstall {requirements}")


def isPipInstallInProgress() -> bool:
    return False


def _as_list(requirements: Requirements) -> list[Requirement]:
    items = [requirements] if isinstance(requirements, str | Requirement) else list(requirements)
    return [item if isinstance(item, Requirement) else Requirement(item) for item in items]


def _is_installed(requirement: Requirement) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False
