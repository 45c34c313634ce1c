"""Before, after and difference in the slice views, and back to what the user had there."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import slicer.util

from ..scene.protect_job import Outcome

_DIFFERENCE_NAME = "MedUnlearnable difference"


class Comparison:
    """Shows one view of an outcome at a time; `restore()` brings back layers, offsets and window."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[str | None, str | None, float]] = {}
        self._difference_id = ""

    @property
    def active(self) -> bool:
        return bool(self._layers)

    def show(self, outcome: Outcome, what: str) -> None:
        """`what`: before, after or difference. The slice offsets stay, and before and after have one window."""
        node: Any = outcome.volumeNode
        source = slicer.mrmlScene.GetNodeByID(node.GetAttribute("MedUnlearnable.source") or "")
        if not self._layers:
            self._remember()
        if what == "difference" and source is not None:
            shown = self._difference(source, node)
        else:
            shown = source if what == "before" and source is not None else node
            if source is not None and shown is node:
                _copy_window(source, node)
        self._set_background(shown)

    def restore(self) -> None:
        """The layers as they were before the first `show`. Nodes that are gone leave their layer empty."""
        for composite_id, (background, foreground, opacity) in self._layers.items():
            composite = slicer.mrmlScene.GetNodeByID(composite_id)
            if composite is not None:
                composite.SetBackgroundVolumeID(background if _is_there(background) else None)
                composite.SetForegroundVolumeID(foreground if _is_there(foreground) else None)
                composite.SetForegroundOpacity(opacity)
        self._layers = {}
        self._remove_difference()

    def forget(self) -> None:
        """The scene is closed: there is nothing to bring back."""
        self._layers = {}
        self._difference_id = ""

    def _remember(self) -> None:
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            layers = composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()
            self._layers[composite.GetID()] = (*layers, composite.GetForegroundOpacity())

    def _set_background(self, node: Any) -> None:
        for composite_id in self._layers:
            composite = slicer.mrmlScene.GetNodeByID(composite_id)
            if composite is not None:
                composite.SetBackgroundVolumeID(node.GetID())
                composite.SetForegroundVolumeID(None)

    def _difference(self, source: Any, node: Any) -> Any:
        """A volume of after - before in float, shown symmetrically; not saved with the scene."""
        self._remove_difference()
        before, after = (slicer.util.arrayFromVolume(n).astype(np.float32) for n in (source, node))
        difference = slicer.vtkSlicerVolumesLogic.CloneVolume(slicer.mrmlScene, node, _DIFFERENCE_NAME)
        slicer.util.updateVolumeFromArray(difference, after - before)
        difference.SetSaveWithScene(False)
        difference.SetHideFromEditors(True)
        largest = float(np.abs(after - before).max()) or 1.0
        difference.GetDisplayNode().SetAutoWindowLevel(False)
        difference.GetDisplayNode().SetWindowLevel(2 * largest, 0.0)
        self._difference_id = difference.GetID()
        return difference

    def _remove_difference(self) -> None:
        node = slicer.mrmlScene.GetNodeByID(self._difference_id) if self._difference_id else None
        if node is not None:
            slicer.mrmlScene.RemoveNode(node.GetDisplayNode())
            slicer.mrmlScene.RemoveNode(node)
        self._difference_id = ""


def _is_there(node_id: str | None) -> bool:
    return bool(node_id) and slicer.mrmlScene.GetNodeByID(node_id) is not None


def _copy_window(source: Any, node: Any) -> None:
    """The user may have changed the input's window since the copy was made."""
    if source.GetDisplayNode() is not None and node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetAutoWindowLevel(False)
        node.GetDisplayNode().SetWindowLevel(source.GetDisplayNode().GetWindow(), source.GetDisplayNode().GetLevel())
