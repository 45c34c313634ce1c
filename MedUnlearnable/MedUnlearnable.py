"""The module MedUnlearnable: the panel, and the logic for the Python console.

from MedUnlearnable import MedUnlearnableLogic
protected = MedUnlearnableLogic().protect(volumeNode, segmentationNode, method="UMed")
"""

import sys
from typing import Any

import slicer
import slicer.util
from MedUnlearnableLib.panel import sample_data
from MedUnlearnableLib.panel.parameters import SETTINGS_VERSION, PanelParameters
from MedUnlearnableLib.panel.protect_panel import ProtectPanel
from MedUnlearnableLib.panel.quitting import QuitGuard
from MedUnlearnableLib.panel.run import RunKeeper
from MedUnlearnableLib.scene import logic as scene_logic
from MedUnlearnableLib.scene.logic import SceneCase
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

__all__ = ["MedUnlearnable", "MedUnlearnableLogic", "MedUnlearnableTest", "MedUnlearnableWidget", "SceneCase"]


class MedUnlearnable(ScriptedLoadableModule):
    """Metadata of the module, and the run that outlives its panel."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MedUnlearnable")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Informatics")]
        self.parent.dependencies = []
        self.parent.contributors = ["MedUnlearnable developers"]
        self.parent.helpText = _(
            "Protects medical images against training without permission: people see what they need, training a model "
            "on the images does not pay. A deterrent, not encryption. Protected is not de-identified."
        )
        self.parent.acknowledgementText = _(
            "Implements the published ideas of UMed (Lin et al., arXiv 2403.14250), SALM (Sun et al., arXiv "
            "2403.10573) and MedLocker (Pu et al., arXiv 2303.09858)."
        )
        self.runs = RunKeeper()
        self.quit_guard: QuitGuard | None = None
        slicer.app.connect("startupCompleted()", self._application_started)
        slicer.app.connect("aboutToQuit()", self.runs.end)

    def _application_started(self) -> None:
        """Only now are there the main window, if any, and the module Sample Data."""
        sample_data.register()
        window = slicer.util.mainWindow()
        if window is not None:
            self.quit_guard = QuitGuard(self.runs, window)


class MedUnlearnableWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Binds the panel to the scene; what the controls do stands in MedUnlearnableLib.panel."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._gui_tag: int | None = None
        self._parameters: PanelParameters | None = None

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        container = slicer.util.loadUI(self.resourcePath("UI/MedUnlearnable.ui"))
        self.layout.addWidget(container)
        self.ui = slicer.util.childWidgetVariables(container)
        container.setMRMLScene(slicer.mrmlScene)
        self.logic = MedUnlearnableLogic()
        self.panel = ProtectPanel(self.ui, self.logic, slicer.modules.MedUnlearnableInstance.runs)
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
        self.panel.choose_defaults()

    def onReload(self) -> None:
        # A plain reload would keep the old library.
        for name in [name for name in sys.modules if name.split(".")[0] == "MedUnlearnableLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def _bind(self) -> None:
        """Makes the panel show the scene's parameter node."""
        if self._parameters is not None or slicer.mrmlScene.IsClosing() or slicer.mrmlScene.IsImporting():
            return
        self._parameters = parameters_of(self.logic.getParameterNode())
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
            self.panel.cases.update()
            self.panel.update()


class MedUnlearnableLogic(ScriptedLoadableModuleLogic, scene_logic.MedUnlearnableLogic):
    """Protects volumes of the scene; see MedUnlearnableLib.scene.logic. Adds the parameter node of the module."""


class MedUnlearnableTest(ScriptedLoadableModuleTest):
    """Self test: really protects small volumes with every method; trained profiles where PyTorch is there."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        self.setUp()
        self.test_every_method_changes_what_it_may_and_nothing_else()

    def test_every_method_changes_what_it_may_and_nothing_else(self) -> None:
        from MedUnlearnableLib.scene import self_test

        self_test.run(MedUnlearnableLogic(), self.delayDisplay)
        self.delayDisplay("Only voxels that may change did, within the budget; the inputs are as they were")


def parameters_of(node: Any) -> PanelParameters:
    """The typed parameters. Settings of a newer version are put back to their defaults instead of guessed at."""
    version = node.GetParameter("settingsVersion")
    if version.isdigit() and int(version) > SETTINGS_VERSION:
        slicer.util.warningDisplay(
            _("This scene holds settings of a newer version of MedUnlearnable; they are put back to their defaults.")
        )
        for name in node.GetParameterNames():
            node.UnsetParameter(name)
    return PanelParameters(node)
