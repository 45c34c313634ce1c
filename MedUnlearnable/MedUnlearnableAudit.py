"""The module MedUnlearnable Audit: does the protection hold, on the user's own data? Certificates live here, too."""

import sys
from typing import Any

import slicer
import slicer.util
from MedUnlearnableLib.panel.audit_panel import AuditKeeper, AuditPanel
from MedUnlearnableLib.panel.audit_parameters import AuditParameters
from MedUnlearnableLib.scene import logic as scene_logic
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

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
        slicer.app.connect("aboutToQuit()", self.audits.end)


class MedUnlearnableAuditWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Binds the panel to the scene; what the controls do stands in MedUnlearnableLib.panel.audit_panel."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._gui_tag: int | None = None
        self._parameters: AuditParameters | None = None

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        container = slicer.util.loadUI(self.resourcePath("UI/MedUnlearnableAudit.ui"))
        self.layout.addWidget(container)
        self.ui = slicer.util.childWidgetVariables(container)
        container.setMRMLScene(slicer.mrmlScene)
        self.logic = MedUnlearnableAuditLogic()
        self.panel = AuditPanel(self.ui, self.logic, slicer.modules.MedUnlearnableAuditInstance.audits)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._scene_starts_to_close)
        self.addObserver(scene, scene.StartImportEvent, self._unbind)
        self.addObserver(scene, scene.EndCloseEvent, self._scene_changed)
        self.addObserver(scene, scene.EndImportEvent, self._scene_changed)
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
        self._parameters = AuditParameters(self.logic.getParameterNode())
        self._gui_tag = self._parameters.connectGui(self.ui)
        self.panel.set_parameters(self._parameters)

    def _unbind(self, caller: Any = None, event: str = "") -> None:
        if self._parameters is not None:
            self._parameters.disconnectGui(self._gui_tag)
            self._parameters = None
            self.panel.set_parameters(None)

    def _scene_starts_to_close(self, caller: Any, event: str) -> None:
        self._unbind()
        self.panel.scene_closed()

    def _scene_changed(self, caller: Any, event: str) -> None:
        self._unbind()
        self._bind()


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
