"""DSC, HD95 and the bootstrap: against slow, obvious twins, by hand, and by simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from MedUnlearnableLib.engine.errors import UsageError
from MedUnlearnableLib.engine.scores import dsc, hd95, paired_bootstrap

SHAPES = st.one_of(st.tuples(*[st.integers(1, 6)] * 2), st.tuples(*[st.integers(1, 4)] * 3))
PAIRS = SHAPES.flatmap(lambda shape: st.tuples(*[hnp.arrays(bool, shape)] * 2))


def points(mask):
    return set(map(tuple, np.argwhere(mask)))


def surface_twin(mask):
    """Voxels of the mask with a face neighbor that is not in it."""
    inside = points(mask)
    steps = [step for step in itertools.product((-1, 0, 1), repeat=mask.ndim) if sum(map(abs, step)) == 1]
    return [p for p in inside if any(tuple(np.add(p, step)) not in inside for step in steps)]


def hd95_twin(first, second, spacing):
    surfaces = surface_twin(first), surface_twin(second)
    distances = [
        min(math.dist(np.multiply(p, spacing), np.multiply(q, spacing)) for q in target)
        for source, target in (surfaces, surfaces[::-1])
        for p in source
    ]
    return np.percentile(distances, 95)


@given(PAIRS)
@settings(max_examples=60, deadline=None)
def test_dsc_counts_what_is_in_both(pair):
    a, b = map(points, pair)
    if a or b:
        assert dsc(*pair) == pytest.approx(2 * len(a & b) / (len(a) + len(b)))
    else:
        assert math.isnan(dsc(*pair))


@given(PAIRS, st.tuples(*[st.floats(0.3, 4)] * 3))
@settings(max_examples=60, deadline=None)
def test_hd95_is_the_percentile_of_all_surface_distances(pair, spacing):
    if pair[0].any() and pair[1].any():
        spacing = spacing[: pair[0].ndim]
        assert hd95(*pair, spacing) == pytest.approx(hd95_twin(*pair, spacing), abs=1e-9)


def test_scores_by_hand():
    first, second = np.zeros((2, 10, 10), bool)
    first[2:6, 2:6] = True
    second[2:6, 4:8] = True
    assert dsc(first, second) == 0.5
    assert dsc(first, first) == 1 and hd95(first, first, (1, 1)) == 0
    one, other = np.zeros((2, 5, 5), bool)
    one[0, 0] = other[3, 4] = True
    assert hd95(one, other, (1, 1)) == 5
    assert hd95(one, other, (2, 0.5)) == pytest.approx(math.hypot(6, 2))


def test_a_label_missing_from_one_mask_is_a_complete_miss():
    empty, full = np.zeros((3, 4), bool), np.ones((3, 4), bool)
    for pair in ((empty, full), (full, empty)):
        assert dsc(*pair) == 0
        assert hd95(*pair, (2.0, 1.0)) == math.hypot(6, 4)
    assert math.isnan(dsc(empty, empty)) and math.isnan(hd95(empty, empty, (1, 1)))


def test_the_bootstrap_interval_covers_the_true_difference_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        shared = random.normal(0.7, 0.2, 50)
        interval = paired_bootstrap(shared + random.normal(0.05, 0.1, 50), shared, random, draws=500)
        covered += interval.low <= 0.05 <= interval.high
    assert 0.91 <= covered / 400 <= 0.98


def test_pairing_makes_the_interval_narrow_and_a_nan_drops_its_pair():
    random = np.random.default_rng(0)
    shared = random.random(60)
    interval = paired_bootstrap(np.append(shared + 0.1, np.nan), np.append(shared, 1.0), np.random.default_rng(1))
    assert (interval.mean, interval.low, interval.high) == pytest.approx((0.1, 0.1, 0.1))
    assert interval == paired_bootstrap(
        np.append(shared + 0.1, np.nan), np.append(shared, 1.0), np.random.default_rng(1)
    )


def test_what_cannot_be_compared_is_refused_in_a_sentence():
    random = np.random.default_rng(0)
    with pytest.raises(UsageError, match="scores of the same cases are needed"):
        paired_bootstrap([1.0, 2.0], [1.0], random)
    with pytest.raises(UsageError, match="no case was scored in both runs"):
        paired_bootstrap([math.nan], [1.0], random)
