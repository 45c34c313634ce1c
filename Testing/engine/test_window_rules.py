"""Which window an image gets."""

import numpy as np
import pytest
from MedUnlearnableLib.engine.case import Case, Channel, Geometry, Units
from MedUnlearnableLib.engine.errors import Refused, UsageError
from MedUnlearnableLib.engine.window_rules import HuHistogram, WindowSetting, units_of, window_of, windows_of

AUTO = WindowSetting()


def case(image, **more):
    return Case("x", np.asarray(image)[np.newaxis], Geometry.of_spacing((1, 1, 1)), **more)


def ct_like(dtype=np.int16):
    image = np.full((4, 20, 20), -1000)
    image[:, 5:15, 5:15] = 40
    return image.astype(dtype)


def test_integers_with_air_are_ct_and_floats_with_fractions_are_not():
    assert AUTO.rule_for(case(ct_like())) == "ct"
    assert AUTO.rule_for(case(ct_like(np.float32))) == "ct"
    assert AUTO.rule_for(case(ct_like(np.float32) + np.float32(0.25))) == "mr"


def test_a_ct_stored_with_an_intercept_is_ct():
    stored = (ct_like() + 1024).astype(np.uint16)
    assert AUTO.rule_for(case(stored, units=Units(1.0, -1024.0))) == "ct"
    assert AUTO.rule_for(case(stored)) == "mr"


def test_a_ct_stored_upside_down_is_ct():
    assert AUTO.rule_for(case((-ct_like()).astype(np.int16), units=Units(-1.0, 0.0))) == "ct"


def test_air_beside_nan_is_still_ct():
    image = ct_like(np.float32)
    image[0, 0, 0] = np.nan
    assert AUTO.rule_for(case(image)) == "ct"


@pytest.mark.parametrize(("modality", "rule"), [("CT", "ct"), ("MR", "mr"), ("PT", "mr")])
def test_what_the_source_says_wins(modality, rule):
    assert AUTO.rule_for(case(ct_like(), modality=modality)) == rule


def test_pictures_of_8_bit_use_the_whole_range_and_of_16_bit_their_percentiles():
    assert window_of(case(np.full((1, 4, 4), 7, np.uint8), modality="picture"), AUTO, None).hi == 255
    picture = case(np.arange(1, 17, dtype=np.uint16).reshape(1, 4, 4), modality="picture")
    window = window_of(picture, AUTO, None)
    assert 1 <= window.lo < window.hi <= 16


def test_mr_percentiles_ignore_zeros_nan_and_padding():
    image = np.zeros((1, 50, 50), np.float32)
    image[0, :20] = np.linspace(100, 200, 1000).reshape(20, 50)
    image[0, 40] = np.nan
    image[0, 45] = -9999
    window = window_of(case(image, padding=-9999.0), AUTO, None)
    assert (window.lo, window.hi) == pytest.approx((100.5, 199.5), abs=0.01)


def test_an_image_of_zeros_is_refused():
    with pytest.raises(Refused, match="nothing to protect"):
        window_of(case(np.zeros((1, 3, 3), np.int16)), WindowSetting.parse("mr"), None)


def test_merged_histogram_gives_the_percentiles_of_all_values():
    random = np.random.default_rng(0)
    parts = [random.normal(mean, 120, 20000).astype(np.int16) for mean in (0, 300)]
    histogram = HuHistogram()
    for part in parts:
        histogram.add(part, Units())
    expected = np.percentile(np.concatenate(parts), (0.5, 99.5), method="inverted_cdf")
    assert histogram.window_hu() == tuple(expected)


def test_a_narrow_ct_window_is_widened_to_350_hu_around_its_middle():
    histogram = HuHistogram()
    histogram.add(np.repeat(np.arange(40, 61), 100), Units())
    lo, hi = histogram.window_hu()
    assert (hi - lo, (lo + hi) / 2) == (350.0, 50.0)


def test_a_ct_window_in_hu_becomes_stored_units():
    window = window_of(case(ct_like(), units=Units(0.5, -1024.0)), WindowSetting.parse("-160,240"), None)
    assert (window.lo, window.hi) == (1728.0, 2528.0)


def test_a_negative_slope_turns_the_window_around():
    window = window_of(case(ct_like(), units=Units(-1.0, 0.0)), WindowSetting.parse("-160,240"), None)
    assert (window.lo, window.hi) == (-240.0, 160.0)


@pytest.mark.parametrize("text", ["", "pet", "1", "1,2,3", "a,b", "5,5", "9,1", "nan,1", "-inf,3"])
def test_a_window_that_makes_no_sense_is_wrong_usage(text):
    with pytest.raises(UsageError, match="--window"):
        WindowSetting.parse(text)


@pytest.mark.parametrize("text", ["auto", "ct", "mr", "-160,240"])
def test_a_setting_reads_back_from_its_text(text):
    assert str(WindowSetting.parse(text)) == text


def of_two_files():
    """CT in int16 with an intercept and PET in float32, on one grid: float32 holds both."""
    pet = np.random.default_rng(0).gamma(2.0, 3.0, ct_like().shape)
    image = np.stack([ct_like() + 1024, pet]).astype(np.float32)
    channels = (Channel(Units(1.0, -1024.0, "HU"), "CT", limits=(-32768.0, 32767.0)), Channel(modality="PT"))
    return Case("x", image, Geometry.of_spacing((1, 1, 1)), channels=channels)


def test_channels_of_different_files_have_windows_of_their_own():
    two = of_two_files()
    ct, pet = windows_of(two, AUTO, (-160.0, 240.0))
    assert (ct.lo, ct.hi, ct.quantum, ct.limits) == (864.0, 1264.0, 1.0, (-32768.0, 32767.0))
    assert pet.quantum is None
    assert (pet.lo, pet.hi) == pytest.approx(tuple(np.percentile(two.image[1], (0.5, 99.5))))
    assert units_of(two) == ""


def test_channels_of_one_file_share_their_window():
    color = Case("x", np.zeros((3, 1, 5, 5), np.uint8), Geometry.of_spacing((1, 1, 1)), modality="picture")
    first, second, third = windows_of(color, AUTO, None)
    assert first is second is third
