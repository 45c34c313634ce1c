"""UMed, profile instant: what it changes, what it leaves, what it refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MedUnlearnableLib.engine.case import Case, CasesInMemory, Geometry
from MedUnlearnableLib.engine.errors import Cancelled, Refused, UsageError
from MedUnlearnableLib.engine.masks import contour_and_interior, contour_radius
from MedUnlearnableLib.engine.method import State, Workspace
from MedUnlearnableLib.engine.progress import Progress
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import UMed, UMedParams
from MedUnlearnableLib.engine.window_rules import WindowSetting
from MedUnlearnableLib.files.samples import synthetic_ct


def ct_case(shape=(12, 64, 64), seed=0, **more):
    sample = synthetic_ct(shape, seed)
    return Case(f"ct{seed}", sample.image[np.newaxis], sample.geometry, (sample.labels,), **more)


def fitted(cases, seed=1, **params):
    method = UMed(UMedParams(**params), RandomStreams.from_number(seed))
    method.fit(CasesInMemory(tuple(cases)))
    return method


def region(case, contour_mm=None):
    radius = contour_radius(case.geometry.spacing_kji, case.shape_kji, contour_mm)
    return np.logical_or(*contour_and_interior(case.segments, radius))


@given(
    seed=st.integers(0, 50),
    dtype=st.sampled_from(["int16", "int32", "float32", "float64"]),
    epsilon=st.sampled_from([2, 3, 8]),
    spacing=st.tuples(*[st.floats(0.4, 6)] * 3),
)
@settings(max_examples=25, deadline=None)
def test_only_the_region_changes_and_never_beyond_the_budget(seed, dtype, epsilon, spacing):
    base = ct_case((6, 40, 40), seed)
    fraction = 0.25 if dtype == "float64" else 0
    case = replace(base, image=base.image.astype(dtype) + np.dtype(dtype).type(fraction),
                   geometry=Geometry.of_spacing(spacing), modality="CT")  # fmt: skip
    protected = fitted([case], seed, epsilon=epsilon / 255).protect(case)
    difference = protected.image.astype(np.float64) - case.image
    assert protected.image.dtype == case.image.dtype
    assert not difference[:, ~region(case)].any()
    assert 0 < np.abs(difference).max() <= protected.record.budget
    assert protected.record.max_change == np.abs(difference).max()


def test_the_input_is_never_written_to():
    case = ct_case()
    case.image.flags.writeable = False
    case.segments[0].flags.writeable = False
    assert fitted([case]).protect(case).record.state == "protected"


def test_the_contour_gets_the_full_budget_the_interior_most_of_it_and_what_lies_beyond_nothing():
    case = ct_case(modality="CT")
    method = fitted([case], epsilon=8 / 255)
    protected = method.protect(case)
    radius = contour_radius(case.geometry.spacing_kji, case.shape_kji)
    contour, interior = contour_and_interior(case.segments, radius)
    change = np.abs(protected.image[0].astype(int) - case.image[0])
    lo, hi = protected.record.window
    budget = protected.record.budget
    room = (case.image[0] - lo >= budget) & (hi - case.image[0] >= budget)
    inside = case.segments[0] != 0
    assert np.all(change[contour & inside & room] == budget)
    assert np.all(change[interior & room] >= 3 * budget // 4)
    assert not change[~inside].any()


def test_the_same_seed_gives_the_same_bytes_and_a_seed_of_the_other_sign_does_not():
    case = ct_case()
    first, second, other = (fitted([case], seed).protect(case).image for seed in (4, 4, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_one_case_does_not_depend_on_the_order_of_the_others():
    cases = [ct_case(seed=s) for s in range(3)]
    forward = fitted(cases).protect(cases[1]).image
    method = fitted(cases[::-1])
    method.protect(cases[2])
    assert np.array_equal(method.protect(cases[1]).image, forward)


def test_a_state_carries_key_and_ct_window_to_new_cases():
    old, new = ct_case(seed=1), ct_case(seed=2)
    method = fitted([old])
    restored = UMed.from_state(State(json.loads(json.dumps(method.state().header))))
    assert np.array_equal(restored.protect(new).image, method.protect(new).image)
    assert restored.protect(new).record.window == method.protect(old).record.window
    stronger = UMed.from_state(method.state(), epsilon=8 / 255).protect(new)
    assert stronger.record.budget > method.protect(new).record.budget
    assert stronger.record.seed_id == method.protect(new).record.seed_id


def test_a_state_without_a_ct_window_refuses_ct():
    picture = Case("p", np.full((1, 1, 20, 20), 9, np.uint8), Geometry.of_spacing((1, 1, 1)),
                   (np.ones((1, 20, 20), np.uint8),), modality="picture")  # fmt: skip
    restored = UMed.from_state(fitted([picture]).state())
    with pytest.raises(Refused, match="no CT window"):
        restored.protect(ct_case(modality="CT"))


def test_a_state_of_something_else_is_refused():
    with pytest.raises(Refused, match="format"):
        UMed.from_state(State({"format": "other"}))


def test_channels_of_a_color_picture_share_window_and_pattern():
    image = np.random.default_rng(0).integers(40, 200, (3, 1, 40, 40)).astype(np.uint8)
    labels = np.zeros((1, 40, 40), np.uint8)
    labels[0, 10:30, 10:30] = 1
    case = Case("rgb", image, Geometry.of_spacing((1, 1, 1)), (labels,), modality="picture")
    protected = fitted([case]).protect(case)
    difference = protected.image.astype(int) - image
    assert protected.record.window == (0.0, 255.0)
    assert np.array_equal(difference[0], difference[2])


def test_overlapping_segments_each_have_their_contour():
    case = ct_case()
    second = np.zeros_like(case.segments[0])
    second[4:8, 24:30, 12:20] = 1  # inside the organ
    overlapping = replace(case, segments=(case.segments[0], second))
    radius = contour_radius(case.geometry.spacing_kji, case.shape_kji)
    alone, _ = contour_and_interior(case.segments, radius)
    both, _ = contour_and_interior(overlapping.segments, radius)
    assert (both & ~alone).any()
    assert fitted([overlapping]).protect(overlapping).record.share_changed > 0


def test_a_case_without_foreground_stays_as_it_is_and_says_so():
    case = replace(ct_case(), segments=(np.zeros((12, 64, 64), np.uint8),))
    protected = fitted([case]).protect(case)
    assert protected.record.state == "unchanged"
    assert protected.image is case.image
    assert "clean copy" in protected.record.warnings[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_a_number_under_the_mask_is_refused_and_elsewhere_left_alone(value):
    case = replace(ct_case(), image=ct_case().image.astype(np.float32), modality="CT")
    inside = tuple(np.argwhere(case.segments[0] != 0)[0])
    for index, fails in ((inside, True), ((0, 0, 0), False)):
        image = case.image.copy()
        image[(0, *index)] = value
        broken = replace(case, image=image)
        if fails:
            with pytest.raises(Refused, match="NaN or Inf"):
                fitted([broken]).protect(broken)
        else:
            out = fitted([broken]).protect(broken).image
            assert out[(0, *index)].tobytes() == image[(0, *index)].tobytes()


def test_a_constant_image_is_refused():
    case = replace(ct_case(), image=np.full((1, 12, 64, 64), 7, np.int16))
    with pytest.raises(Refused, match="constant"):
        fitted([case]).protect(case)


def test_one_level_is_a_warning_and_less_is_refused():
    case = ct_case(modality="CT")
    record = fitted([case], window=WindowSetting.parse("-160,240"), epsilon=1 / 255).protect(case).record
    assert record.budget == 1.0
    assert "single step" in record.warnings[0]
    with pytest.raises(Refused, match="use --epsilon 2 or more"):
        fitted([case], window=WindowSetting.parse("0,200"), epsilon=1 / 255).protect(case)


def test_a_ct_window_from_air_to_bone_is_said_to_be_visible():
    case = ct_case(modality="CT")
    wide, narrow = (
        fitted([case], window=WindowSetting.parse(limits)).protect(case).record for limits in ("-1000,1500", "-160,240")
    )
    assert any("39 HU" in warning and "--window" in warning for warning in wide.warnings)
    assert narrow.warnings == ()


def test_a_window_that_misses_the_segments_is_said():
    case = ct_case(modality="CT")
    record = fitted([case], window=WindowSetting.parse("2000,3000")).protect(case).record
    assert record.state == "unchanged"
    assert "check --window" in record.warnings[0]


@pytest.mark.parametrize("params", [{"profile": "fast"}, {"epsilon": 0.0}, {"epsilon": -1.0}, {"epsilon": 1.5}])
def test_impossible_parameters_are_wrong_usage(params):
    with pytest.raises(UsageError):
        UMedParams(**params)


def test_a_cancelled_run_stops_between_slabs():
    class Impatient(Progress):
        def step(self, stage, done, total):
            if stage == "protect":
                raise Cancelled

    case = ct_case()
    with pytest.raises(Cancelled):
        fitted([case]).protect(case, Workspace(Impatient()))


def test_no_segmentation_is_refused():
    case = replace(ct_case(), segments=())
    with pytest.raises(Refused, match="no segmentation"):
        fitted([case]).protect(case)
