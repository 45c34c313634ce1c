"""The pytest plug-in: fixtures and options. What they do stands in the modules beside this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .popups import Popups
    from .problems import Problems
    from .scripted_module import ScriptedModule


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "allow_slicer_problems(*kinds): problems of these kinds do not fail the test")


@pytest.fixture
def slicer_problems(request: pytest.FixtureRequest) -> Iterator[Problems]:
    """Fails the test for exceptions in slots, VTK errors, popups and leaks that Slicer would only print or ignore."""
    from . import checks

    with checks.problems_fail_the_test(_allowed_kinds(request)) as problems:
        yield problems


@pytest.fixture
def slicer_scene(slicer_problems: Problems) -> Iterator[Any]:
    """A fresh headless `slicer.mrmlScene` with Slicer's logics; neither qt nor slicer.app."""
    from . import checks
    from .scene import running_scene

    with running_scene() as scene, checks.left_observers_are_problems():
        yield scene.mrml_scene


@pytest.fixture
def slicer_app(slicer_problems: Problems) -> Iterator[Any]:
    """`slicer.app` with qt, ctk, the qMRML widgets, `slicer.modules` and a fresh scene."""
    from . import checks
    from .host import close_all_windows, running_application

    with running_application() as application, checks.leaks_are_problems():
        yield application
        checks.dialogs_are_problems()
        close_all_windows()


@pytest.fixture
def slicer_popups(slicer_app: Any) -> Iterator[Popups]:
    """Answers for the dialogs that the test expects; an answer that nobody asked for fails the test."""
    from .popups import popups

    yield popups
    assert not popups.unused(), f"the test prepared answers for dialogs that were not opened: {popups.unused()}"


@pytest.fixture
def scripted_module(slicer_app: Any) -> Iterator[Callable[[str | Path], ScriptedModule]]:
    """A function that loads a module file, sets it up and enters it; the end of the test exits and cleans up."""
    from .scripted_module import running_module

    with ExitStack() as stack:
        yield lambda path: stack.enter_context(running_module(path))


@pytest.fixture(scope="session")
def installed_tree(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str | Path], Path]:
    """A function that installs an extension with CMake, without Slicer, and returns the folder of its modules."""
    from .install_tree import install_extension

    return lambda source: install_extension(Path(source), tmp_path_factory.mktemp("installed"))


def _allowed_kinds(request: pytest.FixtureRequest) -> set[str]:
    return {kind for marker in request.node.iter_markers("allow_slicer_problems") for kind in marker.args}
