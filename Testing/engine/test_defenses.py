"""Defenses: each removes what it should, keeps the picture, and leaves its input alone."""

import sys

import numpy as np
import pytest
from MedUnlearnableLib.engine.defenses import DEFENSES, defend
from MedUnlearnableLib.engine.errors import MedUnlearnableError, UsageError
from scipy import ndimage

WINDOW = (0.0, 255.0)
SHAPES = [(2, 1, 24, 30), (1, 2, 9, 16, 20)]


def smooth_images(shape):
    noise = np.random.default_rng(0).normal(size=shape)
    smooth = ndimage.gaussian_filter(noise, [0, 0, *[4] * (len(shape) - 2)])
    return np.rint(120 + 60 * smooth / abs(smooth).max()).astype(np.uint8)


def checkerboard(shape):
    return 1 - 2 * (np.indices(shape).sum(0) % 2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("defense", list(DEFENSES))
def test_the_picture_stays_and_the_input_is_kept(defense, shape):
    pytest.importorskip("PIL")
    images = smooth_images(shape)
    before = images.copy()
    defended = defend(defense, images, WINDOW)
    assert defended.shape == shape and defended.dtype == np.float32
    assert abs(defended - images).mean() < (5 if defense == "jpeg10" else 3)
    assert np.array_equal(images, before)


@pytest.mark.parametrize(("defense", "left"), [("blur0.8", 0.05), ("resample0.7", 0.55), ("none", 1.0)])
@pytest.mark.parametrize("shape", SHAPES)
def test_filters_take_away_most_of_a_checkerboard(defense, left, shape):
    images = smooth_images(shape).astype(np.float32)
    carrier = 4 * checkerboard(shape)
    remains = defend(defense, images + carrier, WINDOW) - defend(defense, images, WINDOW)
    inner = (..., *[slice(3, -3)] * (len(shape) - 2))
    assert abs(remains[inner]).mean() <= left * 4 + 1e-3


def test_the_median_removes_single_pixels_and_keeps_edges():
    images = np.zeros((1, 1, 12, 12), np.uint8)
    images[..., 6:] = 200
    dotted = images.copy()
    dotted[0, 0, 3, 3] = 255
    assert np.array_equal(defend("median3", dotted, WINDOW), images)


def test_jpeg_works_within_the_window_and_clips_to_it():
    pytest.importorskip("PIL")
    images = smooth_images((1, 1, 24, 24)).astype(np.float32) * 4 - 1000
    defended = defend("jpeg90", images, (-1000.0, -200.0))
    assert abs(defended - images.clip(-1000, -200)).mean() < 10
    assert defended.min() >= -1000 and defended.max() <= -200


@pytest.mark.parametrize(("defense", "steps"), [("bits6", 64), ("wide_window", 86)])
def test_a_window_of_few_levels_rounds_to_them(defense, steps):
    ramp = np.linspace(0, 255, 4096, dtype=np.float32).reshape(1, 1, 64, 64)
    defended = defend(defense, ramp, WINDOW)
    assert len(np.unique(defended)) == steps
    assert abs(defended - ramp).max() <= 255 / (steps - 2)


def test_a_narrow_window_and_a_z_score_clip_what_lies_outside():
    ramp = np.linspace(-100, 355, 4096, dtype=np.float32).reshape(1, 1, 64, 64)
    narrow = defend("narrow_window", ramp, WINDOW)
    assert (narrow.min(), narrow.max()) == (63.75, 191.25)
    outlier = np.zeros((1, 1, 20, 20), np.float32)
    outlier[0, 0, 0, 0] = 1000
    assert defend("z_score", outlier, WINDOW).max() == pytest.approx(outlier.mean() + 3 * outlier.std(), rel=1e-5)


def test_resampling_keeps_a_straight_ramp_within_its_borders():
    ramp = np.tile(np.arange(40, dtype=np.float32), (1, 1, 30, 1))
    assert np.allclose(defend("resample0.7", ramp, WINDOW)[..., 3:-3], ramp[..., 3:-3], atol=1e-3)


def test_unknown_names_and_a_missing_pillow_are_one_sentence(monkeypatch):
    with pytest.raises(UsageError, match="unknown defense 'magic'; known are none, "):
        defend("magic", smooth_images(SHAPES[0]), WINDOW)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MedUnlearnableError, match="'jpeg90' needs Pillow; install it"):
        defend("jpeg90", smooth_images(SHAPES[0]), WINDOW)
