"""MedLocker without a model: how a logo enters stored values, where it may stand, what it leaves as it was."""

import io
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from MedUnlearnableLib.engine.case import Case, Channel, Geometry, Units
from MedUnlearnableLib.engine.errors import Refused, UsageError
from MedUnlearnableLib.engine.medlocker import lesions, spots
from MedUnlearnableLib.engine.medlocker.embedding import blend, blend_torch, faded, integer_limits
from MedUnlearnableLib.engine.medlocker.logo import Logo, data_url
from MedUnlearnableLib.engine.medlocker.marking import marked_image, support_of
from MedUnlearnableLib.engine.medlocker.method import MedLocker
from MedUnlearnableLib.engine.medlocker.params import MedLockerParams
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.window import IntensityWindow

INTEGERS = ("uint8", "int8", "uint16", "int16", "int32", "uint32")


def picture(seed=0, shape=(64, 64), channels=1, dtype="uint8", low=60, high=200):
    random = np.random.default_rng(seed)
    return random.integers(low, high, (channels, 1, *shape)).astype(dtype)


def case(image=None, boxes=(), **more):
    image = picture() if image is None else image
    mask = np.zeros(image.shape[1:], np.uint8)
    for x0, y0, x1, y1 in boxes:
        mask[:, y0:y1, x0:x1] = 1
    return Case("c", image, Geometry.of_spacing((1, 1, 1)), (mask,), **{"modality": "picture", **more})


def instant(seed=0, **params):
    return MedLocker(MedLockerParams(**{"profile": "instant", "logo": "X", **params}), RandomStreams.from_number(seed))


def changed(protected):
    before, after = protected.case.image, protected.image
    return (before != after) & ~((before != before) & (after != after))


@given(data=st.data(), dtype=st.sampled_from(INTEGERS))
@settings(max_examples=60, deadline=None)
def test_numpy_and_torch_write_the_same_integers(data, dtype):
    torch = pytest.importorskip("torch")
    stored = data.draw(hnp.arrays(dtype, (5, 7)))
    matte = data.draw(hnp.arrays(np.uint8, (5, 7)))
    limits = integer_limits(np.dtype(dtype), None)
    ink = data.draw(hnp.arrays(np.int64, (5, 7), elements=st.integers(*limits)))
    theirs = blend_torch(*(torch.from_numpy(a.astype(np.int64)) for a in (stored, matte, ink)), limits)
    ours = blend(stored, matte, ink)
    assert ours.dtype == stored.dtype
    assert np.array_equal(ours, theirs.numpy())


@given(stored=hnp.arrays(np.int64, (40,), elements=st.integers(-3000, 3000)), share=st.integers(0, 255))
def test_the_division_rounds_down_below_zero_too(stored, share):
    exact = [(share * 500 + (255 - share) * int(p) + 127) // 255 for p in stored]
    assert blend(stored.astype(np.int16), np.full(40, share, np.uint8), np.array(500)).tolist() == exact


@given(data=st.data(), dtype=st.sampled_from(["uint8", "int16"]))
@settings(max_examples=60, deadline=None)
def test_floats_that_hold_integers_get_those_of_the_integers(data, dtype):
    stored, matte = data.draw(hnp.arrays(dtype, (5, 7))), data.draw(hnp.arrays(np.uint8, (5, 7)))
    ink = data.draw(hnp.arrays(np.int64, (5, 7), elements=st.integers(-70_000, 70_000)))
    limits = integer_limits(np.dtype(dtype), None)
    as_floats = blend(stored.astype(np.float32), matte, ink, limits, quantum=1.0)
    assert as_floats.dtype == np.float32
    assert np.array_equal(as_floats, blend(stored, matte, ink))


@given(hnp.arrays(np.float32, (6, 6)))
def test_where_the_matte_is_empty_floats_keep_their_bits(stored):
    assert blend(stored, np.zeros((6, 6), np.uint8), np.array(3.0)).tobytes() == stored.tobytes()


def test_the_result_stays_in_what_the_file_can_hold():
    stored = np.full((2, 2), 4000, np.int16)
    assert blend(stored, np.full((2, 2), 255, np.uint8), np.array(9000), (0, 4095)).max() == 4095


def test_full_opacity_leaves_the_matte_as_it_is():
    matte = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(faded(matte, 255), matte)
    assert faded(matte, 100).max() == 100


BOXES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 44), st.integers(1, 30), st.integers(1, 30)).map(
        lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
    ),
    max_size=4,
)


@given(boxes=BOXES, seed=st.integers(0, 99), logos=st.integers(1, 3), margin=st.floats(0, 6), given_as=st.booleans(),
       mode=st.sampled_from(["translucent", "sealed"]))  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_a_mark_never_meets_a_lesion_box(boxes, seed, logos, margin, given_as, mode):
    image = picture(seed, (48, 64))
    free = case(image) if given_as else case(image, boxes)
    rows = {"c": [[None, *box] for box in boxes]} if given_as else {}
    method = instant(seed, logos=logos, margin_mm=margin, boxes=rows, mode=mode)
    try:
        protected = method.protect(free)
    except Refused as error:
        assert "no room" in str(error)
        return
    assert protected.record.parameters["lesion_overlap_voxels"] == 0
    reach = 0 if given_as else int(np.ceil(margin - 1e-9))
    for x0, y0, x1, y1 in boxes:
        near = changed(protected)[..., max(0, y0 - reach) : y1 + reach, max(0, x0 - reach) : x1 + reach]
        assert not near.any()
    assert changed(protected).any()


@given(seed=st.integers(0, 999), height=st.integers(1, 9), width=st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_feasible_places_are_those_a_search_by_hand_finds(seed, height, width):
    random = np.random.default_rng(seed)
    forbidden, foreground = random.random((14, 17)) < 0.03, random.random((14, 17)) < 0.6
    support = random.random((height, width)) < 0.7
    support[0, 0] = True
    places = lesions.feasible_places(forbidden, foreground, support)
    for y, x in np.ndindex(places.shape):
        box = (slice(y, y + height), slice(x, x + width))
        enough = 2 * (foreground[box] & support).sum() >= support.sum()
        assert places[y, x] == (enough and not forbidden[box].any())
    if places.any():
        nearest = lesions.nearest_places(places)
        assert places[tuple(nearest)].all()
        assert np.array_equal(nearest[:, places], np.argwhere(places).T)


def test_touching_parts_of_two_segments_are_boxes_of_their_own():
    first, second = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    first[2:4, 3:6] = 5
    first[10:12, 10:12] = 5
    second[3:6, 5:8] = 1
    boxes = lesions.boxes_of_plane([first, second], 0, (1, 1))
    assert sorted(boxes) == [(3, 2, 6, 4), (5, 3, 8, 6), (10, 10, 12, 12)]
    assert lesions.widened((3, 2, 6, 4), 3, (0.7, 2.0), (20, 20)) == (1, 0, 8, 9)


def test_the_mark_stands_on_tissue():
    image = np.zeros((1, 1, 64, 64), np.uint8)
    image[..., 20:50, 30:60] = picture(shape=(30, 30))
    for seed in range(8):
        support = changed(instant(seed).protect(case(image)))[0, 0]
        assert 2 * support[20:50, 30:60].sum() >= support.sum() > 0


def test_a_logo_shrinks_until_it_fits_and_is_refused_when_nothing_fits():
    image = picture()
    sizes = {}
    for gap in (20, 13, 9):
        boxes = [(0, 0, 64, 32 - gap // 2 - gap % 2), (0, 32 + gap // 2, 64, 64)]
        one = case(image, boxes)
        windows = spots.windows_of_case(one, MedLockerParams().window)
        params = MedLockerParams(margin_mm=0, logo="X")
        known = spots.known_boxes(one, params)
        sizes[gap] = spots.spots_of(one, windows, known, params, RandomStreams.from_number(0))[0][0].side_share
    assert sizes == {20: 4, 13: 6, 9: 8}
    with pytest.raises(Refused, match="no room"):
        instant(margin_mm=0).protect(case(image, [(0, 0, 64, 30), (0, 34, 64, 64)]))


def test_lesions_off_and_inside_are_warned_of():
    one = case(picture(), [(20, 20, 44, 44)])
    inside = instant(lesions="inside", margin_mm=0).protect(one)
    assert inside.record.parameters["lesion_overlap_voxels"] > 0
    assert any("stand on the lesions" in text for text in inside.record.warnings)
    off = instant(lesions="off").protect(one)
    assert any("not kept free" in text for text in off.record.warnings)


def test_a_case_of_which_no_lesion_is_known_says_so():
    one = replace(case(), segments=())
    assert any("no lesion is known" in text for text in instant().protect(one).record.warnings)


@pytest.mark.parametrize(("dtype", "channels", "low", "high"), [
    ("uint8", 1, 0, 255), ("uint8", 3, 0, 255), ("int16", 1, -900, 400), ("uint16", 1, 0, 4000), ("float32", 1, 0, 9),
])  # fmt: skip
@pytest.mark.parametrize("mode", ["translucent", "sealed"])
def test_outside_the_support_every_bit_stays(dtype, channels, low, high, mode):
    image = picture(2, (64, 64), channels, dtype, low, high)
    image = image + np.float32(0.25) if dtype == "float32" else image
    if dtype == "float32":
        image[0, 0, 0, :4] = [np.nan, np.inf, -0.0, 1.0]
    image.flags.writeable = False
    one = case(image, modality="picture" if dtype == "uint8" else "MR")
    protected = instant(mode=mode, logos=2).protect(one)
    assert protected.image.dtype == image.dtype
    assert protected.image.shape == image.shape
    touched = changed(protected).any(axis=0)[0]
    assert 0 < touched.mean() < 0.2
    assert protected.image[..., ~touched].tobytes() == image[..., ~touched].tobytes()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_sealed_mark_leaves_nothing_of_the_original_below_it(dtype):
    """Two originals that differ below the marks only become the same image."""
    first = case(picture(1, dtype=dtype))
    streams, params = RandomStreams.from_number(0), MedLockerParams(logos=2)
    windows = (IntensityWindow(0, 255, 1.0),)
    found = spots.spots_of(first, windows, {}, params, streams)[0]
    marked = [(spot, spot.random_marks(np.random.default_rng(0), (100, 255))) for spot in found]
    support = support_of(*marked[0], (64, 64))
    hidden = first.image.copy()
    hidden[0, 0][support] = picture(9, dtype=dtype)[0, 0][support]
    second = replace(first, image=hidden)
    sealed, translucent = (
        [marked_image(one, marked, windows, mode, streams) for one in (first, second)]
        for mode in ("sealed", "translucent")
    )
    assert np.array_equal(*sealed)
    assert not np.array_equal(*translucent)


def test_padding_keeps_its_place():
    image = picture(3, dtype="int16", low=-100, high=900)
    image[..., :20] = -2000
    protected = instant(logos=3).protect(case(image, modality="MR", padding=-2000.0))
    assert np.array_equal(protected.image == -2000, image == -2000)


def of_two_files(seed=0):
    """CT in int16 with an intercept and PET in float32 with a rim of padding, on one grid: float32 holds both."""
    random = np.random.default_rng(seed)
    ct, pet = random.integers(900, 1300, (1, 64, 64)), random.gamma(2.0, 3.0, (1, 64, 64))
    pet[..., :6] = -1.0
    channels = (Channel(Units(1.0, -1024.0, "HU"), "CT", limits=(0.0, 4095.0)), Channel(modality="PT", padding=-1.0))
    return case(np.stack([ct, pet]).astype(np.float32), [(20, 20, 40, 44)], modality="", channels=channels)


def test_channels_of_different_files_are_inked_by_their_own_windows():
    two = of_two_files()
    ct, pet = windows = spots.windows_of_case(two, MedLockerParams().window)
    assert (ct.quantum, ct.limits, pet.quantum, pet.padding) == (1.0, (0.0, 4095.0), None, -1.0)
    assert ct.lo > 500 and pet.hi < 50
    rgba = np.full((20, 20, 4), [255, 0, 0, 255], np.uint8)
    params = MedLockerParams(logo=data_url(png(rgba)))
    inks = spots.spots_of(two, windows, {}, params, RandomStreams.from_number(0))[0][0].inks[:, :, 8, 8]
    assert inks[:2].tolist() == [[round(ct.hi), pet.hi], [round(ct.lo), pet.lo]]
    assert inks[4].tolist() == [round(ct.lo + ct.width / 3), pytest.approx(pet.lo + pet.width / 3)]  # red is gray here
    for ink in inks:
        assert ct.lo - 1 <= ink[0] <= ct.hi + 1
        assert pet.lo <= ink[1] <= pet.hi


@pytest.mark.parametrize("mode", ["translucent", "sealed"])
@pytest.mark.parametrize("seed", range(4))
def test_channels_of_different_files_are_marked_on_their_own_grids(mode, seed):
    two = of_two_files(seed)
    protected = instant(seed, mode=mode, logos=2, margin_mm=0).protect(two)
    touched = changed(protected)
    assert touched.any(axis=(1, 2, 3)).all()
    assert not touched[..., 20:44, 20:40].any()
    assert protected.record.parameters["lesion_overlap_voxels"] == 0
    frames = np.zeros((64, 64), bool)
    for mark in protected.secrets["marks"]:
        frames[mark["y"] : mark["y"] + mark["height"], mark["x"] : mark["x"] + mark["width"]] = True
        assert mark["slices"] == [0, 1]
    assert protected.image[..., ~frames].tobytes() == two.image[..., ~frames].tobytes()
    ct, pet = protected.image
    assert np.array_equal(ct, np.rint(ct)) and ct.min() >= 0 and ct.max() <= 4095
    assert np.any(pet != np.rint(pet)) and pet.max() <= two.image[1].max()  # CT inks are far brighter
    assert np.array_equal(pet == -1, two.image[1] == -1)


def test_the_record_tells_the_window_and_the_change_of_each_channel():
    two = of_two_files()
    method = instant(margin_mm=0)
    protected = method.protect(two)
    record = protected.record
    difference = np.abs(protected.image.astype(float) - two.image).max(axis=(1, 2, 3))
    assert [one["window"] for one in record.channels] == [(one.lo, one.hi) for one in method.windows(two)]
    assert [one["max_change"] for one in record.channels] == difference.tolist()
    assert [one["units"] for one in record.channels] == ["HU", ""]
    assert record.max_change_physical == record.max_change == difference.max()
    assert instant().protect(case(picture(channels=3))).record.channels == ()


def test_a_seed_repeats_the_bytes_and_another_moves_the_mark():
    one = case(picture(4))
    first, again, other = (instant(seed).protect(one).image for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_warp_differs_from_case_to_case_and_stays_in_the_frame():
    logo = Logo.from_text("MED LOCK").scaled(32)
    first, second = (logo.warped(np.random.default_rng(seed)).matte for seed in (0, 1))
    assert first.shape == second.shape == logo.matte.shape
    assert not np.array_equal(first, second)
    assert abs(int(first.sum()) - int(logo.matte.sum())) < 0.1 * logo.matte.sum()


def test_profile_instant_needs_no_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert instant().protect(case()).record.state == "protected"


def volume(depth=12, spacing=2.0, first=4, last=6):
    image = np.concatenate([picture(k) for k in range(depth)], axis=1)
    mask = np.zeros((depth, 64, 64), np.uint8)
    mask[first : last + 1, 20:30, 20:30] = 1
    return Case("v", image, Geometry.of_spacing((1, 1, spacing)), (mask,), modality="MR")


def test_a_column_takes_the_lesion_slices_and_a_margin_with_one_place():
    protected = instant(placement="column", slab_mm=4).protect(volume())
    used = [k for k in range(12) if changed(protected)[:, k].any()]
    assert used == list(range(2, 9))
    assert len({(mark["x"], mark["y"]) for mark in protected.secrets["marks"]}) == 1


def test_slices_get_places_of_their_own_and_a_volume_a_single_one():
    by_slice = instant(placement="slice", slab_mm=0).protect(volume())
    assert [mark["slices"] for mark in by_slice.secrets["marks"]] == [[4, 5], [5, 6], [6, 7]]
    whole = instant(placement="volume").protect(volume())
    assert [mark["slices"] for mark in whole.secrets["marks"]] == [[0, 12]]
    assert changed(whole).any(axis=(0, 2, 3)).all()


def test_a_slice_without_room_is_named_and_the_others_are_marked():
    one = volume()
    one.segments[0][5] = 1
    protected = instant(placement="slice", slab_mm=0).protect(one)
    assert any(text.startswith("slice 5: the lesion boxes leave no room") for text in protected.record.warnings)
    assert not changed(protected)[:, 5].any()


def test_secrets_are_json_without_floats_and_the_record_tells_no_place():
    protected = instant(logos=2).protect(case())
    marks = json.loads(json.dumps(protected.secrets), parse_float=pytest.fail)["marks"]
    assert len(marks) == 2
    public = json.dumps(protected.record.to_json())
    assert not any(word in public for word in ("opacity", '"x"', marks[0]["matte_sha256"]))


def png(array, **options):
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", **options)
    return buffer.getvalue()


def test_the_alpha_of_a_png_is_the_matte_and_its_colors_are_an_ink():
    rgba = np.zeros((20, 30, 4), np.uint8)
    rgba[5:15, 10:20] = [200, 30, 60, 255]
    logo = Logo.parse(data_url(png(rgba)))
    assert logo.matte.shape == (10, 10)
    assert (logo.matte == 255).all()
    one = case(picture(channels=3))
    params = MedLockerParams(logo=data_url(png(rgba)))
    windows = spots.windows_of_case(one, params.window)
    found = spots.spots_of(one, windows, {}, params, RandomStreams.from_number(0))[0][0]
    assert found.inks.shape == (5, 3, 16, 16)
    assert found.inks[4, :, 8, 8].tolist() == [200, 30, 60]
    assert len(spots.spots_of(one, windows, {}, MedLockerParams(), RandomStreams.from_number(0))[0][0].inks) == 4


def test_without_alpha_the_luminance_is_the_matte():
    gray = np.zeros((8, 8), np.uint8)
    gray[2:6, 2:6] = 128
    assert (Logo.from_png(png(gray)).matte == 128).all()


@pytest.mark.parametrize("logo", [data_url(b"no png"), "data:image/png;base64,%%", data_url(png(np.zeros((4, 4))
                                  .astype(np.uint8)))])  # fmt: skip
def test_a_logo_that_is_none_is_refused(logo):
    with pytest.raises(Refused, match="logo"):
        Logo.parse(logo)


def test_strokes_of_text_are_two_pixels_wide_at_the_resolution_of_a_model():
    matte = Logo.from_text("LOCK").scaled(32).matte > 100
    runs = [len(run) for row in matte for run in "".join("x" if m else " " for m in row).split()]
    assert np.median(runs) >= 2


@pytest.mark.parametrize("wrong", [
    {"logos": 4}, {"mode": "hidden"}, {"lesions": "near"}, {"placement": "row"}, {"profile": "paper"},
    {"margin_mm": -1},
])  # fmt: skip
def test_wrong_choices_are_named(wrong):
    with pytest.raises(UsageError):
        MedLockerParams(**wrong)


def test_a_text_that_is_too_long_or_empty_is_refused():
    for text in ("", " ", "a" * 25):
        with pytest.raises(UsageError, match="--logo"):
            Logo.from_text(text)


def test_a_constant_image_is_refused():
    with pytest.raises(Refused, match="constant"):
        instant().protect(case(np.full((1, 1, 32, 32), 7, np.uint8)))
