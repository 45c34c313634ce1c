"""Pictures from the test host: widgets, slice views and a 3D view, without a display.

The views are drawn by Slicer's own displayable managers; they need EGL (on Linux: libegl1, libegl-mesa0,
libgl1-mesa-dri). Widgets are drawn by Qt with the stand-ins, so a caption must never call them a Slicer screenshot.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import slicer
import vtk
from vtkmodules.util.numpy_support import vtk_to_numpy

if sys.platform == "linux" and not os.environ.get("DISPLAY"):
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")  # or VTK tries X first, and warns

_SLICE_MANAGERS = (
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
)
_THREE_D_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLMarkupsDisplayableManager",
)
_BACKGROUND = (0.75, 0.75, 0.9)


def grab(widget: Any, path: str | Path, caption: str = "") -> Path:
    """Draw a widget into a PNG file; a caption is written below it."""
    from PySide6 import QtCore, QtGui, QtWidgets

    widget.adjustSize()
    QtWidgets.QApplication.processEvents()
    picture = widget.grab()
    if caption:
        height = 24
        with_caption = QtGui.QPixmap(picture.width(), picture.height() + height)
        with_caption.fill(QtGui.QColor("white"))
        painter = QtGui.QPainter(with_caption)
        painter.drawPixmap(0, 0, picture)
        box = QtCore.QRect(4, picture.height(), picture.width() - 8, height)
        painter.drawText(box, QtCore.Qt.AlignmentFlag.AlignVCenter, caption)
        painter.end()
        picture = with_caption
    if not picture.save(str(path), "PNG"):
        raise OSError(f"the picture could not be written to {path}")
    return Path(path)


class OffscreenView:
    """A render window without a display, filled by displayable managers."""

    def __init__(self, factory: Any, managers: tuple[str, ...], node: Any, size: tuple[int, int]) -> None:
        factory.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        for manager in managers:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self._renderer = vtk.vtkRenderer()
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._window.SetMultiSamples(0)
        self._window.SetSize(*size)
        self._window.AddRenderer(self._renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._group = slicer.vtkMRMLDisplayableManagerGroup()
        self._group.SetRenderer(self._renderer)
        self._group.Initialize(factory, self._renderer)
        self._group.SetMRMLDisplayableNode(node)

    def image(self) -> vtk.vtkImageData:
        self._window.Render()
        window_filter = vtk.vtkWindowToImageFilter()
        window_filter.SetInput(self._window)
        window_filter.ReadFrontBufferOff()
        window_filter.Update()
        return window_filter.GetOutput()

    def pixels(self) -> Any:
        """uint8 [height, width, 3], first row on top."""
        image = self.image()
        width, height, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3].copy()

    def save(self, path: str | Path) -> Path:
        writer = vtk.vtkPNGWriter()
        writer.SetInputData(self.image())
        writer.SetFileName(str(path))
        writer.Write()
        return Path(path)


class SliceView(OffscreenView):
    """One slice through a volume, with segments, models and markups on top.

    orientation: Axial, Coronal or Sagittal; offset: mm along the slice normal (for Sagittal with the opposite sign
    of R), by default the center of the volume.
    """

    def __init__(
        self, volume: Any, orientation: str = "Axial", offset: float | None = None, size: tuple[int, int] = (480, 420)
    ) -> None:
        self._logic = slicer.vtkMRMLSliceLogic()
        application_logic = slicer.app.applicationLogic()
        self._logic.SetMRMLApplicationLogic(application_logic)
        application_logic.GetSliceLogics().AddItem(self._logic)
        self._logic.SetMRMLScene(slicer.mrmlScene)
        node = self._logic.AddSliceNode(slicer.mrmlScene.GenerateUniqueName(f"Picture{orientation}"))
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        super().__init__(factory, _SLICE_MANAGERS, node, size)
        self._renderer.GetActiveCamera().ParallelProjectionOn()
        node.SetOrientation(orientation)
        self._logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        self._logic.ResizeSliceNode(*size)
        self._logic.FitSliceToBackground()
        self._logic.SnapSliceOffsetToIJK()
        if offset is not None:
            self._logic.SetSliceOffset(offset)
        self._show_background()

    def _show_background(self) -> None:
        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        mapper.SetInputConnection(self._logic.GetImageDataConnection())
        actor = vtk.vtkActor2D()
        actor.SetMapper(mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self._renderer.AddViewProp(actor)


class ThreeDView(OffscreenView):
    """Everything that the scene shows in 3D, camera on all of it."""

    def __init__(self, size: tuple[int, int] = (480, 420)) -> None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLViewNode", "PictureView")
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        super().__init__(factory, _THREE_D_MANAGERS, node, size)
        self._renderer.SetBackground(*_BACKGROUND)
        for segmentation in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
            segmentation.CreateClosedSurfaceRepresentation()
        self._renderer.ResetCamera()
