"""SALM on volumes of a real MRML scene: labels of nodes, regions, states, and every refusal."""

import json
from functools import partial

import numpy as np
import pytest
import slicer.util
from MedUnlearnableLib.engine.errors import Refused, UsageError
from MedUnlearnableLib.scene.logic import MedUnlearnableLogic, SceneCase
from MedUnlearnableLib.scene.volumes import RECORD_REFERENCE, geometry_of
from PIL import Image
from scene_helpers import add_volume, ct_with_segments, matrix, voxels

LOGIC = MedUnlearnableLogic()
NAMES = ["benign", "malignant"]
protect = partial(LOGIC.protect, method="SALM")


def picture(name, seed=0, shape=(1, 40, 40)):
    return add_volume(np.random.default_rng(seed).integers(20, 230, shape).astype(np.uint8), matrix(), name)


def moved(volume, protected):
    return voxels(protected).astype(float) != voxels(volume)


def test_a_single_labeled_volume_needs_the_names_of_all_classes_and_no_segmentation(scene):
    volume = picture("a")
    protected = protect(volume, label="benign", classNames=NAMES)
    record = json.loads(protected.GetNodeReference(RECORD_REFERENCE).GetText())
    assert protected.GetName().startswith("a protected (SALM)")
    assert record["method"] == "SALM" and record["profile"] == "standard"
    assert 0 < moved(volume, protected).mean() <= 0.31
    assert np.abs(voxels(protected).astype(float) - voxels(volume)).max() <= record["budget"]
    assert np.array_equal(geometry_of(protected).ijk_to_ras, geometry_of(volume).ijk_to_ras)
    with pytest.raises(Refused, match="one class only"):
        protect(volume, label="benign")


def test_the_attribute_of_the_node_is_its_label_and_a_given_one_comes_first(scene):
    volume = picture("a")
    volume.SetAttribute("MedUnlearnable.label", "malignant")
    by_attribute, given, other = (
        voxels(protect(volume, label=label, classNames=NAMES, seed=1)) for label in (None, "malignant", "benign")
    )
    assert np.array_equal(by_attribute, given)
    assert not np.array_equal(by_attribute, other)


def test_many_cases_are_one_data_set(scene):
    cases = [SceneCase(picture(f"p{n}", n), label=NAMES[n % 2]) for n in range(4)]
    results = LOGIC.protectCases(cases, method="SALM", seed=1)
    assert all(node.GetName().startswith(f"p{n} protected (SALM)") for n, node in enumerate(results))
    assert all(moved(case.volumeNode, node).any() for case, node in zip(cases, results))


@pytest.mark.parametrize("region", ["inside", "outside"])
def test_a_region_keeps_every_voxel_beyond_it(scene, region):
    volume, segmentation = ct_with_segments()
    inside = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "organ", volume) != 0
    protected = protect(volume, segmentation, label="a", classNames=["a", "b"], region=region)
    changed = moved(volume, protected)
    assert changed.any()
    assert not changed[inside if region == "outside" else ~inside].any()


def test_without_labels_the_segments_of_each_slice_are_its_class(scene):
    volume, segmentation = ct_with_segments()
    assert moved(volume, protect(volume, segmentation)).any(axis=(1, 2)).all()


def test_a_saved_state_protects_a_new_case_with_its_classes(scene, tmp_path):
    first, second = picture("a", 1), picture("b", 2)
    cases = [SceneCase(first, label="benign"), SceneCase(second, label="malignant")]
    results = LOGIC.protectCases(cases, method="SALM", saveState=tmp_path / "state.json")
    again = protect(first, label="benign", state=tmp_path / "state.json")
    assert np.array_equal(voxels(again), voxels(results[0]))
    with pytest.raises(Refused, match="which --class-names leaves out"):
        protect(first, label="normal", state=tmp_path / "state.json")


def test_what_is_missing_is_said_with_the_name_of_the_volume(scene):
    cases = [SceneCase(picture("a"), label="x"), SceneCase(picture("b"))]
    with pytest.raises(Refused, match="volume 'b' has no class label; give it as `label`, or set"):
        LOGIC.protectCases(cases, method="SALM")
    with pytest.raises(Refused, match="needs segments"):
        protect(picture("c"), label="a", classNames=["a", "b"], region="inside")
    with pytest.raises(UsageError, match="--region here is unknown"):
        protect(picture("d"), label="a", classNames=["a", "b"], region="here")


def test_a_folder_is_protected_as_on_the_command_line(scene, tmp_path):
    for n in range(4):
        folder = tmp_path / "in" / NAMES[n % 2]
        folder.mkdir(parents=True, exist_ok=True)
        image = np.random.default_rng(n).integers(20, 230, (20, 20)).astype(np.uint8)
        Image.fromarray(image).save(folder / f"p{n}.png")
    job = LOGIC.startProtectFolder(
        tmp_path / "in", None, tmp_path / "out", method="SALM", classes=tmp_path / "in", seed=1
    )
    while job.isRunning():
        job.poll()
    assert job.result["exit_code"] == 0, job.result
    assert [outcome.record.method for outcome in job.outcomes()] == ["SALM"] * 4
