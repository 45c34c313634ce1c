"""Carriers: checkerboard or stripes with one phase over the whole volume."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MedUnlearnableLib.engine.carrier import LAYOUTS, Carrier, fine_axes
from MedUnlearnableLib.engine.streams import RandomStreams


def pattern_of(carrier, box, shape, spacing=(1.0, 1.0, 1.0)):
    return np.broadcast_to(carrier.pattern(box, spacing, shape), tuple(s.stop - s.start for s in box))


def carrier_of(sign, layout):
    return Carrier(sign, **LAYOUTS[layout])


def whole(shape):
    return tuple(slice(0, n) for n in shape)


@given(
    st.builds(carrier_of, st.sampled_from([-1, 1]), st.sampled_from(sorted(LAYOUTS))),
    st.tuples(*[st.integers(0, 20)] * 3),
    st.permutations([1.0, 2.0, 3.0]),
)
@settings(deadline=None)
def test_a_part_of_the_volume_has_the_phase_of_the_whole(carrier, start, spacing):
    shape = (40, 41, 42)
    box = tuple(slice(s, s + 15) for s in start)
    part = pattern_of(carrier, box, shape, spacing)
    assert np.array_equal(part, pattern_of(carrier, whole(shape), shape, spacing)[box])


def test_it_is_a_checkerboard_with_a_sign():
    board = 1 - 2 * (np.indices((6, 6)).sum(axis=0) % 2)
    for sign in (1, -1):
        assert np.array_equal(pattern_of(Carrier(sign), whole((1, 6, 6)), (1, 6, 6))[0], sign * board)


def test_stripes_are_two_pixels_wide_and_run_along_rows_or_columns():
    stripe = [1, 1, -1, -1, 1, 1]
    rows, columns = (pattern_of(Carrier(1, 0, *s), whole((1, 6, 6)), (1, 6, 6))[0] for s in ((1, 0), (0, 1)))
    assert rows[:, 3].tolist() == columns[3].tolist() == stripe
    assert (rows == rows[:, :1]).all()
    assert (columns == columns[:1]).all()


def test_layouts_stay_within_the_budget_are_equally_strong_and_hold_a_checkerboard():
    shape = (1, 8, 8)
    board = pattern_of(Carrier(1), whole(shape), shape)
    for layout in LAYOUTS:
        pattern = pattern_of(carrier_of(1, layout), whole(shape), shape)
        assert np.abs(pattern).max() <= 1 + 1e-6
        assert np.square(pattern).mean() == pytest.approx(1 / 2)
        assert (pattern * board).mean() >= 1 / 2 - 1e-6
        assert pattern.mean() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("spacing", "shape", "constant_axis"),
    [
        ((2.5, 0.7, 0.7), (9, 9, 9), 0),
        ((0.7, 0.7, 2.5), (9, 9, 9), 2),
        ((0.7, 2.5, 0.7), (9, 9, 9), 1),
        ((1.0, 1.0, 1.0), (9, 9, 9), 0),
        ((0.1, 1.0, 1.0), (1, 9, 9), 0),
    ],
)
def test_it_is_constant_across_the_coarsest_axis(spacing, shape, constant_axis, layout):
    assert constant_axis not in fine_axes(spacing, shape)
    pattern = pattern_of(carrier_of(1, layout), whole(shape), shape, spacing)
    assert np.all(pattern == np.take(pattern, [0], axis=constant_axis))


def test_the_key_is_one_bit_and_both_values_occur():
    draws = [Carrier.draw(RandomStreams.from_number(seed).generator("carrier")) for seed in range(40)]
    assert {carrier.sign for carrier in draws} == {-1, 1}
    assert draws[0] == Carrier.draw(RandomStreams.from_number(0).generator("carrier"))
