"""The module MedUnlearnable: the panel, and the logic for the Python console.

from MedUnlearnable import MedUnlearnableLogic
protected = MedUnlearnableLogic().protect(volumeNode, segmentationNode, method="UMed")
"""

from typing import Any

import slicer
import slicer.util
from MedUnlearnableLib.panel import sample_data
from MedUnlearnableLib.panel.module_widget import ModuleWidget
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
)

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
        self.quit_guard = QuitGuard.of_main_window(
            self.runs,
            _(
                "MedUnlearnable is still protecting cases. Quit and stop it? Finished cases of folders are kept; "
                "volumes of the scene that are not back yet are not."
            ),
        )


class MedUnlearnableWidget(ModuleWidget):
    """What the controls do stands in MedUnlearnableLib.panel."""

    def make_logic(self) -> "MedUnlearnableLogic":
        return MedUnlearnableLogic()

    def make_panel(self) -> ProtectPanel:
        return ProtectPanel(self.ui, self.logic, slicer.modules.MedUnlearnableInstance.runs)

    def parameters_of(self, node: Any) -> PanelParameters:
        return parameters_of(node)

    def enter(self) -> None:
        ModuleWidget.enter(self)
        self.panel.choose_defaults()


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
