"""The module MedUnlearnable Audit: does the protection hold, on the user's own data? Certificates live here, too."""

from typing import Any

import slicer
from MedUnlearnableLib.panel.audit_panel import AuditKeeper, AuditPanel
from MedUnlearnableLib.panel.audit_parameters import AuditParameters
from MedUnlearnableLib.panel.module_widget import ModuleWidget
from MedUnlearnableLib.panel.quitting import QuitGuard
from MedUnlearnableLib.scene import logic as scene_logic
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)

__all__ = ["MedUnlearnableAudit", "MedUnlearnableAuditLogic", "MedUnlearnableAuditTest", "MedUnlearnableAuditWidget"]


class MedUnlearnableAudit(ScriptedLoadableModule):
    """Metadata of the module, and the audit that outlives its panel."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MedUnlearnable Audit")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Informatics")]
        self.parent.dependencies = ["MedUnlearnable"]  # brings the library and, by its extension, PyTorch
        self.parent.contributors = ["MedUnlearnable developers"]
        self.parent.helpText = _(
            "Compares images with their protected copies, trains attackers on them, and says whether the protection "
            "holds on your own data; verifies certificates and restores originals."
        )
        self.parent.acknowledgementText = _("Attackers and controls are described in docs/audit.md.")
        self.audits = AuditKeeper()
        self.quit_guard: QuitGuard | None = None
        slicer.app.connect("startupCompleted()", self._application_started)
        slicer.app.connect("aboutToQuit()", self.audits.end)

    def _application_started(self) -> None:
        self.quit_guard = QuitGuard.of_main_window(
            self.audits,
            _(
                "MedUnlearnable Audit is still running. Quit and stop it? Attackers that are finished are kept for an "
                "audit of folders; of volumes of the scene nothing is kept."
            ),
        )


class MedUnlearnableAuditWidget(ModuleWidget):
    """What the controls do stands in MedUnlearnableLib.panel.audit_panel."""

    def make_logic(self) -> "MedUnlearnableAuditLogic":
        return MedUnlearnableAuditLogic()

    def make_panel(self) -> AuditPanel:
        return AuditPanel(self.ui, self.logic, slicer.modules.MedUnlearnableAuditInstance.audits)

    def parameters_of(self, node: Any) -> AuditParameters:
        return AuditParameters(node)


class MedUnlearnableAuditLogic(ScriptedLoadableModuleLogic, scene_logic.MedUnlearnableLogic):
    """Audits volumes of the scene; see MedUnlearnableLib.scene.logic. Adds the parameter node of the module."""


class MedUnlearnableAuditTest(ScriptedLoadableModuleTest):
    """Self test: a small volume is protected and audited; its figures are those of the change."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        self.setUp()
        self.test_the_figures_are_those_of_the_change()

    def test_the_figures_are_those_of_the_change(self) -> None:
        from MedUnlearnableLib.scene.audit_self_test import audit_small_volume

        self.delayDisplay("Comparing a small volume with its protected copy")
        audit_small_volume(MedUnlearnableAuditLogic())
        self.delayDisplay("The figures are those of the change, and the input is as it was")
