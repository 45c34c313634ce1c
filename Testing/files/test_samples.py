"""Generated samples: repeatable, complete, with findings one can see, and fit to be protected."""

import numpy as np
import pytest
from MedUnlearnableLib.engine.case import Case, CasesInMemory
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import UMed, UMedParams
from MedUnlearnableLib.files.samples import (
    SAMPLES,
    synthetic_brain_mr,
    synthetic_ct,
    synthetic_fundus,
    synthetic_ultrasound,
)
from scipy import ndimage

SMALL = {
    "ct": lambda seed: synthetic_ct((6, 64, 64), seed),
    "brain": lambda seed: synthetic_brain_mr((44, 60, 48), seed),
    "ultrasound": lambda seed: synthetic_ultrasound((160, 170), seed),
    "fundus": lambda seed: synthetic_fundus((128, 128), seed),
}
EXPECTED = {
    "GeneratedCT": (np.int16, (60, 256, 256), "CT", {"liver", "lesion"}),
    "GeneratedBrainMR": (np.int16, (132, 180, 146), "MR", {"tumor", "edema"}),
    "GeneratedUltrasound": (np.uint8, (1, 480, 506), "picture", {"lesion"}),
    "GeneratedFundus": (np.uint8, (1, 576, 576, 3), "picture", {"hemorrhages", "hard exudates"}),
}


@pytest.fixture(scope="module")
def made():
    return {name: generate() for name, generate in SAMPLES.items()}


def contrast_to_noise(sample, value):
    """|mean inside - mean around| / standard deviation around, in gray; around: up to 8 pixels away."""
    inside = sample.labels == value
    distance = ndimage.distance_transform_edt(~inside)
    around = (distance > 1) & (distance < 8) & (sample.labels != value)
    gray = sample.channels.mean(axis=0, dtype=np.float64)
    return abs(gray[inside].mean() - gray[around].mean()) / gray[around].std()


@pytest.mark.parametrize("kind", SMALL)
def test_a_seed_repeats_the_bytes_and_another_seed_does_not(kind):
    first, again, other = (SMALL[kind](seed) for seed in (3, 3, 4))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.labels, again.labels)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("seed", range(5))
def test_every_seed_shows_every_segment(kind, seed):
    sample = SMALL[kind](seed)
    assert set(np.unique(sample.labels)) == {0, *sample.segment_names}


@pytest.mark.parametrize("name", EXPECTED)
def test_image_labels_and_geometry_fit_together(made, name):
    sample = made[name]
    dtype, shape, modality, names = EXPECTED[name]
    assert (sample.image.dtype, sample.image.shape, sample.modality) == (dtype, shape, modality)
    assert sample.labels.dtype == np.uint8
    assert sample.channels.shape[1:] == sample.labels.shape
    assert set(sample.segment_names.values()) == names
    middle = sample.geometry.ijk_to_ras @ [*((np.array(sample.labels.shape[::-1]) - 1) / 2), 1.0]
    assert np.allclose(middle[:3], 0), "slice views start at 0"
    assert sample.image.nbytes < 20e6
    assert sample.class_label
    assert sample.finding in sample.segment_names


@pytest.mark.parametrize("name", EXPECTED)
def test_labels_keep_off_the_border_and_the_air(made, name):
    sample = made[name]
    foreground = np.pad(sample.labels != 0, ((1, 1), (0, 0), (0, 0)) if len(sample.labels) == 1 else 0)
    inner = tuple(slice(1, -1) for _ in range(3))
    assert set(np.unique(sample.labels)) == {0, *sample.segment_names}
    if name != "GeneratedCT":  # the scan ends within the liver
        assert foreground.sum() == foreground[inner].sum()
    air = {"CT": -500, "MR": 60, "picture": 3}[sample.modality]
    values = sample.channels.max(axis=0)[sample.labels != 0]
    assert np.mean(values > air) > 0.95


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("GeneratedCT", "lesion"),
        ("GeneratedBrainMR", "tumor"),
        ("GeneratedUltrasound", "lesion"),
        ("GeneratedFundus", "hemorrhages"),
        ("GeneratedFundus", "hard exudates"),
    ],
)
def test_findings_differ_from_what_is_around_them(made, name, segment):
    sample = made[name]
    value = next(value for value, called in sample.segment_names.items() if called == segment)
    assert contrast_to_noise(sample, value) > 1.5


@pytest.mark.parametrize("name", EXPECTED)
def test_the_display_window_shows_the_image(made, name):
    sample = made[name]
    black, white = sample.display_window
    assert np.mean(sample.image > white) < 0.06
    shown = (sample.image > black) & (sample.image < white)
    assert np.mean(shown) > 0.25


def test_the_ultrasound_lesion_casts_a_shadow(made):
    sample = made["GeneratedUltrasound"]
    rows, columns = np.nonzero(sample.labels[0])
    below = slice(rows.max() + 20, rows.max() + 80)
    behind = sample.image[0, below, int(columns.mean()) - 20 : int(columns.mean()) + 20]
    beside = sample.image[0, below, 20:60]
    assert behind.mean() < 0.7 * beside.mean()


def test_the_red_of_the_fundus_is_stronger_than_its_blue(made):
    red, _, blue = made["GeneratedFundus"].channels
    assert red.mean() > 2 * blue.mean()


@pytest.mark.parametrize("name", EXPECTED)
def test_umed_protects_it(made, name):
    sample = made[name]
    case = Case(name, sample.channels, sample.geometry, (sample.labels,), modality=sample.modality)
    method = UMed(UMedParams(), RandomStreams.from_number(1))
    method.fit(CasesInMemory((case,)))
    protected = method.protect(case)
    assert protected.record.state == "protected"
    assert protected.record.psnr_db > 45
    assert protected.record.share_changed > 0.002
    assert protected.record.warnings == ()
    assert protected.image.dtype == sample.image.dtype


def test_neither_gas_nor_bone_widens_the_window_of_the_ct(made):
    """The contour band counts: a stomach bubble beside the liver would make the budget four times as large."""
    sample = made["GeneratedCT"]
    case = Case("ct", sample.channels, sample.geometry, (sample.labels,), modality="CT")
    method = UMed(UMedParams(), RandomStreams.from_number(1))
    method.fit(CasesInMemory((case,)))
    lo, hi = method.protect(case).record.window
    assert hi - lo == 350
