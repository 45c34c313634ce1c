"""Sizes of UMed's training follow the cohort and the memory; samples take no more space than they may."""

from dataclasses import replace

import numpy as np
import pytest
from MedUnlearnableLib.engine.case import Case, Geometry
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.engine.umed import UMedParams
from MedUnlearnableLib.engine.umed.cohort import Cohort, SegmentClasses, Survey
from MedUnlearnableLib.engine.umed.plan import estimate_training_mb, plan_training, sample_bytes
from MedUnlearnableLib.engine.umed.region import tiles, upright

STANDARD, PAPER = UMedParams(profile="standard"), UMedParams(profile="paper")
PICTURES = Cohort(
    case_count=455,
    channels=1,
    dimensions=2,
    classes=SegmentClasses(((1,),)),
    sides=(128, 128),
    extent=(48, 69),
    pieces=(1,) * 455,
)


def planned(cohort=PICTURES, device="cpu", free_mb=None, params=PAPER):
    return plan_training(cohort, params, device, free_mb)


def test_small_images_are_shown_whole_and_of_large_ones_the_segments():
    assert planned().sides == (128, 128)
    assert planned(replace(PICTURES, sides=(48, 60))).sides == (48, 64)
    assert planned(replace(PICTURES, sides=(900, 900))).sides == (128, 128)
    assert planned(replace(PICTURES, sides=(900, 900), extent=(800, 200))).sides == (320, 240)


def test_larger_cohorts_are_trained_longer_but_not_without_end():
    counts = [planned(replace(PICTURES, pieces=(1,) * n)).iterations for n in (20, 200, 455, 100_000)]
    assert counts == sorted(counts)
    assert counts[0] == 2000
    assert counts[-1] == 5000


def test_the_attackers_of_standard_learn_for_a_moment_from_a_part_of_a_large_cohort():
    plans = [planned(replace(PICTURES, pieces=(1,) * n), params=STANDARD) for n in (20, 100_000)]
    assert [plan.iterations for plan in plans] == [150, 150]
    assert [plan.samples for plan in plans] == [20, 512]


def test_samples_stay_within_their_space_however_many_cases_there_are():
    many = replace(PICTURES, sides=(512, 512), extent=(300, 300), pieces=(40,) * 10_000)
    plan = planned(many)
    assert plan.samples * sample_bytes(plan.sides, 1) <= 512 * 2**20


def test_short_memory_makes_batches_smaller_and_then_refuses():
    roomy = planned()
    tight = planned(free_mb=estimate_training_mb(roomy, PICTURES) - 1)
    assert tight.batch == roomy.batch // 2
    with pytest.raises(Refused, match="MB are free"):
        planned(free_mb=100)


def test_more_classes_need_more_memory():
    classes = SegmentClasses((tuple(range(1, 42)),))
    assert estimate_training_mb(planned(), replace(PICTURES, classes=classes)) > estimate_training_mb(
        planned(), PICTURES
    )


@pytest.mark.parametrize(
    ("shape", "spacing", "dimensions"),
    [((1, 64, 64), (1, 1, 1), 2), ((40, 64, 64), (1, 1, 2), 3), ((40, 64, 64), (1, 1, 4), 2),
     ((9, 64, 64), (1, 1, 1), 2), ((64, 64, 9), (5, 1, 1), 2), ((64, 64, 40), (2, 1, 1), 3)],
)  # fmt: skip
def test_thin_stacks_of_thick_slices_are_treated_slice_by_slice(shape, spacing, dimensions):
    label = np.zeros(shape, np.uint8)
    label[tuple(slice(side // 3, side // 3 + 3) for side in shape)] = 1
    case = Case("c", np.zeros((1, *shape), np.int16), Geometry.of_spacing(spacing), (label,))
    survey = Survey()
    for _ in range(16):
        survey.add(upright(case))
    assert survey.cohort(as_volumes=False).dimensions == 2
    cohort = survey.cohort(as_volumes=True)
    assert cohort.dimensions == dimensions
    assert cohort.pieces == ((1,) * 16 if dimensions == 3 or shape[0] == 1 else (3,) * 16)


def test_labels_are_told_apart_across_layers_and_unknown_ones_are_refused():
    classes = SegmentClasses(((1, 5), (1,)))
    layers = [np.array([[[0, 1, 5, 5]]]), np.array([[[0, 0, 0, 1]]])]
    assert classes.of(layers).tolist() == [[[0, 1, 2, 3]]]
    with pytest.raises(Refused, match="label 4"):
        classes.of([np.array([[[4]]])])


def test_tiles_cover_a_box_once_and_begin_on_the_grid():
    box = (slice(3, 9), slice(0, 50), slice(30, 61))
    count = np.zeros((10, 64, 64), int)
    for tile in tiles(box, (1, 16, 16), (1, 4, 4)):
        assert tile[1].start % 4 == tile[2].start % 4 == 0
        count[tile] += 1
    assert (count[box] == 1).all()
    assert count.max() == 1
