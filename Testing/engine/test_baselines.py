"""Baselines stay on the stored grid and in their region, controls know no label, and noise has the PSNR asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MedUnlearnableLib.engine.baselines import (
    EMSettings,
    class_pattern,
    error_minimizing,
    moved_elsewhere,
    segments_and_contour,
    white_noise,
)
from MedUnlearnableLib.engine.errors import UsageError
from MedUnlearnableLib.engine.masks import contour_and_interior
from MedUnlearnableLib.engine.quality import measure
from MedUnlearnableLib.engine.window import IntensityWindow

PICTURES = IntensityWindow(0.0, 255.0, 1.0)


def pictures(count=6, side=32, seed=0, labels=2):
    """Squares of a label on noise that reaches both ends of the window."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 2, side, side)).astype(np.uint8)
    masks = np.zeros((count, side, side), np.uint8)
    for mask in masks:
        y, x = random.integers(4, side - 14, 2)
        mask[y : y + 10, x : x + 10] = random.integers(1, labels + 1)
    return images, masks


def volumes():
    images, masks = pictures(count=2)
    depth = np.array([0, 1, 1, 1, 0], np.uint8)[:, None, None]
    return np.repeat(images[:, :, None], 5, 2), masks[:, None] * depth


def difference(before, after):
    return after.astype(float) - before


@pytest.mark.parametrize("stack", [pictures, volumes])
def test_the_region_is_segments_and_their_contour(stack):
    _, labels = stack()
    layer = labels[:1] if labels.ndim == 3 else labels[0]
    contour, interior = contour_and_interior([layer], (3 * (labels.ndim == 4), 3, 3))
    region = segments_and_contour(labels)
    assert region.shape == labels.shape
    assert np.array_equal(region[0], (contour | interior).reshape(labels.shape[1:]))


@given(psnr=st.floats(36, 54), seed=st.integers(0, 20), quantum=st.sampled_from([1.0, None]))
@settings(max_examples=20, deadline=None)
def test_white_noise_has_the_psnr_asked_for_and_stays_in_its_region(psnr, seed, quantum):
    images, labels = pictures(side=64, seed=seed)
    images = images.astype(np.uint8 if quantum else np.float64)
    window = IntensityWindow(0.0, 255.0, quantum)
    where = segments_and_contour(labels)
    noisy = white_noise(images, where, window, psnr, np.random.default_rng(seed))
    assert noisy.dtype == images.dtype
    assert not difference(images, noisy)[~np.broadcast_to(where[:, None], images.shape)].any()
    found = [measure(a[:, None], b[:, None], window).psnr_db for a, b in zip(images, noisy)]
    assert found == pytest.approx([psnr] * len(images), abs=0.5)
    assert np.mean(found) == pytest.approx(psnr, abs=0.2)


def test_white_noise_has_no_preferred_sign_where_there_is_room():
    images, _ = pictures(side=64)
    middle = images.clip(20, 230)
    noisy = white_noise(
        middle, np.ones(images.shape[:1] + images.shape[2:], bool), PICTURES, 40, np.random.default_rng(0)
    )
    assert abs(np.mean(np.sign(difference(middle, noisy)))) < 0.03


def test_images_without_labels_or_with_too_weak_noise_stay():
    images, labels = pictures()
    nowhere = np.zeros(labels.shape, bool)
    assert np.array_equal(white_noise(images, nowhere, PICTURES, 40, np.random.default_rng(0)), images)
    assert np.array_equal(white_noise(images, ~nowhere, PICTURES, 200, np.random.default_rng(0)), images)


def test_each_image_can_have_a_psnr_of_its_own():
    images, labels = pictures(side=64)
    wanted = np.linspace(38, 50, len(images))
    noisy = white_noise(images, segments_and_contour(labels), PICTURES, wanted, np.random.default_rng(0))
    found = [measure(a[:, None], b[:, None], PICTURES).psnr_db for a, b in zip(images, noisy)]
    assert found == pytest.approx(wanted, abs=0.5)


@pytest.mark.parametrize("stack", [pictures, volumes])
def test_a_moved_label_keeps_its_size_and_tells_nothing_of_its_place(stack):
    labels = np.repeat(stack()[1][:1], 400, axis=0)
    moved = moved_elsewhere(labels, np.random.default_rng(0))
    assert np.array_equal((moved > 0).sum(axis=tuple(range(1, labels.ndim))), [np.count_nonzero(labels[0])] * 400)
    share = (moved > 0).mean(axis=0)  # every place is hit equally often, the true one too
    expected = np.count_nonzero(labels[0]) / labels[0].size
    assert share.mean() == pytest.approx(expected)
    assert share[labels[0] > 0].mean() == pytest.approx(expected, rel=0.35)
    assert len(np.unique(moved.reshape(400, -1), axis=0)) > 100


@pytest.mark.parametrize("sides", [(20, 33), (5, 20, 33)])
def test_a_class_pattern_depends_on_the_class_and_the_place_alone(sides):
    labels = np.random.default_rng(1).integers(0, 2, (3, *sides))
    labels[0], labels[1] = 0, 1
    images = np.full((3, 2, *sides), 100, np.uint8)
    change = difference(images, class_pattern(images, labels, PICTURES, 8 / 255, np.random.default_rng(0)))
    assert set(np.unique(change)) == {-8, 8}
    assert np.array_equal(change[2], np.where(labels[2], change[1], change[0]))
    assert 0.1 < np.mean(change[0] != change[1]) < 0.9


TINY = EMSettings(width=2, rounds=2, noise_steps=3, network_steps=2, batch_size=4)


@pytest.mark.parametrize("stack", [pictures, volumes])
@pytest.mark.parametrize("masked", [True, False])
def test_error_minimizing_noise_keeps_budget_and_region(stack, masked):
    pytest.importorskip("torch")
    images, labels = stack()
    settings = EMSettings(**{**vars(TINY), "masked": masked, "recipe": "nnunet"})
    result = error_minimizing(images, labels, PICTURES, settings)
    change = difference(images, result)
    assert result.dtype == images.dtype
    assert 0 < np.abs(change).max() <= 8
    outside = ~np.broadcast_to(segments_and_contour(labels)[:, None], images.shape)
    assert change[outside].any() != masked


@pytest.mark.parametrize("stack", [pictures, volumes])
def test_error_minimizing_noise_repeats_with_its_seed(stack):
    torch = pytest.importorskip("torch")
    images, labels = stack()
    first = error_minimizing(images, labels, PICTURES, TINY)
    torch.rand(3)
    assert np.array_equal(first, error_minimizing(images, labels, PICTURES, TINY))
    other = EMSettings(**{**vars(TINY), "seed": 1})
    assert not np.array_equal(first, error_minimizing(images, labels, PICTURES, other))


def test_wrong_settings_are_refused():
    with pytest.raises(UsageError, match="unknown recipe 'no'"):
        EMSettings(recipe="no")
    with pytest.raises(UsageError, match="at least 1"):
        EMSettings(rounds=0)
