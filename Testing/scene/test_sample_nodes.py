"""Samples as nodes of a real scene, and what protecting them there gives."""

import json

import numpy as np
import pytest
import slicer
import slicer.util
from MedUnlearnableLib.files.samples import synthetic_brain_mr, synthetic_ct, synthetic_fundus, synthetic_ultrasound
from MedUnlearnableLib.scene import volumes
from MedUnlearnableLib.scene.logic import MedUnlearnableLogic
from MedUnlearnableLib.scene.sample_nodes import LABEL_ATTRIBUTE, add_nodes, add_sample
from scene_helpers import voxels

SMALL = {
    "ct": lambda: synthetic_ct((8, 64, 64)),
    "brain": lambda: synthetic_brain_mr((44, 60, 48)),
    "ultrasound": lambda: synthetic_ultrasound((160, 170)),
    "fundus": lambda: synthetic_fundus((128, 128)),
}


@pytest.mark.parametrize("kind", SMALL)
def test_volume_and_segments_hold_what_was_generated(scene, kind):
    sample = SMALL[kind]()
    volume, segmentation = add_sample(kind, sample)
    assert np.array_equal(voxels(volume), sample.image)
    assert np.allclose(volumes.geometry_of(volume).ijk_to_ras, sample.geometry.ijk_to_ras)
    assert volume.GetAttribute(LABEL_ATTRIBUTE) == sample.class_label
    segments = segmentation.GetSegmentation()
    for index, (value, name) in enumerate(sorted(sample.segment_names.items())):
        segment_id = segments.GetNthSegmentID(index)
        assert segments.GetSegment(segment_id).GetName() == name
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, volume)
        assert np.array_equal(mask != 0, sample.labels == value)


@pytest.mark.parametrize("kind", SMALL)
def test_the_display_window_is_that_of_the_sample(scene, kind):
    sample = SMALL[kind]()
    display = add_sample(kind, sample)[0].GetDisplayNode()
    assert not display.GetAutoWindowLevel()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == sample.display_window


def test_only_the_ct_is_in_hounsfield_units(scene):
    made = {kind: add_sample(kind, generate())[0] for kind, generate in SMALL.items()}
    assert made["ct"].GetVoxelValueUnits().GetCodeMeaning() == "Hounsfield unit"
    assert {kind: volumes.modality_of(volume) for kind, volume in made.items()} == {
        "ct": "CT", "brain": "", "ultrasound": "", "fundus": ""}  # fmt: skip


@pytest.mark.parametrize("kind", SMALL)
def test_samples_are_protected_in_the_scene(scene, kind):
    volume, segmentation = add_sample(kind, SMALL[kind]())
    protected = MedUnlearnableLogic().protect(volume, segmentation, method="UMed", profile="instant")
    record = json.loads(protected.GetNodeReference(volumes.RECORD_REFERENCE).GetText())
    assert record["state"] == "protected"
    assert (voxels(protected) != voxels(volume)).any()


def test_a_label_value_without_a_name_is_called_after_its_number(scene):
    sample = SMALL["ct"]()
    _, segmentation = add_nodes("CT", sample.channels, sample.geometry, [sample.labels], {1: "liver"})
    segments = segmentation.GetSegmentation()
    assert [segments.GetNthSegment(index).GetName() for index in range(2)] == ["liver", "label 2"]
