"""Protecting volumes of a real MRML scene: voxels, geometry, display, hierarchy, and every refusal."""

import json
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from MedUnlearnableLib.engine.errors import Cancelled, Refused, UsageError
from MedUnlearnableLib.engine.masks import contour_and_interior, contour_radius
from MedUnlearnableLib.scene.logic import MedUnlearnableLogic, SceneCase
from MedUnlearnableLib.scene.volumes import RECORD_REFERENCE, geometry_of
from scene_helpers import add_segmentation, add_volume, ct_with_segments, matrix, voxels

LOGIC = MedUnlearnableLogic()

GEOMETRIES = {
    "rotated anisotropic": matrix(25, (0.7, 0.9, 2.5), (-50, 20, -120)),
    "flipped": matrix(0, (1, 1, 2), flip=(-1, -1, 1)),
    "left-handed": matrix(10, (1, 1, 2), flip=(1, 1, -1)),
    "sheared": matrix(0, (1, 1, 3), shear=0.3),
    "thick along i": matrix(0, (4, 1, 1)),
}


def assert_protected(volume, protected, masks):
    """Only the region of the masks changed, within the budget, and it did change."""
    record = json.loads(protected.GetNodeReference(RECORD_REFERENCE).GetText())
    before, after = voxels(volume), voxels(protected)
    radius = contour_radius(geometry_of(volume).spacing_kji, before.shape[:3])
    region = np.logical_or(*contour_and_interior([mask.astype(np.uint8) for mask in masks], radius))
    difference = np.abs(after.astype(np.float64) - before)
    assert after.dtype == before.dtype
    assert not difference[~region].any()
    assert 0 < difference.max() <= record["budget"]
    inside = np.logical_or.reduce(masks)
    assert np.count_nonzero(difference[inside]) > 0.3 * np.count_nonzero(inside)


def masks_of(segmentation, volume, ids=("organ", "lesion")):
    return [slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, i, volume) != 0 for i in ids]


@pytest.mark.parametrize("name", GEOMETRIES)
def test_oriented_volumes_change_under_their_segments_only(scene, name):
    volume, segmentation = ct_with_segments(GEOMETRIES[name])
    protected = LOGIC.protect(volume, segmentation)
    assert_protected(volume, protected, masks_of(segmentation, volume))
    assert np.array_equal(geometry_of(protected).ijk_to_ras, geometry_of(volume).ijk_to_ras)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_every_scalar_type_of_a_volume_node_survives(scene, dtype):
    random = np.random.default_rng(0)
    image = random.integers(1, 120, (4, 30, 30)).astype(dtype)
    volume = add_volume(image)
    mask = np.zeros(image.shape, bool)
    mask[1:3, 8:22, 8:22] = True
    segmentation = add_segmentation(volume, a=mask)
    assert_protected(volume, LOGIC.protect(volume, segmentation, epsilon=8), [mask])


def test_a_single_slice_and_an_rgb_slice_are_protected(scene):
    random = np.random.default_rng(0)
    mask = np.zeros((1, 40, 40), bool)
    mask[0, 10:30, 12:28] = True
    for shape in ((1, 40, 40), (1, 40, 40, 3)):
        volume = add_volume(random.integers(1, 250, shape).astype(np.uint8))
        protected = LOGIC.protect(volume, add_segmentation(volume, a=mask))
        assert protected.GetClassName() == volume.GetClassName()
        assert_protected(volume, protected, [mask])


def test_segments_with_another_reference_geometry_are_placed_where_they_lie(scene):
    coarse = add_volume(np.zeros((10, 20, 22), np.int16), matrix(0, (2, 2, 2)), "coarse")
    mask = np.zeros((10, 20, 22), bool)
    mask[3:7, 6:14, 6:14] = True
    segmentation = add_segmentation(coarse, organ=mask)
    volume, _ = ct_with_segments(matrix(0, (1, 1, 2)))
    assert_protected(volume, LOGIC.protect(volume, segmentation), masks_of(segmentation, volume, ["organ"]))


def test_overlapping_segments_stay_apart_on_the_way_to_the_worker(scene):
    from MedUnlearnableLib.scene import segments

    volume, segmentation = ct_with_segments()
    layers, pairs = segments.layers_of(segmentation, None, volume)
    for number, mask in enumerate(masks_of(segmentation, volume)):
        layer, value = int(pairs[f"Segment{number}_Layer"]), int(pairs[f"Segment{number}_LabelValue"])
        assert np.array_equal(layers[layer] == value, mask)


def test_chosen_segments_alone_are_protected(scene):
    volume, segmentation = ct_with_segments()
    protected = LOGIC.protect(volume, segmentation, segmentIDs=["lesion"])
    assert_protected(volume, protected, masks_of(segmentation, volume, ["lesion"]))


def test_the_input_is_not_changed(scene):
    volume, segmentation = ct_with_segments()
    before = voxels(volume).copy()
    modified = volume.GetImageData().GetMTime()
    LOGIC.protect(volume, segmentation)
    assert np.array_equal(voxels(volume), before)
    assert volume.GetImageData().GetMTime() == modified


def test_units_display_transform_and_place_are_kept_and_dicom_identity_is_not(scene):
    volume, segmentation = ct_with_segments()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "study")
    hierarchy.CreateItem(study, volume)
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    volume.SetVoxelValueUnits(units)
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevel(377, 41)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    slicer.util.updateTransformMatrixFromArray(transform, matrix(15, (1, 1, 1), (5, -7, 9)))
    for node in (volume, segmentation):
        node.SetAndObserveTransformNodeID(transform.GetID())
    protected = LOGIC.protect(volume, segmentation)
    assert protected.GetVoxelValueUnits().GetCodeValue() == "[hnsf'U]"
    assert protected.GetAttribute("DICOM.instanceUIDs") is None
    assert volume.GetAttribute("DICOM.instanceUIDs") == "1.2.3"
    assert (protected.GetDisplayNode().GetWindow(), protected.GetDisplayNode().GetLevel()) == (377, 41)
    assert protected.GetDisplayNode() is not volume.GetDisplayNode()
    assert protected.GetTransformNodeID() == transform.GetID()
    item = hierarchy.GetItemByDataNode(protected)
    assert hierarchy.GetItemParent(item) == study
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(protected.GetNodeReference(RECORD_REFERENCE))) == item
    assert json.loads(protected.GetNodeReference(RECORD_REFERENCE).GetText())["units"] == "HU"


def test_the_node_says_what_was_done_to_it(scene):
    volume, segmentation = ct_with_segments()
    protected = LOGIC.protect(volume, segmentation)
    assert protected.GetName().startswith("CT protected (UMed)")
    assert protected.GetAttribute("MedUnlearnable.method") == "UMed"
    assert protected.GetAttribute("MedUnlearnable.source") == volume.GetID()
    assert "not for diagnosis" in protected.GetAttribute("MedUnlearnable.notice")
    assert LOGIC.protect(volume, segmentation).GetName() != protected.GetName()


def test_equal_transforms_of_two_nodes_are_one_and_different_ones_are_refused(scene):
    volume, segmentation = ct_with_segments()
    transforms = [scene.AddNewNodeByClass("vtkMRMLLinearTransformNode") for _ in range(2)]
    for transform in transforms:
        slicer.util.updateTransformMatrixFromArray(transform, matrix(15, (1, 1, 1)))
    volume.SetAndObserveTransformNodeID(transforms[0].GetID())
    with pytest.raises(Refused, match="different transforms"):
        LOGIC.protect(volume, segmentation)
    segmentation.SetAndObserveTransformNodeID(transforms[1].GetID())
    assert_protected(volume, LOGIC.protect(volume, segmentation), masks_of(segmentation, volume))


def test_the_same_seed_gives_the_same_voxels_and_a_state_the_same_carrier(scene, tmp_path):
    volume, segmentation = ct_with_segments()
    first = LOGIC.protect(volume, segmentation, seed=4, saveState=tmp_path / "state.json")
    again = LOGIC.protect(volume, segmentation, seed=4)
    by_state = LOGIC.protect(volume, segmentation, state=tmp_path / "state.json")
    other = LOGIC.protect(volume, segmentation, seed=2)  # the other sign
    assert np.array_equal(voxels(first), voxels(again))
    assert np.array_equal(voxels(first), voxels(by_state))
    assert not np.array_equal(voxels(first), voxels(other))


def test_several_volumes_are_one_data_set(scene):
    cases = [SceneCase(*ct_with_segments(GEOMETRIES[name])) for name in ("flipped", "sheared")]
    events = []
    results = LOGIC.startProtect(cases).wait(events.append)
    assert len(results) == 2
    windows = {tuple(json.loads(r.GetNodeReference(RECORD_REFERENCE).GetText())["window"]) for r in results}
    assert len(windows) == 1
    assert events[0]["event"] == "started"


def test_nothing_is_left_in_the_temporary_folder(scene, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    volume, segmentation = ct_with_segments()
    LOGIC.protect(volume, segmentation)
    with pytest.raises(Refused):
        LOGIC.protect(volume, segmentation, window="5000,6000")
    assert list(tmp_path.iterdir()) == []


def test_a_job_can_be_cancelled_and_leaves_no_node(scene):
    volume, segmentation = ct_with_segments(shape=(60, 200, 200))
    before = scene.GetNumberOfNodes()
    job = LOGIC.startProtect([SceneCase(volume, segmentation)])
    job.cancel()
    with pytest.raises(Cancelled):
        job.wait()
    assert scene.GetNumberOfNodes() == before


def test_protecting_adds_the_volume_its_display_and_the_record_and_nothing_else(scene):
    volume, segmentation = ct_with_segments()
    before = {scene.GetNthNode(n).GetID() for n in range(scene.GetNumberOfNodes())}
    protected = LOGIC.protect(volume, segmentation)
    added = {scene.GetNthNode(n).GetClassName() for n in range(scene.GetNumberOfNodes())
             if scene.GetNthNode(n).GetID() not in before}  # fmt: skip
    assert added <= {protected.GetClassName(), protected.GetDisplayNode().GetClassName(), "vtkMRMLTextNode"}


def test_results_of_a_running_job_cannot_be_taken(scene):
    job = LOGIC.startProtect([SceneCase(*ct_with_segments())])
    with pytest.raises(Exception, match="still running"):
        job.results()
    job.wait()
    assert not job.isRunning()


@pytest.mark.parametrize("close_scene", [False, True])
def test_a_volume_removed_during_the_run_still_gets_its_result(scene, close_scene):
    volume, segmentation = ct_with_segments(GEOMETRIES["sheared"])
    expected, geometry = voxels(LOGIC.protect(volume, segmentation, seed=3)).copy(), geometry_of(volume).ijk_to_ras
    job = LOGIC.startProtect([SceneCase(volume, segmentation)], seed=3)
    if close_scene:
        scene.Clear(False)
    else:
        scene.RemoveNode(volume)
    (protected,) = job.wait()
    assert "CT protected" in protected.GetName()
    assert np.array_equal(voxels(protected), expected)
    assert np.allclose(geometry_of(protected).ijk_to_ras, geometry)


def test_one_bad_volume_does_not_cost_the_others(scene):
    good = SceneCase(*ct_with_segments())
    volume, segmentation = ct_with_segments()
    nan = add_volume(np.full(voxels(volume).shape, np.nan, np.float32), matrix(), "nan")
    job = LOGIC.startProtect([good, SceneCase(nan, segmentation)])
    with pytest.raises(Refused, match="'nan'"):
        job.wait()
    first, second = job.outcomes()
    assert first.volumeNode is not None
    assert first.record.state == "protected"
    assert second.volumeNode is None
    assert "'nan'" in second.error


def test_the_protected_volume_reads_back_from_nrrd_and_nifti(scene, tmp_path):
    volume, segmentation = ct_with_segments(GEOMETRIES["rotated anisotropic"])
    protected = LOGIC.protect(volume, segmentation)
    for ending in ("nrrd", "nii.gz"):
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(tmp_path / f"p.{ending}"))
        assert storage.WriteData(protected)
        storage.SetSingleFile(True)
        back = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        assert storage.ReadData(back)
        assert np.array_equal(voxels(back), voxels(protected))
        assert np.allclose(geometry_of(back).ijk_to_ras, geometry_of(protected).ijk_to_ras, atol=1e-4)


def empty_volume():
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")


def test_impossible_requests_are_one_sentence_that_names_the_node(scene):
    volume, segmentation = ct_with_segments()
    blank = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "blank")
    labelmap = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    labelmap.CopyOrientation(volume)
    labelmap.SetAndObserveImageData(volume.GetImageData())
    hollow = add_segmentation(volume, nothing=np.zeros(voxels(volume).shape, bool))
    nan = add_volume(np.full((10, 40, 44), np.nan, np.float32), matrix(), "nan")
    for call, error, words in [
        (lambda: LOGIC.protect(empty_volume(), segmentation), Refused, "'empty' holds no image"),
        (lambda: LOGIC.protect(labelmap, segmentation), Refused, "'labels' is not an image volume"),
        (lambda: LOGIC.protect(volume, blank), Refused, "'blank' holds no segment"),
        (lambda: LOGIC.protect(volume, segmentation, segmentIDs=["x"]), Refused, "no segment 'x'"),
        (lambda: LOGIC.protect(volume, hollow), Refused, "no voxel within volume 'CT'"),
        (lambda: LOGIC.protect(nan, segmentation), Refused, "'nan'"),
        (lambda: LOGIC.protect(volume, segmentation, profile="fast"), UsageError, "--profile fast"),
        (lambda: LOGIC.protect(volume, segmentation, method="Nothing"), UsageError, "method"),
        (lambda: LOGIC.protect(volume, segmentation, speed=3), UsageError, "option speed"),
        (lambda: LOGIC.protect(volume, segmentation, device="cuda"), Refused, "cuda"),
        (lambda: LOGIC.protect(volume, segmentation, epsilon=0.01), Refused, "--epsilon"),
        (lambda: LOGIC.startProtect([]), Refused, "no case"),
    ]:
        with pytest.raises(error, match=words):
            call()


def test_a_surface_segmentation_is_protected_too(scene):
    volume, _ = ct_with_segments()
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(20, 20, 10)
    sphere.SetRadius(8)
    sphere.Update()
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "surface")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segmentation.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "ball", [1, 0, 0])
    ball = segmentation.GetSegmentation().GetNthSegmentID(0)
    assert_protected(volume, LOGIC.protect(volume, segmentation), masks_of(segmentation, volume, [ball]))


def test_the_demo_saves_volumes_and_pictures_and_says_a_table(scene, tmp_path):
    from MedUnlearnableLib.files import formats
    from MedUnlearnableLib.scene.demo import run_demo
    from PIL import Image

    said = []
    run_demo(tmp_path / "out", None, None, said.append)
    assert any("generated CT" in line and "HU" in line for line in said)
    assert Image.open(tmp_path / "out" / "generated CT.png").size[0] > 800
    assert formats.read(tmp_path / "out" / "generated CT protected.nrrd").array.dtype == np.int16
    with pytest.raises(Refused, match="in use"):
        run_demo(tmp_path / "out", None, None, said.append)


@pytest.mark.parametrize("name", ["ct_head_oblique_hu_int16.nrrd", "busi_fullres_with_masks/benign_10.png"])
def test_the_demo_takes_a_real_file(scene, tmp_path, samples: Path, name):
    from MedUnlearnableLib.scene.demo import run_demo

    said = []
    run_demo(tmp_path / "out", samples / name, None, said.append)
    assert any("threshold" in line or "stand in" in line for line in said)
    assert len(list((tmp_path / "out").glob("*.png"))) == 2
