"""A small scripted module for the tests of this package."""

from typing import Annotated

import qt
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class Sample(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Sample")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Examples")]
        self.parent.contributors = ["Jane Doe (Example)"]
        self.startupCount = 0
        slicer.app.connect("startupCompleted()", self.onStartup)

    def onStartup(self):
        self.startupCount += 1


@parameterNodeWrapper
class SampleParameterNode:
    inputVolume: slicer.vtkMRMLScalarVolumeNode
    epsilon: Annotated[float, WithinRange(0, 8)] = 2.0


class SampleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.calls = []

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/Sample.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = SampleLogic()
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneClosed)
        self.timer = qt.QTimer()
        self.timer.interval = 250
        self.parameterNode = SampleParameterNode(self.logic.getParameterNode())
        self.guiTag = self.parameterNode.connectGui(self.ui)
        self.calls.append("setup")

    def enter(self):
        self.calls.append("enter")

    def exit(self):
        self.calls.append("exit")

    def cleanup(self):
        self.calls.append("cleanup")
        self.parameterNode.disconnectGui(self.guiTag)
        self.removeObservers()
        self.timer.stop()

    def onSceneClosed(self, caller, event):
        self.calls.append("closed")

    def onApply(self):
        with slicer.util.tryWithErrorDisplay(_("Failed."), waitCursor=True):
            self.logic.process(self.parameterNode.inputVolume)


class SampleLogic(ScriptedLoadableModuleLogic):
    def process(self, volume):
        if volume is None:
            raise ValueError("no input volume")
        array = slicer.util.arrayFromVolume(volume)
        array += 1
        slicer.util.arrayFromVolumeModified(volume)


class SampleTest(ScriptedLoadableModuleTest):
    def runTest(self):
        self.assertIsNotNone(vtk.vtkVersion().GetVTKVersion())
