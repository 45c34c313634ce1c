"""SALM without training: which pixels the patterns change, by how much, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MedUnlearnableLib.engine.case import Case, CasesInMemory, Classes, Geometry
from MedUnlearnableLib.engine.errors import Cancelled, Refused, UsageError
from MedUnlearnableLib.engine.masks import contour_and_interior, contour_radius
from MedUnlearnableLib.engine.method import State, Workspace
from MedUnlearnableLib.engine.progress import Progress
from MedUnlearnableLib.engine.salm import SALM, SALMParams
from MedUnlearnableLib.engine.salm.fallback import coarse
from MedUnlearnableLib.engine.salm.patterns import ClassPatterns, wave_vectors
from MedUnlearnableLib.engine.salm.region import gradient_magnitude, largest, sample_count
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.window_rules import WindowSetting
from MedUnlearnableLib.files.samples import synthetic_ct

NAMES = ("benign", "malignant", "normal")


def shows(*places, names=NAMES, several=False):
    return Classes(names, (tuple(places),), several)


def ct_case(shape=(6, 48, 48), seed=0, place=0, **more):
    sample = synthetic_ct(shape, seed)
    more = {"segments": (sample.labels,), "classes": shows(place), "modality": "CT", **more}
    return Case(f"ct{seed}", sample.image[np.newaxis], sample.geometry, **more)


def picture(seed=0, place=0, side=40, channels=1, **more):
    image = np.random.default_rng(seed).integers(30, 220, (channels, 1, side, side)).astype(np.uint8)
    more = {"classes": shows(place), "modality": "picture", **more}
    return Case(f"p{seed}", image, Geometry.of_spacing((1, 1, 1)), **more)


def fitted(cases, seed=1, **params):
    method = SALM(SALMParams(**params), RandomStreams.from_number(seed))
    method.fit(CasesInMemory(tuple(cases)))
    return method


def change(case, protected):
    return protected.image.astype(np.float64) - case.image


@given(
    seed=st.integers(0, 50),
    dtype=st.sampled_from(["int16", "int32", "float32", "float64"]),
    epsilon=st.sampled_from([2, 4, 8]),
    share=st.sampled_from([0.1, 0.3]),
)
@settings(max_examples=20, deadline=None)
def test_exactly_k_of_the_allowed_pixels_of_a_slice_change_and_never_beyond_the_budget(seed, dtype, epsilon, share):
    base = ct_case(seed=seed)
    fraction = 0.25 if dtype == "float64" else 0
    case = replace(base, image=base.image.astype(dtype) + np.dtype(dtype).type(fraction))
    protected = fitted([case], seed, epsilon=epsilon / 255, share=share).protect(case)
    lo, hi = protected.record.window
    difference = change(case, protected)
    assert protected.image.dtype == case.image.dtype
    assert 0 < np.abs(difference).max() <= protected.record.budget
    for plane, moved in zip(case.image[0], difference[0]):
        inside = (plane > lo) & (plane < hi)
        assert not moved[~inside].any()
        assert np.count_nonzero(moved) == max(1, round(share * inside.sum()))


def test_the_chosen_pixels_have_the_largest_gradient():
    case = picture(side=20)
    difference = change(case, fitted([case]).protect(case))[0, 0]
    gradient = gradient_magnitude(case.image[:, 0] / np.float32(255))
    assert gradient[difference != 0].min() >= gradient[difference == 0].max()


@given(seed=st.integers(0, 99), count=st.integers(0, 60))
def test_of_equal_scores_the_first_are_taken(seed, count):
    random = np.random.default_rng(seed)
    score, allowed = random.integers(0, 4, (8, 8)).astype(float), random.random((8, 8)) < 0.8
    count = min(count, int(allowed.sum()))
    chosen = largest(score, allowed, count)
    assert chosen.sum() == count and not (chosen & ~allowed).any()
    places = sorted(np.flatnonzero(allowed), key=lambda place: (-score.ravel()[place], place))
    assert sorted(places[:count]) == np.flatnonzero(chosen).tolist()


def test_at_least_one_pixel_is_taken_where_one_may_be():
    assert sample_count(np.ones((1, 1), bool), 0.1) == 1
    assert sample_count(np.zeros((3, 3), bool), 0.5) == 0


@pytest.mark.parametrize("region", ["all", "inside", "outside", "band"])
def test_outside_the_allowed_region_every_voxel_keeps_its_bits(region):
    case = ct_case()
    inside = case.segments[0] != 0
    radius = contour_radius(case.geometry.spacing_kji, case.shape_kji)
    band, _ = contour_and_interior(case.segments, radius)
    allowed = {"all": np.ones_like(inside), "inside": inside, "outside": ~inside, "band": band}[region]
    protected = fitted([case], region=region).protect(case)
    moved = change(case, protected)[0] != 0
    assert moved.any() and not (moved & ~allowed).any()
    assert np.array_equal(protected.image[0][~allowed], case.image[0][~allowed])
    assert protected.record.parameters["region"] == region


def test_air_and_nan_are_never_touched():
    case = ct_case()
    image = case.image.astype(np.float32)
    image[0, :, 20, 20] = np.nan
    case = replace(case, image=image)
    protected = fitted([case], window=WindowSetting.parse("-160,240")).protect(case)
    moved = protected.image.view(np.uint32) != image.view(np.uint32)
    assert moved.any()
    assert not moved[(image <= -160) | (image >= 240) | np.isnan(image)].any()


def test_classes_differ_and_samples_of_one_class_share_their_pattern():
    cases = [picture(seed, place) for seed, place in ((0, 0), (1, 0), (2, 1), (3, 2))]
    method = fitted(cases)
    signs = [np.sign(change(case, method.protect(case))[0, 0]) for case in cases]

    def agreement(a, b):
        both = (signs[a] != 0) & (signs[b] != 0)
        return abs(np.mean(signs[a][both] * signs[b][both]))

    assert agreement(0, 1) == 1
    assert max(agreement(0, 2), agreement(0, 3), agreement(2, 3)) < 0.5


def with_bars(seed, place):
    """Class 0 has a bright bar on the left and class 1 one on top; the others have nothing of their own."""
    case = picture(seed, place)
    image = case.image // 2
    if place == 0:
        image[..., :10] += 100
    if place == 1:
        image[..., :10, :] += 100
    return replace(case, image=image)


def test_standard_gives_its_pattern_faint_and_on_edges_to_the_class_that_is_wrongly_given_most_often():
    random = np.random.default_rng(0)
    looks = [2 if random.random() < 0.4 else seed % 3 for seed in range(36)]
    cases = [replace(with_bars(seed, look), classes=shows(seed % 3)) for seed, look in enumerate(looks)]
    method = fitted(cases, profile="standard")
    for case in cases[:9]:
        largest_change = int(np.abs(change(case, method.protect(case))).max())
        assert largest_change == (1 if case.classes.shown == ((2,),) else 5)
        assert SALM.from_state(method.state()).protect(case).record.max_change == largest_change
    strong = cases[0]
    difference = change(strong, method.protect(strong))[0, 0] != 0
    gradient = gradient_magnitude(strong.image[:, 0] / np.float32(255))
    assert gradient[difference].mean() < gradient[~difference].mean()


def test_the_class_of_few_cases_that_stays_faint_is_drawn_by_the_key():
    cases = [picture(seed, seed % 3) for seed in range(6)]
    assert len({fitted(cases, seed, profile="standard").state().header["faint_class"] for seed in range(20)}) == 3


@given(shape=st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40)), seed=st.integers(0, 9))
def test_a_coarse_picture_has_the_same_size_for_every_plane_and_ignores_its_scale(shape, seed):
    plane = np.random.default_rng(seed).integers(0, 9, shape).astype(np.float32)
    assert coarse(plane).shape == (128,)
    assert coarse(plane) == pytest.approx(coarse(7 * plane + 100), abs=1e-3)


def test_a_faint_pattern_is_a_step_of_the_stored_grid_at_least():
    case = picture(place=0)
    for seed in range(4):
        protected = fitted([case], seed, profile="standard", epsilon=1 / 255).protect(case)
        assert protected.record.max_change == 1


@pytest.mark.parametrize("classes", [2, 3, 8, 30, 200])
def test_a_family_has_a_pattern_of_its_own_for_every_class(classes):
    vectors = np.array(wave_vectors(classes + 1))
    assert len(np.unique(vectors, axis=0)) == classes + 1
    assert (vectors.max(axis=1) >= 3 / 8).all() and vectors.max() <= 0.5 and vectors.min() >= 0
    patterns = ClassPatterns.draw(classes, np.random.default_rng(0))
    sheets = np.stack([patterns.of_classes((k,), (64, 64)).ravel() for k in range(min(classes, 8))]) / 64
    alike = np.abs(sheets @ sheets.T) - np.eye(len(sheets))
    assert alike.max() < 0.2


def test_several_classes_of_a_sample_add_up_and_none_has_a_pattern_of_its_own():
    patterns = ClassPatterns.draw(3, np.random.default_rng(0))
    one, two, both, none = (patterns.of_classes(shown, (16, 16)) for shown in ((0,), (2,), (0, 2), ()))
    assert np.array_equal(both, np.clip(one + two, -1, 1))
    assert set(np.unique(none)) == {-1, 1}
    assert not any(np.array_equal(np.abs(none * other), none * other) for other in (one, two))


def test_the_same_seed_gives_the_same_bytes_and_another_key_does_not():
    case = picture()
    first, second, other = (fitted([case], seed).protect(case).image for seed in (4, 4, 5))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_what_a_case_gets_depends_neither_on_the_order_nor_on_the_presence_of_others():
    cases = [picture(seed, seed % 3) for seed in range(4)]
    alone = fitted(cases).protect(cases[1]).image
    method = fitted(cases[:0:-1])
    method.protect(cases[3])
    assert np.array_equal(method.protect(cases[1]).image, alone)


def test_channels_of_a_color_picture_get_the_same_change():
    case = picture(channels=3)
    difference = change(case, fitted([case]).protect(case))
    assert difference.any()
    assert np.array_equal(difference[0], difference[2])


def test_slices_with_labels_of_their_own_get_their_patterns_and_others_stay():
    case = ct_case(classes=Classes(NAMES, ((0,), None, (1,), (0,), (2,), (1,))))
    protected = fitted([case]).protect(case)
    moved = change(case, protected)[0]
    assert [bool(plane.any()) for plane in moved] == [True, False, True, True, True, True]
    assert "1 of 6 slices have no class label" in protected.record.warnings[0]
    whole = fitted([case]).protect(replace(case, classes=shows(0)))
    assert np.array_equal(moved[0], change(case, whole)[0, 0]) and np.array_equal(moved[3], change(case, whole)[0, 3])


def test_a_state_carries_key_classes_and_ct_window_to_new_cases():
    old, new = ct_case(seed=1), ct_case(seed=2, place=2)
    method = fitted([old])
    state = State(json.loads(json.dumps(method.state().header)))
    restored = SALM.from_state(state)
    assert np.array_equal(restored.protect(new).image, method.protect(new).image)
    assert restored.protect(new).record.window == method.protect(old).record.window
    assert SALM.from_state(state, epsilon=8 / 255).protect(new).record.budget > method.protect(new).record.budget
    with pytest.raises(Refused, match="give the same --class-names in the same order"):
        restored.protect(replace(new, classes=shows(0, names=("normal", "benign", "malignant"))))
    with pytest.raises(Refused, match="format"):
        SALM.from_state(State({"format": "other"}))


def test_a_case_is_refused_in_a_sentence():
    case = picture()
    method = fitted([case])
    with pytest.raises(Refused, match="no class label for this case"):
        method.protect(replace(case, classes=None))
    with pytest.raises(Refused, match="constant"):
        method.protect(replace(case, image=np.full_like(case.image, 9)))
    with pytest.raises(Refused, match="one class only"):
        fitted([replace(case, classes=shows(0, names=("a",)))]).protect(replace(case, classes=shows(0, names=("a",))))
    with pytest.raises(Refused, match="2 slices have a class label, but the image has 1"):
        method.protect(replace(case, classes=Classes(NAMES, ((0,), (1,)))))
    with pytest.raises(Refused, match="--region inside needs segments"):
        fitted([case], region="inside").protect(case)
    with pytest.raises(Refused, match="no case has a class label"):
        fitted([replace(case, classes=None)])
    with pytest.raises(Refused, match="use --epsilon 2 or more"):
        fitted([ct_case()], window=WindowSetting.parse("0,200"), epsilon=1 / 255).protect(ct_case())


@pytest.mark.parametrize(
    "params", [{"profile": "fast"}, {"epsilon": 0.0}, {"epsilon": 1.5}, {"region": "here"}, {"share": 0.0}]
)
def test_impossible_parameters_are_wrong_usage(params):
    with pytest.raises(UsageError):
        SALMParams(**params)


def test_the_input_is_never_written_to_and_a_cancelled_run_stops_between_slices():
    class Impatient(Progress):
        def step(self, stage, done, total):
            if stage == "protect" and done == 2:
                raise Cancelled

    case = ct_case()
    case.image.flags.writeable = False
    case.segments[0].flags.writeable = False
    with pytest.raises(Cancelled):
        fitted([case]).protect(case, Workspace(Impatient()))
    assert fitted([case]).protect(case).record.state == "protected"
