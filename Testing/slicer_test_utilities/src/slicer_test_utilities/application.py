"""`slicer.app` and the module manager."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from .io_manager import IOManager
from .layout import LayoutManager
from .pythonqt import stand_in
from .pythonqt.properties import stored


@stand_in
class qSlicerModuleManager(QtCore.QObject):
    """Knows the modules that are attributes of `slicer.modules`."""

    moduleLoaded = QtCore.Signal(str)
    moduleAboutToBeUnloaded = QtCore.Signal(str)
    moduleUnloaded = QtCore.Signal(str)

    def modulesNames(self) -> tuple[str, ...]:
        return tuple(module.name for module in vars(slicer.modules).values() if hasattr(module, "path"))

    def module(self, name: str) -> Any:
        return getattr(slicer.modules, name.lower(), None)

    def factoryManager(self) -> Any:
        return self

    def loadedModuleNames(self) -> tuple[str, ...]:
        return self.modulesNames()


@stand_in
class qSlicerApplication(QtCore.QObject):
    """Slicer's application object; paths are properties. The real event loop is Qt's."""

    startupCompleted = QtCore.Signal()
    aboutToQuit = QtCore.Signal()
    mrmlSceneChanged = QtCore.Signal(object)
    focusChanged = QtCore.Signal(object, object)
    cpp_signals = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged(PyObject)"}
    applicationName = stored(str, "applicationName", "Slicer")
    applicationVersion = stored(str, "applicationVersion", "5.12.4-test-host")
    mainApplicationName = stored(str, "mainApplicationName", "Slicer")
    majorVersion = stored(int, "majorVersion", 5)
    minorVersion = stored(int, "minorVersion", 12)
    revision = stored(str, "revision", "0")
    slicerHome = stored(str, "slicerHome", "")
    temporaryPath = stored(str, "temporaryPath", "")
    launcherExecutableFilePath = stored(str, "launcherExecutableFilePath", "")
    launcherSettingsFilePath = stored(str, "launcherSettingsFilePath", "")
    extensionsInstallPath = stored(str, "extensionsInstallPath", "")
    documentationBaseUrl = stored(str, "documentationBaseUrl", "https://slicer.readthedocs.io/en/latest/")
    platform = stored(str, "platform", "linux-amd64")
    _application_logic: Any
    _io_manager: IOManager
    _module_manager: qSlicerModuleManager
    _layout_manager: LayoutManager | None = None
    _main_window: Any = None
    _cursors: list[Any]
    _folder: tempfile.TemporaryDirectory
    _settings: QtCore.QSettings
    _is_testing = True

    def __init__(self, application_logic: Any) -> None:
        super().__init__()
        self._application_logic = application_logic
        self._io_manager = IOManager()
        self._module_manager = qSlicerModuleManager()
        self._cursors = []
        self._folder = tempfile.TemporaryDirectory(prefix="slicer-test-")
        self.temporaryPath = self._folder.name
        self.slicerHome = os.path.join(self._folder.name, "Slicer")
        self._settings = self._private_settings()

    def _private_settings(self) -> QtCore.QSettings:
        """Settings of one test: never the user's, never the previous test's."""
        settings = QtCore.QSettings
        settings.setDefaultFormat(settings.Format.IniFormat)
        for scope in (settings.Scope.UserScope, settings.Scope.SystemScope):
            settings.setPath(settings.Format.IniFormat, scope, os.path.join(self._folder.name, "settings"))
        QtCore.QCoreApplication.setOrganizationName("SlicerTest")
        QtCore.QCoreApplication.setApplicationName(os.path.basename(self._folder.name))
        return QtCore.QSettings()

    def close(self) -> None:
        self._folder.cleanup()

    def processEvents(self, *_: Any) -> None:
        QtWidgets.QApplication.processEvents()

    def testingEnabled(self) -> bool:
        return self._is_testing

    def setTestingEnabled(self, is_testing: bool) -> None:
        """Test host only: False shows the dialogs that testing mode skips."""
        self._is_testing = is_testing

    def coreIOManager(self) -> IOManager:
        return self._io_manager

    def ioManager(self) -> IOManager:
        return self._io_manager

    def moduleManager(self) -> qSlicerModuleManager:
        return self._module_manager

    def layoutManager(self) -> LayoutManager | None:
        """None without a main window, as in Slicer."""
        return self._layout_manager

    def showMainWindow(self) -> Any:
        """Test host only: from now on there is a main window with a layout manager, as in an interactive Slicer."""
        self._main_window = QtWidgets.QMainWindow()
        self._main_window.setObjectName("qSlicerMainWindow")
        self._main_window.statusBar()
        self._layout_manager = LayoutManager(slicer.mrmlScene, self._application_logic)
        return self._main_window

    def applicationLogic(self) -> Any:
        return self._application_logic

    def mrmlScene(self) -> Any:
        return slicer.mrmlScene

    def setOverrideCursor(self, cursor: Any) -> None:
        self._cursors.append(cursor)

    def restoreOverrideCursor(self) -> None:
        self._cursors.pop()

    def overrideCursors(self) -> list[Any]:
        """Test host only: wait cursors that are still set."""
        return self._cursors

    def userSettings(self) -> QtCore.QSettings:
        return self._settings

    def settings(self) -> QtCore.QSettings:
        return self._settings

    def clipboard(self) -> QtGui.QClipboard:
        return QtWidgets.QApplication.clipboard()

    def palette(self) -> QtGui.QPalette:
        return QtWidgets.QApplication.palette()

    def style(self) -> QtWidgets.QStyle:
        return QtWidgets.QApplication.style()

    def font(self) -> QtGui.QFont:
        return QtWidgets.QApplication.font()

    def translate(self, context: str, text: str) -> str:
        return text

    def moduleDocumentationUrl(self, module_name: str) -> str:
        return f"{self.documentationBaseUrl}user_guide/modules/{module_name.lower()}.html"

    def topLevelWidgets(self) -> tuple[QtWidgets.QWidget, ...]:
        return tuple(QtWidgets.QApplication.topLevelWidgets())

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        return QtCore.QProcessEnvironment.systemEnvironment()

    def isInstalled(self) -> bool:
        return True

    def pauseRender(self) -> None:
        """Nothing is rendered."""

    def resumeRender(self) -> None:
        """Nothing is rendered."""

    def restart(self) -> None:
        raise RuntimeError("slicer.app.restart() was called in a test")

    def exit(self, status: int = 0) -> None:
        raise RuntimeError(f"slicer.app.exit({status}) was called in a test")
