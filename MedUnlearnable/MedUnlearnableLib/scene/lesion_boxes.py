"""Lesion boxes from ROI nodes, in the slices of a volume."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from ..engine.errors import Refused
from ..files.boxes import BoxRow
from .volumes import geometry_of


def boxes_of(rois: Sequence[Any], volume: Any) -> list[BoxRow]:
    """Rows [slice, x0, y0, x1, y1] that cover every ROI: an ROI at an angle to the voxels gets the box around it.

    Refuses an ROI that lies outside the volume: it was drawn for another one.
    """
    ijk_to_world = _to_world(volume) @ geometry_of(volume).ijk_to_ras
    columns, height, depth = volume.GetImageData().GetDimensions()
    rows: list[BoxRow] = []
    for roi in rois:
        corners = np.linalg.solve(ijk_to_world, _corners(roi))[:3]
        low = np.maximum(np.floor(corners.min(axis=1) + 0.5).astype(int), 0)
        high = np.minimum(np.floor(corners.max(axis=1) + 0.5).astype(int) + 1, (columns, height, depth))
        if (high <= low).any():
            raise Refused(f"ROI '{roi.GetName()}' lies outside of volume '{volume.GetName()}'; move it or leave it out")
        rows += [[k, int(low[0]), int(low[1]), int(high[0]), int(high[1])] for k in range(low[2], high[2])]
    return rows


def _to_world(volume: Any) -> np.ndarray:
    """What the transforms above the volume do; those that are not linear are refused."""
    import slicer
    import slicer.util
    import vtk

    parent, matrix = volume.GetParentTransformNode(), vtk.vtkMatrix4x4()
    if parent is not None and not parent.IsTransformToWorldLinear():
        raise Refused(f"volume '{volume.GetName()}' is under a transform that bends it; harden the transform first")
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(parent, None, matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _corners(roi: Any) -> np.ndarray:
    """The eight corners in world coordinates, homogeneous, [4, 8]."""
    center, axes = np.zeros(3), np.zeros((3, 3))
    roi.GetCenterWorld(center)
    for axis, get in zip(axes, (roi.GetXAxisWorld, roi.GetYAxisWorld, roi.GetZAxisWorld)):
        get(axis)
    size = np.zeros(3)
    roi.GetSizeWorld(size)
    corners = [center + np.multiply(signs, size / 2) @ axes for signs in product((-1, 1), repeat=3)]
    return np.vstack([np.transpose(corners), np.ones(8)])
