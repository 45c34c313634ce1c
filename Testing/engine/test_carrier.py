"""Carriers: checkerboard or stripes with one phase over the whole volume."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MedUnlearnableLib.engine.carrier import LAYOUTS, Carrier, fine_axes
from MedUnlearnableLib.engine.streams import RandomStreams


def pattern_of(carrier, box, shape, spacing=(1.0, 1.0, 1.0)):
    return np.broadcast_to(carrier.pattern(box, spacing, shape), tuple(s.stop - s.start for s in box))


def whole(shape):
    return tuple(slice(0, n) for n in shape)


@given(
    st.builds(Carrier, st.sampled_from([-1, 1]), st.sampled_from(LAYOUTS)),
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
    rows, columns = (pattern_of(Carrier(1, name), whole((1, 6, 6)), (1, 6, 6))[0] for name in ("rows", "columns"))
    assert rows[:, 3].tolist() == columns[3].tolist() == stripe
    assert (rows == rows[:, :1]).all()
    assert (columns == columns[:1]).all()


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
    pattern = pattern_of(Carrier(1, layout), whole(shape), shape, spacing)
    assert np.all(pattern == np.take(pattern, [0], axis=constant_axis))


def test_the_key_is_one_bit_and_both_values_occur():
    draws = [Carrier.draw(RandomStreams.from_number(seed).generator("carrier")) for seed in range(40)]
    assert {carrier.sign for carrier in draws} == {-1, 1}
    assert draws[0] == Carrier.draw(RandomStreams.from_number(0).generator("carrier"))
