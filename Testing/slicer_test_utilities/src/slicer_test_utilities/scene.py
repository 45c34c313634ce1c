"""A headless MRML scene, booted in the order that Slicer's logics need."""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import slicer
import slicer.util
import vtk

from . import subject_hierarchy

# "Colors" comes first: display nodes look it up. Terminologies is left out: its JSON files are not in the wheel.
_LOGICS = {
    "Colors": "vtkMRMLColorLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Models": "vtkSlicerModelsLogic",
}


class Module:
    """What `slicer.modules.volumes` offers without a panel."""

    def __init__(self, name: str, logic: Any) -> None:
        self.name = name
        self.title = name
        self.path = ""
        self._logic = logic

    def logic(self) -> Any:
        return self._logic


class Scene:
    """The scene of one test, with Slicer's application logic and module logics."""

    def __init__(self) -> None:
        self.mrml_scene = slicer.vtkMRMLScene()
        slicer.mrmlScene = self.mrml_scene
        slicer.modules = types.SimpleNamespace()
        self.application_logic = self._boot_application_logic()
        for name, class_name in _LOGICS.items():
            if hasattr(slicer, class_name):
                self._register(name, getattr(slicer, class_name)())
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.mrml_scene, True)
        self._add_layout_node()
        subject_hierarchy.keep_items(self.mrml_scene)

    def close(self) -> None:
        """Remove all nodes and logics."""
        self.mrml_scene.Clear(1)
        slicer.modules = types.SimpleNamespace()
        self.application_logic.SetMRMLScene(None)

    def _boot_application_logic(self) -> Any:
        logic = slicer.vtkSlicerApplicationLogic()
        logic.SetMRMLScene(self.mrml_scene)
        logic.GetColorLogic().SetMRMLScene(self.mrml_scene)
        logic.GetColorLogic().AddDefaultColorNodes()
        logic.SetSliceLogics(vtk.vtkCollection())
        logic.SetViewLogics(vtk.vtkCollection())
        return logic

    def _register(self, name: str, logic: Any) -> None:
        logic.SetMRMLApplicationLogic(self.application_logic)
        logic.SetMRMLScene(self.mrml_scene)
        self.application_logic.SetModuleLogic(name, logic)
        setattr(slicer.modules, name.lower(), Module(name, logic))

    def _add_layout_node(self) -> None:
        """With the descriptions of all layouts, which slicer.util.plot(show=True) needs.

        The logic must not stay: it crashes when Clear(1) removes its node, which Slicer's layout manager prevents.
        """
        logic = slicer.vtkMRMLLayoutLogic()
        logic.SetMRMLScene(self.mrml_scene)
        logic.SetMRMLScene(None)


@contextmanager
def running_scene() -> Iterator[Scene]:
    scene = Scene()
    try:
        yield scene
    finally:
        scene.close()
