"""A real MRML scene without the Slicer application, on the slicer-core wheel."""

from __future__ import annotations

import types
from typing import Any

from ..engine.errors import Refused

#: Module logics in the order they need each other: without "Colors" no display node gets its colors.
_LOGICS = {
    "Colors": "vtkMRMLColorLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
}


class _Module:
    """What `slicer.modules.<name>` is in the application, as far as logics go."""

    def __init__(self, logic: Any) -> None:
        self._logic = logic

    def logic(self) -> Any:
        return self._logic


def start() -> Any:
    """Boots a scene where there is none yet and returns it; inside Slicer it returns the application's scene."""
    try:
        import slicer
        import vtk
    except ModuleNotFoundError:
        raise Refused("no MRML scene here: install the package with its scene part, medunlearnable[scene]") from None
    if getattr(slicer, "mrmlScene", None) is not None:
        return slicer.mrmlScene
    scene = slicer.mrmlScene = slicer.vtkMRMLScene()
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    application.GetColorLogic().SetMRMLScene(scene)
    application.GetColorLogic().AddDefaultColorNodes()
    application.SetSliceLogics(vtk.vtkCollection())
    application.SetViewLogics(vtk.vtkCollection())
    slicer.modules = types.SimpleNamespace()
    for name, class_name in _LOGICS.items():
        logic = getattr(slicer, class_name)()
        logic.SetMRMLApplicationLogic(application)
        logic.SetMRMLScene(scene)
        application.SetModuleLogic(name, logic)
        setattr(slicer.modules, name.lower(), _Module(logic))
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)  # made on first use
    slicer.modules.application_logic = application  # keeps it alive as long as the module logics
    return scene
