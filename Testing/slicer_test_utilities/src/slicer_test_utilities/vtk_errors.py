"""VTK errors and warnings become problems of the test."""

from __future__ import annotations

from typing import Any

import vtk

from .problems import problems


@vtk.calldata_type(vtk.VTK_STRING)
def _on_error(caller: Any, event: str, text: str) -> None:
    problems.add("VTK error", text.strip())


@vtk.calldata_type(vtk.VTK_STRING)
def _on_warning(caller: Any, event: str, text: str) -> None:
    problems.add("VTK warning", text.strip())


def install() -> None:
    """Without this, VTK opens no window on Linux but prints, and tests stay green."""
    window = vtk.vtkOutputWindow()
    window.SetDisplayModeToNever()
    window.AddObserver("ErrorEvent", _on_error)
    window.AddObserver("WarningEvent", _on_warning)
    vtk.vtkOutputWindow.SetInstance(window)
