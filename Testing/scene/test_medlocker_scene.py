"""MedLocker on volumes of a real MRML scene: segments and ROIs stay free, the result is a new node."""

import json
from functools import partial

import numpy as np
import pytest
import slicer
import slicer.util
from MedUnlearnableLib.engine.errors import Refused, UsageError
from MedUnlearnableLib.scene.lesion_boxes import boxes_of
from MedUnlearnableLib.scene.logic import MedUnlearnableLogic
from MedUnlearnableLib.scene.volumes import RECORD_REFERENCE
from scene_helpers import add_segmentation, add_volume, ct_with_segments, matrix, voxels

protect = partial(MedUnlearnableLogic().protect, method="MedLocker", profile="instant", logo="X")


def roi(center, size, name="lesion"):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    node.SetCenter(*center)
    node.SetSize(*size)
    return node


def test_a_volume_is_marked_outside_of_its_segments(scene):
    volume, _ = ct_with_segments()
    before = voxels(volume).copy()
    mask = np.zeros(before.shape, bool)
    mask[4:6, 18:24, 18:24] = True
    protected = protect(volume, add_segmentation(volume, lesion=mask), logos=2, mode="sealed", seed=1)
    changed = voxels(protected) != before
    assert np.array_equal(voxels(volume), before)
    assert changed.any() and not changed[mask].any()
    record = json.loads(protected.GetNodeReference(RECORD_REFERENCE).GetText())
    assert record["method"] == "MedLocker" and record["burned_in"]
    assert record["parameters"]["mode"] == "sealed" and record["parameters"]["lesion_overlap_voxels"] == 0


def test_rois_are_kept_free_in_the_slices_they_reach(scene):
    volume = add_volume(np.random.default_rng(0).integers(100, 900, (8, 40, 44)).astype(np.int16), matrix())
    lesion = roi((20.0, 18.0, 8.0), (6.0, 4.0, 5.0))
    rows = boxes_of([lesion], volume)
    assert [row[0] for row in rows] == [3, 4, 5]
    assert {tuple(row[1:]) for row in rows} == {(17, 16, 24, 21)}
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    slicer.util.updateTransformMatrixFromArray(transform, matrix(origin=(3.0, 0.0, 0.0), spacing=(1, 1, 1)))
    volume.SetAndObserveTransformNodeID(transform.GetID())
    assert {tuple(row[1:]) for row in boxes_of([lesion], volume)} == {(14, 16, 21, 21)}
    volume.SetAndObserveTransformNodeID(None)
    changed = voxels(protect(volume, lesionROIs=[lesion], seed=0)) != voxels(volume)
    assert changed.any() and not changed[3:6, 16:21, 17:24].any()
    with pytest.raises(Refused, match="outside of volume"):
        boxes_of([roi((500.0, 0.0, 0.0), (1.0, 1.0, 1.0))], volume)


def test_wrong_choices_are_one_sentence(scene):
    volume, segments = ct_with_segments()
    with pytest.raises(UsageError, match="no budget"):
        protect(volume, segments, epsilon=4)
    with pytest.raises(Refused, match=r"no\.png"):
        protect(volume, segments, logo="no.png")
