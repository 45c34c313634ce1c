"""Start and end of the stand-in application. Import this before any module of the extension."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
import slicer.util
from PySide6 import QtWidgets

from . import ctk_widgets, leaks, mrml_widgets, popups, pythonqt, slicer_python
from .scene import running_scene

logger = logging.getLogger(__name__)


def install() -> QtWidgets.QApplication:
    """Once per process: the modules qt, ctk and Slicer's Python files, the widgets, and one QApplication."""
    qt = pythonqt.install()
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["Slicer"])
    if getattr(qt, "_host_is_installed", False):
        return application
    QtWidgets.QApplication.setQuitOnLastWindowClosed(False)
    popups.install()
    leaks.install()
    ctk_widgets.install()
    mrml_widgets.install()
    _install_ui_loader(qt)
    slicer_python.install()
    slicer.util.delayDisplay = _delay_display
    vars(qt)["_host_is_installed"] = True
    return application


def _install_ui_loader(qt: Any) -> None:
    from .scripted_module import qSlicerScriptedLoadableModule, qSlicerScriptedLoadableModuleWidget
    from .ui_loader import QUiLoader

    qt.QUiLoader = QUiLoader
    slicer.qSlicerScriptedLoadableModule = qSlicerScriptedLoadableModule
    slicer.qSlicerScriptedLoadableModuleWidget = qSlicerScriptedLoadableModuleWidget
    sys.modules.setdefault("MRMLCorePython", slicer)


def _delay_display(message: str, *_: Any, **__: Any) -> None:
    """Slicer shows a window for a while; here the message is logged and events run."""
    logger.info(message)
    QtWidgets.QApplication.processEvents()


@contextmanager
def running_application() -> Iterator[Any]:
    """`slicer.app`, `slicer.modules` and a fresh scene for one test."""
    install()
    from .application import qSlicerApplication
    from .dicom_database import ctkDICOMDatabase

    with running_scene() as scene:
        slicer.app = qSlicerApplication(scene.application_logic)
        slicer.dicomDatabase = ctkDICOMDatabase()
        try:
            yield slicer.app
        finally:
            popups.popups.clear()
            _forget_samples()
            close_all_windows()
            slicer.app.close()
            del slicer.app, slicer.dicomDatabase


def _forget_samples() -> None:
    import SampleData

    SampleData.SampleDataLogic.sources.clear()
    SampleData.SampleDataLogic.generators.clear()


def close_all_windows() -> None:
    import shiboken6

    for widget in QtWidgets.QApplication.topLevelWidgets():
        if shiboken6.isValid(widget):
            shiboken6.delete(widget)
    QtWidgets.QApplication.processEvents()
