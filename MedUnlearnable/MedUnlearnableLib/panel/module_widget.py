"""What the widgets of both modules do alike: they bind a panel to the scene, through the parameter node."""

from __future__ import annotations

import sys
from typing import Any

import slicer
import slicer.util
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin


class ModuleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The module says what its panel, its logic and its parameters are: see the methods at the end."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._gui_tag: int | None = None
        self._parameters: Any = None

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        container = slicer.util.loadUI(self.resourcePath(f"UI/{self.moduleName}.ui"))
        self.layout.addWidget(container)
        self.ui = slicer.util.childWidgetVariables(container)
        container.setMRMLScene(slicer.mrmlScene)
        self.logic = self.make_logic()
        self.panel = self.make_panel()
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._scene_starts_to_close)
        self.addObserver(scene, scene.StartImportEvent, self._scene_starts_to_import)
        self.addObserver(scene, scene.EndCloseEvent, self._scene_changed)
        self.addObserver(scene, scene.EndImportEvent, self._scene_changed)
        self.addObserver(scene, scene.NodeRemovedEvent, self._node_removed)
        self._bind()

    def cleanup(self) -> None:
        self._unbind()
        self.removeObservers()
        self.panel.cleanup()

    def enter(self) -> None:
        self._bind()

    def onReload(self) -> None:
        # A plain reload would keep the old library.
        for name in [name for name in sys.modules if name.split(".")[0] == "MedUnlearnableLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def _bind(self) -> None:
        """Makes the panel show the scene's parameter node."""
        if self._parameters is not None or slicer.mrmlScene.IsClosing() or slicer.mrmlScene.IsImporting():
            return
        self._parameters = self.parameters_of(self.logic.getParameterNode())
        self._gui_tag = self._parameters.connectGui(self.ui)
        self.panel.set_parameters(self._parameters)

    def _unbind(self) -> None:
        if self._parameters is not None:
            self._parameters.disconnectGui(self._gui_tag)
            self._parameters = None
            self.panel.set_parameters(None)

    def _scene_starts_to_close(self, caller: Any, event: str) -> None:
        self._unbind()
        self.panel.scene_closed()

    def _scene_starts_to_import(self, caller: Any, event: str) -> None:
        self._unbind()  # the scene may bring settings that the controls cannot show

    def _scene_changed(self, caller: Any, event: str) -> None:
        self._unbind()
        self._bind()

    def _node_removed(self, caller: Any, event: str) -> None:
        if self._parameters is not None and not slicer.mrmlScene.IsClosing():
            self.panel.nodes_removed()

    def make_logic(self) -> Any:
        raise NotImplementedError

    def make_panel(self) -> Any:
        """With `self.ui` and `self.logic`, and what outlives the panel."""
        raise NotImplementedError

    def parameters_of(self, node: Any) -> Any:
        """The typed parameters of the module's node."""
        raise NotImplementedError
