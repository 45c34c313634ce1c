"""The module MedUnlearnable. For now it serves the Python console:

from MedUnlearnable import MedUnlearnableLogic
protected = MedUnlearnableLogic().protect(volumeNode, segmentationNode, method="UMed")
"""

from MedUnlearnableLib.scene.logic import MedUnlearnableLogic, SceneCase
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleWidget

__all__ = ["MedUnlearnable", "MedUnlearnableLogic", "MedUnlearnableWidget", "SceneCase"]


class MedUnlearnable(ScriptedLoadableModule):
    """Metadata of the module."""

    def __init__(self, parent):  # type: ignore[no-untyped-def]
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MedUnlearnable")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Informatics")]
        self.parent.dependencies = []
        self.parent.contributors = ["MedUnlearnable developers"]
        self.parent.helpText = _(
            "Protects medical images against training without permission. Protected is not de-identified."
        )
        self.parent.acknowledgementText = _("Implements the published idea of UMed (Lin et al., arXiv 2403.14250).")
        self.parent.hidden = True  # no panel yet; the logic serves the Python console


class MedUnlearnableWidget(ScriptedLoadableModuleWidget):
    """An empty panel: the module is hidden until it has one."""

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = MedUnlearnableLogic()
