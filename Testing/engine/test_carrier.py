"""The carrier: keyed, aligned, near Nyquist."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MedUnlearnableLib.engine.carrier import FASTEST_BEAT, Carrier, fine_axes
from MedUnlearnableLib.engine.streams import RandomStreams


def whole(shape):
    return tuple(slice(0, n) for n in shape)


def full_pattern(carrier, shape, spacing=(1.0, 1.0, 1.0)):
    return np.broadcast_to(carrier.pattern(whole(shape), spacing, shape), shape)


@given(st.integers(0, 10**6), st.tuples(*[st.integers(0, 20)] * 3))
@settings(deadline=None)
def test_a_part_of_the_volume_has_the_phase_of_the_whole(seed, start):
    carrier = Carrier.draw(RandomStreams.from_number(seed).generator("carrier"))
    shape = (40, 41, 42)
    box = tuple(slice(s, s + 15) for s in start)
    part = np.broadcast_to(carrier.pattern(box, (3.0, 1.0, 1.0), shape), (15, 15, 15))
    assert np.array_equal(part, full_pattern(carrier, shape, (3.0, 1.0, 1.0))[box])


def test_without_a_beat_it_is_a_plain_checkerboard():
    pattern = full_pattern(Carrier((0.0, 0.0), 0.0), (1, 6, 6))
    assert np.array_equal(pattern[0], 1 - 2 * (np.indices((6, 6)).sum(axis=0) % 2))


def test_neighbors_alternate_but_on_a_few_lines():
    for seed in range(20):
        carrier = Carrier.draw(RandomStreams.from_number(seed).generator("carrier"))
        pattern = full_pattern(carrier, (1, 256, 256))[0]
        for axis in (0, 1):
            alternating = np.mean(np.diff(pattern, axis=axis) != 0)
            assert alternating >= 1 - 2 * FASTEST_BEAT - 0.01


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
def test_it_is_constant_across_the_coarsest_axis(spacing, shape, constant_axis):
    assert constant_axis not in fine_axes(spacing, shape)
    pattern = full_pattern(Carrier((0.01, 0.005), 0.3), shape, spacing)
    assert np.all(pattern == np.take(pattern, [0], axis=constant_axis))


def test_keys_differ_and_the_same_seed_gives_the_same_carrier():
    draw = [Carrier.draw(RandomStreams.from_number(seed).generator("carrier")) for seed in (1, 2, 1)]
    assert draw[0] == draw[2] != draw[1]


def test_beats_stay_within_the_disc():
    radii = [np.hypot(*Carrier.draw(np.random.default_rng(seed)).beat) for seed in range(500)]
    assert max(radii) <= FASTEST_BEAT
    assert np.mean(np.array(radii) > FASTEST_BEAT / 2) == pytest.approx(0.75, abs=0.06)
