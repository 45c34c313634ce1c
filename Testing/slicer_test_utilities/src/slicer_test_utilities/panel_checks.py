"""What must hold for a panel that is shown. Slicer would stay silent."""

from __future__ import annotations

from typing import Any

from .problems import problems
from .pythonqt.signals import receivers

PROPERTY = "SlicerParameterName"


def check_panel(container: Any) -> None:
    """Every MRML widget has a scene, and every SlicerParameterName is bound."""
    for widget in container.findChildren("QWidget"):
        for message in _errors_of(widget):
            problems.add("panel", message)


def _errors_of(widget: Any) -> list[str]:
    name = f"{type(widget).__name__} '{widget.objectName}'"
    errors = []
    if widget.objectName and hasattr(widget, "mrmlScene") and widget.mrmlScene() is None:
        errors.append(f"{name} has no scene: connect mrmlSceneChanged(vtkMRMLScene*) to it in the .ui file")
    parameter = widget.property(PROPERTY)
    if parameter and not any(_is_connector(receiver) for receiver in receivers(widget)):
        errors.append(f"{name} has {PROPERTY} '{parameter}', but no parameter node is connected to it")
    return errors


def _is_connector(receiver: Any) -> bool:
    """Connectors of parameterNodeWrapper, ours or Slicer's, read and write their widget."""
    owner = getattr(receiver, "__self__", None)
    return callable(getattr(owner, "read", None)) and callable(getattr(owner, "write", None))
