"""What the Audit says of images, and how it picks and splits them: known changes, known textures, whole cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MedUnlearnableLib.engine.audit.change import case_windows, measure_change
from MedUnlearnableLib.engine.audit.cohort import Samples, assemble, slices_of, volume_of
from MedUnlearnableLib.engine.audit.texture import LEVELS, texture_features
from MedUnlearnableLib.engine.case import Case, Channel, Classes, Geometry, Units
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import UMed, UMedParams
from MedUnlearnableLib.engine.window import IntensityWindow
from skimage.feature import graycomatrix, graycoprops

WINDOW = IntensityWindow(0.0, 255.0, None)


def case_of(image, labels=None, **more):
    return Case("a", image, Geometry.of_spacing((0.5, 0.5, 2.0)), () if labels is None else (labels,), **more)


def ball(shape=(8, 24, 24)):
    distance = np.linalg.norm(np.indices(shape) - np.array([4, 12, 12]).reshape(3, 1, 1, 1), axis=0)
    return (distance < 4).astype(np.uint8)


@pytest.fixture(scope="module")
def protected():
    """An MR-like case, what UMed made of it, and the record."""
    image = np.random.default_rng(0).integers(50, 900, (1, 8, 24, 24)).astype(np.int16)
    case = case_of(image, ball(), units=Units(2.0, -100.0))
    result = UMed(UMedParams(profile="instant"), RandomStreams.from_number(1)).protect(case)
    return case, replace(case, image=result.image), result.record


def test_what_umed_changed_is_found_and_every_check_passes(protected):
    before, after, record = protected
    change = measure_change(before, after, record)
    assert change.checks == dict.fromkeys(("dtype", "geometry", "units", "outside_mask", "budget", "record"), True)
    assert (change.psnr_db, change.ssim, change.max_change) == (record.psnr_db, record.ssim, record.max_change)
    assert change.share_changed_inside > 0.4
    inside = before.segments[0] > 0
    outside = ~inside
    assert change.share_changed_outside == pytest.approx(np.mean(before.image[0][outside] != after.image[0][outside]))
    assert sum(change.histogram_before) == sum(change.histogram_after) == before.image.size
    assert change.region_before.volume_mm3 == pytest.approx(inside.sum() * 0.5)
    assert change.region_before.mean == pytest.approx((before.image[0][inside] * 2.0 - 100).mean())
    assert change.region_after.sd == pytest.approx((after.image[0][inside] * 2.0 - 100).std())


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("dtype", lambda case: replace(case, image=case.image.astype(np.int32))),
        ("geometry", lambda case: replace(case, geometry=Geometry.of_spacing((0.5, 0.5, 2.1)))),
        ("units", lambda case: replace(case, units=Units())),
        ("outside_mask", lambda case: with_voxel(case, 1)),
        ("budget", lambda case: with_voxel(case, 500)),
        ("record", lambda case: with_voxel(case, 1)),
    ],
)
def test_each_check_finds_its_harm(protected, name, harm):
    before, after, record = protected
    assert measure_change(before, harm(after), record).checks[name] is False


def with_voxel(case, step):
    image = case.image.copy()
    image[0, 0, 0, 0] += step
    return replace(case, image=image)


@pytest.mark.parametrize(("region", "passed"), [("inside", True), ("outside", False), ("all", None)])
def test_the_region_of_salm_is_checked(protected, region, passed):
    before, _, record = protected
    image = before.image.copy()
    image[0][before.segments[0] > 0] += 1
    salm = replace(record, method="SALM", parameters={"region": region})
    assert measure_change(before, replace(before, image=image), salm).checks["outside_mask"] is passed


def test_channels_from_files_of_their_own_have_windows_and_budgets_of_their_own(protected):
    one, _, record = protected
    image = np.concatenate([one.image, 10 * one.image])
    before = replace(one, image=image, channels=(Channel(), Channel()))
    changed = image.copy()
    changed[1, 4, 12, 12] += 20
    after = replace(before, image=changed)
    figures = [{"window": [0.0, width], "budget": width / 100} for width in (1000.0, 10000.0)]
    own = replace(record, channels=tuple(figures))
    assert measure_change(before, after, own).checks["budget"] is True
    figures[1]["budget"] = 10.0
    assert measure_change(before, after, own).checks["budget"] is False
    slices = slices_of(before, after, case_windows(before, own), most=2, side=24)
    assert slices.clean[:, 0] == pytest.approx(slices.clean[:, 1])


def test_without_a_record_what_needs_it_is_not_checked(protected):
    before, after, _ = protected
    checks = measure_change(before, after, None).checks
    assert [name for name, passed in checks.items() if passed is None] == ["outside_mask", "budget", "record"]


@settings(max_examples=40, deadline=None)
@given(changed=st.integers(0, 4000), step=st.integers(1, 9))
def test_the_high_percentile_is_that_of_numpy(changed, step):
    before = np.arange(4096, dtype=np.uint16).reshape(1, 4, 32, 32) % 200 + 20
    after = before.copy()
    after.reshape(-1)[:changed] += np.uint16(step)
    measured = measure_change(case_of(before), case_of(after), None)
    wanted = np.percentile(np.abs(after.astype(int) - before), 99.9, method="inverted_cdf")
    assert measured.change_999 == wanted
    assert (measured.psnr_db is None) == (changed == 0)


def test_texture_features_agree_with_scikit_image():
    """One slice without a mask, all four directions in one matrix."""
    image = np.random.default_rng(0).random((1, 20, 30))
    levels = np.minimum((image[0] * LEVELS).astype(np.uint8), LEVELS - 1)
    angles = [0, np.pi / 2, np.pi / 4, 3 * np.pi / 4]
    counts = graycomatrix(levels, [1], angles, levels=LEVELS, symmetric=True).sum(axis=3, keepdims=True)
    matrix = counts / counts.sum()
    found = texture_features(image, np.ones(image.shape, bool))
    for ours, theirs in (("contrast", "contrast"), ("homogeneity", "homogeneity"), ("energy", "ASM")):
        assert found[ours] == pytest.approx(graycoprops(matrix, theirs)[0, 0])
    assert found["correlation"] == pytest.approx(graycoprops(matrix, "correlation")[0, 0])
    seen = matrix[matrix > 0]
    assert found["entropy"] == pytest.approx(-(seen * np.log2(seen)).sum())


def test_only_neighbors_under_the_mask_count():
    image = np.zeros((1, 8, 8))
    image[0, :, 4:] = 0.999
    mask = np.zeros(image.shape, bool)
    mask[0, :, :4] = True
    assert texture_features(image, mask)["contrast"] == 0
    alone = np.zeros(image.shape, bool)
    alone[0, 0, 0] = alone[0, 5, 5] = True
    assert texture_features(image, alone) == {}


# Picking slices


def volume(number=0, shape=(12, 40, 36), classes=None):
    random = np.random.default_rng(number)
    image = random.integers(0, 256, (1, *shape)).astype(np.uint8)
    labels = np.zeros(shape, np.uint8)
    labels[3:10, 20:30, 25:33] = 1
    return Case(f"v{number:02}", image, Geometry.of_spacing((1, 1, 3)), (labels,), classes=classes)


def test_slices_show_the_segments_unscaled():
    case = volume()
    slices = slices_of(case, case, (WINDOW,), most=4, side=24)
    assert slices.clean.shape == (4, 1, 24, 24)
    assert slices.targets.reshape(4, -1).sum(1).tolist() == [80] * 4
    assert np.isin(slices.clean, case.image).all()


def test_few_slices_of_a_case_lie_amid_its_segments_not_at_their_ends():
    k, j, i = np.ogrid[:12, :40, :36]
    ball = (3 * (k - 6)) ** 2 + (j - 20) ** 2 + (i - 18) ** 2 < 15**2
    case = replace(volume(), segments=(ball.astype(np.uint8),))
    shown = slices_of(case, case, (WINDOW,), most=2, side=64).targets.sum(axis=(1, 2))
    assert shown.min() > ball.sum(axis=(1, 2)).max() / 2


def test_slices_lie_across_the_coarsest_axis():
    case = volume()
    sideways = replace(
        case,
        image=np.moveaxis(case.image, 1, 3),
        geometry=Geometry.of_spacing((3, 1, 1)),
        segments=(np.moveaxis(case.segments[0], 0, 2),),
    )
    one, other = (slices_of(c, c, (WINDOW,), most=3, side=64) for c in (case, sideways))
    assert np.array_equal(one.clean, other.clean)


def test_classes_come_from_the_slices_that_have_one():
    shown = tuple((k % 2,) if k < 8 else None for k in range(12))
    case = volume(classes=Classes(("x", "y"), shown))
    slices = slices_of(case, case, (WINDOW,), most=99, side=20)
    assert slices.targets.tolist() == [0, 1] * 4
    assert np.array_equal(slices.clean[:, 0], case.image[0, :8])
    large = volume(shape=(12, 160, 140), classes=case.classes)
    assert slices_of(large, large, (WINDOW,), most=99, side=20).clean.shape == (8, 1, 128, 112)


def test_samples_of_several_classes_are_columns_and_each_combination_is_on_both_sides():
    shown = tuple([(0, 2), (), (1,), None][k % 4] for k in range(12))
    case = volume(classes=Classes(("x", "y", "z"), shown, True))
    slices = slices_of(case, case, (WINDOW,), most=99, side=20)
    assert slices.targets.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]] * 3
    cases = []
    for number in range(40):
        classes = Classes(("x", "y"), (((0,), (1,), (0, 1), ())[number % 4],), True)
        picture = replace(volume(number, shape=(1, 12, 12)), classes=classes, segments=())
        cases.append(slices_of(picture, picture, (WINDOW,), most=1, side=20))
    made = assemble(cases, np.random.default_rng(0))
    assert (made.floor, made.is_segmentation) == (0.5, False)
    assert {tuple(row) for row in made.targets[made.test]} == {(1, 0), (0, 1), (1, 1), (0, 0)}


def test_a_volume_is_cropped_around_its_segments_or_reduced_where_it_has_a_class():
    case = volume()
    cropped = volume_of(case, case, (WINDOW,), side=16)
    assert cropped.clean.shape == (1, 1, 12, 16, 16)
    assert cropped.targets.sum() == (case.segments[0] > 0).sum()
    places = [(y, x) for y in range(25) for x in range(21)]
    found = [np.array_equal(cropped.clean[0, 0], case.image[0, :, y : y + 16, x : x + 16]) for y, x in places]
    assert sum(found) == 1
    whole = volume(classes=Classes(("x", "y"), ((1,),)))
    reduced = volume_of(whole, whole, (WINDOW,), side=20)
    assert (reduced.clean.shape, reduced.targets.tolist()) == ((1, 1, 6, 20, 18), [1])


def test_labels_do_not_lie_in_the_middle_of_what_is_cropped():
    """They could be found there without looking. Labels larger than the crop are cut."""
    corners = set()
    for number in range(40):
        case = volume(number)
        label = slices_of(case, case, (WINDOW,), most=1, side=20).targets[0]
        assert label.sum() == 80
        corners.add(tuple(np.argwhere(label)[0]))
    assert len(corners) > 20
    assert slices_of(volume(), volume(), (WINDOW,), most=1, side=6).targets[0].all()


def test_what_is_flat_or_has_classes_by_slice_is_no_volume():
    flat, empty, by_slice = volume(shape=(7, 40, 40)), volume(), volume(classes=Classes(("x", "y"), ((0,),) * 12))
    empty = replace(empty, segments=(np.zeros_like(empty.segments[0]),))
    for case in (flat, empty, by_slice):
        assert volume_of(case, case, (WINDOW,), side=16) is None


def test_volumes_are_held_out_by_case_and_too_few_are_refused():
    made = assemble([volume_of(volume(n), volume(n), (WINDOW,), 16) for n in range(12)], np.random.default_rng(0))
    assert made.clean.shape == made.label_free.shape == (12, 1, 12, 16, 16)
    assert (made.by_case, made.test_cases) == (True, 4)
    assert 0.3 < made.trivial < 0.8  # labels of one size lie anywhere in it
    with pytest.raises(Refused, match="5 volumes to train on and 2 to test on"):
        assemble([volume_of(volume(n), volume(n), (WINDOW,), 16) for n in range(7)], np.random.default_rng(0))


def test_overlapping_segments_and_invalid_voxels_do_no_harm():
    case = volume()
    second = np.zeros(case.shape_kji, np.uint8)
    second[5, 22:24, 26:28] = 1
    image = case.image.astype(np.float32)
    image[0, 5, 22, 26] = np.nan
    case = replace(case, image=image, segments=(*case.segments, second))
    slices = slices_of(case, case, (WINDOW,), most=12, side=40)
    assert set(np.unique(slices.targets)) == {0, 1, 2}
    assert np.isfinite(slices.clean).all()


def cohort(count, slices=10, classes=None):
    made = []
    for number in range(count):
        targets = np.ones((slices, 8, 8), np.int64) if classes is None else np.full(slices, classes[number])
        images = np.full((slices, 1, 8, 8), number, np.float32)
        made.append(Samples(f"c{number:03}", images, images + 1, targets))
    return assemble(made, np.random.default_rng(0))


@pytest.mark.parametrize("count", [4, 7, 10, 33, 100])
def test_no_case_is_on_both_sides_and_about_a_third_is_held_out(count):
    made = cohort(count)
    cases = np.array(made.cases)
    train, test = set(cases[made.train]), set(cases[made.test])
    assert made.by_case
    assert not train & test and len(train | test) == count
    assert 0.2 <= len(test) / count <= 0.31
    assert made.test_cases == len(test)


def test_held_out_cases_lie_in_blocks_so_that_neighbors_stay_together():
    made = cohort(100)
    held_out = made.test[::10]
    assert np.count_nonzero(np.diff(held_out.astype(int))) == 6


def test_every_class_is_on_both_sides():
    classes = [0] * 40 + [1] * 11 + [2] * 12
    made = cohort(63, classes=classes)
    assert set(made.targets[made.train]) == set(made.targets[made.test]) == {0, 1, 2}
    assert made.floor == pytest.approx(1 / 3)


def test_few_volumes_are_split_into_slabs_with_a_gap():
    made = cohort(2, slices=40)
    assert not made.by_case
    for start in (0, 40):
        train, test = (np.flatnonzero(part[start : start + 40]) for part in (made.train, made.test))
        assert train.tolist() == list(range(26))
        assert test.tolist() == list(range(28, 40))


def test_a_single_picture_is_too_little():
    with pytest.raises(Refused, match="too few for an attack"):
        cohort(1, slices=1)


def test_images_of_different_size_are_padded_alike():
    sizes = [(8, 8), (10, 6), (7, 12), (9, 9)] * 4
    cases = [
        Samples(
            f"c{n:02}", np.ones((3, 1, h, w), np.float32), np.ones((3, 1, h, w), np.float32), np.ones((3, h, w), int)
        )
        for n, (h, w) in enumerate(sizes)
    ]
    made = assemble(cases, np.random.default_rng(0))
    assert made.clean.shape == (48, 1, 10, 12)
    for index, (h, w) in enumerate(sizes):
        assert made.targets[3 * index].sum() == made.clean[3 * index].sum() == h * w


def test_gray_and_color_together_are_refused():
    gray, color = (np.ones((6, channels, 8, 8), np.float32) for channels in (1, 3))
    cases = [Samples(str(n), image, image, np.ones((6, 8, 8), int)) for n, image in enumerate((gray, color))]
    with pytest.raises(Refused, match="gray and some have colors"):
        assemble(cases, np.random.default_rng(0))


def test_a_trivial_answer_never_looks_at_the_image():
    """Labels that always lie in one place are known without looking; those that may lie anywhere are not."""
    made = cohort(20)
    assert (made.floor, made.trivial) == (0.0, 1.0)  # these labels fill the image
    fixed = np.zeros_like(made.targets)
    fixed[:, 2:5, 2:5] = 1
    assert replace(made, targets=fixed).trivial == 1.0
    anywhere = np.zeros_like(made.targets)
    for number, label in enumerate(anywhere):
        row, column = np.random.default_rng(number).integers(0, 6, 2)
        label[row : row + 2, column : column + 2] = 1
    assert 0.1 < replace(made, targets=anywhere).trivial < 0.25  # calling all foreground gives 2 * 4 / 68
    assert cohort(30, classes=[0, 1] * 15).trivial == 0.5
