"""The budget, the window and bit-identity outside the mask, for every dtype."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.engine.window import IntensityWindow, stored_quantum

INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32")
FLOATS = ("float32", "float64")


def bits(array):
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")


@st.composite
def write_backs(draw, dtypes):
    """An image of any values of its dtype (NaN, Inf, -0.0 included), a window, a delta and a mask."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=6))
    image = draw(hnp.arrays(dtype, shape))
    lo = draw(st.floats(-2000, 2000))
    window = IntensityWindow(lo, lo + draw(st.floats(60, 5000)), stored_quantum(image))
    delta = draw(hnp.arrays(np.float32, shape, elements=st.floats(-2, 2, width=32)))
    mask = draw(hnp.arrays(bool, shape))
    epsilon = draw(st.floats(5, 40)) / 255
    return image, window, delta, mask, epsilon


@given(write_backs(INTEGERS + FLOATS))
@settings(max_examples=400, deadline=None)
def test_every_voxel_outside_mask_or_window_keeps_its_bits(problem):
    image, window, delta, mask, epsilon = problem
    out = window.write_back(image, delta, mask, epsilon)
    untouched = ~(mask & window.contains(image))
    assert out.dtype == image.dtype
    assert np.array_equal(bits(out)[untouched], bits(image)[untouched])


@given(write_backs(INTEGERS + FLOATS))
@settings(max_examples=400, deadline=None)
def test_no_voxel_exceeds_the_budget_or_leaves_the_window(problem):
    image, window, delta, mask, epsilon = problem
    out = window.write_back(image, delta, mask, epsilon)
    inside = mask & window.contains(image)
    change = np.abs(out[inside].astype(np.float64) - image[inside].astype(np.float64))
    assert np.all(change <= window.budget(epsilon))
    assert window.contains(out)[inside].all()


@given(write_backs(("float32", "float64")))
@settings(deadline=None)
def test_a_zero_delta_keeps_negative_zero(problem):
    image, window, delta, mask, epsilon = problem
    image = np.where(image < 0, -image.dtype.type(0), image)
    out = window.write_back(image, np.zeros_like(delta), mask, epsilon)
    assert np.array_equal(bits(out), bits(image))


def test_write_back_equals_the_formula_voxel_by_voxel():
    random = np.random.default_rng(5)
    image = random.integers(-300, 500, (4, 9, 9)).astype(np.int16)
    window = IntensityWindow(-160.0, 240.0, 1.0)
    delta = random.uniform(-0.03, 0.03, image.shape)
    mask = random.random(image.shape) < 0.7
    out = window.write_back(image, delta, mask, 4 / 255)
    for index in np.ndindex(image.shape):
        before = int(image[index])
        expected = before
        if mask[index] and -160 <= before <= 240:
            steps = int(np.clip(np.rint(delta[index] * 400), -6, 6))
            expected = min(max(before + steps, -160), 240)
        assert out[index] == expected


def test_a_voxel_at_the_edge_stays_in_a_window_with_fractions():
    window = IntensityWindow(0.4, 20.6, 1.0)
    out = window.write_back(np.array([[1, 20]], np.uint8), np.array([[-1.0, 1.0]]), np.array([[True, True]]), 0.5)
    assert out.tolist() == [[1, 20]]


def test_levels_keep_the_level_that_float_arithmetic_loses():
    assert IntensityWindow(0.0, 25.5, 0.1).levels(3 / 255) == 3


def test_four_255ths_of_400_hu_are_six_levels():
    assert IntensityWindow(-160.0, 240.0, 1.0).levels(4 / 255) == 6


def test_a_budget_below_one_step_is_refused_and_the_named_epsilon_works():
    window = IntensityWindow(0.0, 100.0, 1.0)
    with pytest.raises(Refused, match="use --epsilon 3 or more"):
        window.levels(1 / 255)
    assert window.levels(3 / 255) == 1


def test_true_floats_have_no_level_rule():
    window = IntensityWindow(0.0, 1e-3, None)
    assert window.levels(1 / 255) is None
    assert window.budget(1 / 255) == pytest.approx(1e-3 / 255)


@pytest.mark.parametrize("limits", [(3.0, 3.0), (5.0, 1.0), (0.0, float("nan")), (float("-inf"), 0.0)])
def test_an_empty_window_is_refused(limits):
    with pytest.raises(Refused, match="empty"):
        IntensityWindow(*limits, 1.0)


@pytest.mark.parametrize(
    ("values", "quantum"),
    [
        (np.array([[1.0, -3.0, np.nan]], np.float32), 1.0),
        (np.array([[1.0, 2.5]], np.float32), None),
        (np.array([[2.0**25, 2.0]], np.float32), None),
        (np.array([[2.0**25, 2.0]], np.float64), 1.0),
        (np.array([[1, 2]], np.int16), 1.0),
    ],
)
def test_the_stored_grid_is_recognized(values, quantum):
    assert stored_quantum(values) == quantum


def test_normalize_clips_to_the_window():
    window = IntensityWindow(-100.0, 100.0, 1.0)
    assert window.normalize(np.array([-500, -100, 0, 100, 900], np.int16)).tolist() == [0, 0, 0.5, 1, 1]


def test_a_channel_in_a_wider_dtype_stays_within_what_its_file_can_hold():
    """float32 that holds the values of a uint8 file, and a window given by hand that is wider."""
    window = IntensityWindow(-100.0, 400.0, 1.0, limits=(0.0, 255.0))
    stored = np.array([0.0, 3.0, 250.0, 255.0], np.float32)
    out = window.write_back(stored, np.array([-1.0, -1.0, 1.0, 1.0]), np.ones(4, bool), 5 / 255)
    np.testing.assert_array_equal(out, [0.0, 0.0, 255.0, 255.0])
