"""PSNR, SSIM and the rest, against scikit-image and by hand."""

import numpy as np
import pytest
from MedUnlearnableLib.engine.case import Case, Channel, Geometry, Units
from MedUnlearnableLib.engine.quality import measure, ssim_map
from MedUnlearnableLib.engine.window import IntensityWindow
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

WINDOW = IntensityWindow(0.0, 255.0, 1.0)


def changed_image(seed=0, shape=(1, 3, 40, 50)):
    random = np.random.default_rng(seed)
    before = random.integers(20, 230, shape).astype(np.uint8)
    after = before.copy()
    after[..., 12:30, 9:22] += random.integers(0, 5, (*shape[:2], 18, 13)).astype(np.uint8)
    return before, after


def test_psnr_is_that_of_scikit_image():
    before, after = changed_image()
    assert measure(before, after, WINDOW).psnr_db == pytest.approx(
        peak_signal_noise_ratio(before, after, data_range=255)
    )


def test_ssim_map_is_that_of_scikit_image():
    before, after = (a[0, 0] / 255.0 for a in changed_image())
    _, expected = structural_similarity(before, after, data_range=1.0, win_size=7, full=True)
    assert np.allclose(ssim_map(before, after), expected, atol=1e-9)


def test_ssim_of_the_box_equals_ssim_of_the_whole_image():
    before, after = changed_image()
    expected = np.mean([ssim_map(WINDOW.normalize(x).astype(float), WINDOW.normalize(y).astype(float)).mean()
                        for x, y in zip(before[0], after[0])])  # fmt: skip
    assert measure(before, after, WINDOW).ssim == pytest.approx(expected, abs=1e-12)


def test_change_at_the_image_corner_counts_in_full():
    before = np.random.default_rng(2).integers(20, 230, (1, 1, 30, 30)).astype(np.uint8)
    after = before.copy()
    after[0, 0, :4, :4] += 9
    expected = ssim_map(*(WINDOW.normalize(a[0, 0]).astype(float) for a in (before, after))).mean()
    assert measure(before, after, WINDOW).ssim == pytest.approx(expected, abs=1e-12)


def test_an_unchanged_image_has_no_psnr():
    before, _ = changed_image()
    quality = measure(before, before.copy(), WINDOW)
    assert (quality.psnr_db, quality.ssim, quality.max_change, quality.share_changed) == (None, 1.0, 0.0, 0.0)


def test_nan_outside_the_change_does_not_spoil_the_figures():
    before = np.ones((1, 2, 20, 20), np.float32) * 100
    before[0, 0, 0, 0], before[0, 1, 5, 5] = np.nan, np.inf
    after = before.copy()
    after[0, 0, 3, 3] += 2
    quality = measure(before, after, WINDOW)
    assert quality.max_change == 2.0
    assert quality.share_changed == 1 / 800
    assert np.isfinite([quality.psnr_db, quality.ssim]).all()


def test_unsigned_differences_do_not_wrap():
    before = np.full((1, 1, 9, 9), 10, np.uint8)
    after = before.copy()
    after[0, 0, 4, 4] = 7
    assert measure(before, after, WINDOW).max_change == 3


def test_each_channel_counts_by_its_own_window():
    before, after = (image.astype(np.int32) for image in changed_image())
    one = measure(before, after, WINDOW)
    before, after = (np.concatenate([image, 100 * image]) for image in (before, after))
    both = measure(before, after, (WINDOW, IntensityWindow(0.0, 25500.0, 1.0)))
    assert (both.psnr_db, both.ssim) == (pytest.approx(one.psnr_db), pytest.approx(one.ssim))
    assert both.channel_changes == (one.max_change, 100 * one.max_change)
    channels = (Channel(Units(2.0)), Channel(Units(-0.01)))
    assert both.physical(Case("x", before, Geometry(np.eye(4)), channels=channels)) == 2 * one.max_change
    assert both.physical(Case("x", before, Geometry(np.eye(4)), units=Units(-3.0))) == 300 * one.max_change
