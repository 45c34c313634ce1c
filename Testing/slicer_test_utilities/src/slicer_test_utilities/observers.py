"""Observers that Python code leaves on the scene or its nodes."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import slicer
from vtkmodules.vtkCommonCore import vtkCommand

from .slicer_python import uses_real_files


@contextmanager
def watching_observers(report: Callable[[str], None]) -> Iterator[None]:
    """Report the observers that are there after the block and were not there before."""
    before = python_observers()
    yield
    if set(python_observers()) - set(before):
        gc.collect()  # cycles of a panel that nobody holds any more are no leak
    for key, (subject, text) in python_observers().items():
        if key not in before:
            report(text)
            subject.RemoveObserver(key[1])  # its owner may be gone; the end of the scene would call it


def python_observers() -> dict[tuple[str, int], tuple[Any, str]]:
    """Each observer that Python added to the scene or a node: (address, tag) -> (object, sentence)."""
    scene = getattr(slicer, "mrmlScene", None)
    if scene is None:
        return {}
    subjects = [scene, *(scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes()))]
    return {key: found for subject in subjects if not _caches(subject) for key, found in _observers_of(subject).items()}


def _caches(subject: Any) -> bool:
    """Slicer's own parameterNodeWrapper observes its node as long as the wrapper lives."""
    return uses_real_files() and subject.IsA("vtkMRMLScriptedModuleNode")


def _observers_of(subject: Any) -> dict[tuple[str, int], tuple[Any, str]]:
    """VTK has no list of observers. Tags are counted per object, and a command tells whether Python made it."""
    next_tag = subject.AddObserver(vtkCommand.NoEvent, _nothing)
    subject.RemoveObserver(next_tag)
    found = {}
    for tag in range(1, next_tag):
        command = subject.GetCommand(tag)
        if command is not None and command.GetClassName() == "vtkPythonCommand":
            event = _event_name(subject, command)
            text = f"an observer of {event} is left on {_describe(subject)}"
            found[subject.GetAddressAsString(""), tag] = (subject, text)
    return found


def _nothing(caller: Any, event: str) -> None:
    """Placeholder whose tag tells how many there were."""


def _event_name(subject: Any, command: Any) -> str:
    for owner in (type(subject), vtkCommand):
        for name in dir(owner):
            event = getattr(owner, name)
            if name.endswith("Event") and isinstance(event, int) and subject.HasObserver(event, command):
                return name
    return "an event"


def _describe(subject: Any) -> str:
    name = subject.GetName() if subject.IsA("vtkMRMLNode") else None
    return f"{subject.GetClassName()} '{name}'" if name else "the scene"
