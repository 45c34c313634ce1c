"""A protection small enough for the module's self test, checked voxel by voxel."""

from __future__ import annotations

from typing import Any

import numpy as np


def protect_small_volume(logic: Any) -> None:
    """Protects a cube in noise; raises AssertionError if anything but the region changed, or nothing did."""
    import slicer
    import slicer.util

    random = np.random.default_rng(0)
    image = random.integers(0, 400, (8, 32, 32)).astype(np.int16)
    mask = np.zeros(image.shape, np.uint8)
    mask[3:5, 12:20, 12:20] = 1
    volume = slicer.util.addVolumeFromArray(image, np.diag([1.0, 1.0, 3.0, 1.0]), "self test")
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment = segmentation.GetSegmentation().AddEmptySegment("cube")
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, segment, volume)
    protected = logic.protect(volume, segmentation, method="UMed", epsilon=4)
    change = slicer.util.arrayFromVolume(protected).astype(int) - image
    near = np.zeros(image.shape, bool)
    near[2:6, 9:23, 9:23] = True  # the segment and three pixels (one thick slice) around it
    assert not change[~near].any(), "a voxel away from the segment changed"
    assert 0 < np.abs(change).max() <= 4 / 255 * 400 + 1, "the change is not within the budget"
    assert np.array_equal(slicer.util.arrayFromVolume(volume), image), "the input changed"
