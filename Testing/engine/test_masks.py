"""Contour, interior, texture: against slow, obvious twins, and slab by slab against the whole volume."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from MedUnlearnableLib.engine import masks
from scipy import ndimage


def contour_twin(layers, radius):
    """Per label: dilate and not erode, by brute force over the box."""
    contour = np.zeros(layers[0].shape, bool)
    for layer in layers:
        for value in np.unique(layer[layer != 0]):
            mask = layer == value
            for index in np.ndindex(mask.shape):
                box = tuple(slice(max(0, i - r), i + r + 1) for i, r in zip(index, radius))
                contour[index] |= mask[box].any() and not mask[box].all()
    return contour


@given(
    hnp.arrays(np.uint8, st.tuples(*[st.integers(1, 6)] * 3), elements=st.integers(0, 3)),
    st.tuples(*[st.integers(0, 2)] * 3),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_contour_is_dilate_minus_erode_of_every_label(labels, radius, overlapping):
    layers = [labels, np.roll(labels, 1, axis=2)] if overlapping else [labels]
    contour, interior = masks.contour_and_interior(layers, radius)
    assert np.array_equal(contour, contour_twin(layers, radius))
    foreground = np.any([layer != 0 for layer in layers], axis=0)
    assert np.array_equal(interior, foreground & ~contour)


def test_the_border_between_two_organs_is_contour():
    labels = np.ones((1, 9, 20), np.uint8)
    labels[..., 10:] = 2
    contour, _ = masks.contour_and_interior([labels], (0, 2, 2))
    assert contour[0, 4].nonzero()[0].tolist() == [8, 9, 10, 11]


@pytest.mark.parametrize(
    ("spacing", "shape", "width", "radius"),
    [
        ((1.0, 1.0, 1.0), (30, 30, 30), None, (3, 3, 3)),
        ((2.5, 0.7, 0.7), (30, 30, 30), None, (1, 3, 3)),
        ((6.0, 0.7, 0.7), (30, 30, 30), None, (0, 3, 3)),
        ((0.7, 0.7, 6.0), (30, 30, 30), None, (3, 3, 0)),
        ((3.0, 3.0, 3.0), (30, 30, 30), 1.0, (0, 1, 1)),
        ((1.0, 1.0, 1.0), (1, 30, 30), None, (0, 3, 3)),
        ((0.01, 1.0, 1.0), (1, 30, 30), None, (0, 3, 3)),
        ((1.0, 0.5, 0.5), (30, 30, 30), 2.0, (2, 4, 4)),
        ((1.0, 1.0, 1.0), (1, 1, 1), None, (0, 0, 0)),
    ],
)
def test_contour_width_in_mm_becomes_voxels_per_axis(spacing, shape, width, radius):
    assert masks.contour_radius(spacing, shape, width) == radius


@given(
    hnp.arrays(np.float32, st.tuples(*[st.integers(1, 9)] * 3), elements=st.floats(0, 1, width=32)),
    st.tuples(*[st.integers(0, 3)] * 3),
)
@settings(max_examples=60, deadline=None)
def test_deviation_is_that_of_the_box_within_the_slice_and_the_same_wherever_the_array_begins(gray, radius):
    deviation = masks.local_deviation(gray, radius)
    _, up, left = radius
    padded = np.pad(gray, ((0, 0), (up, up), (left, left)), mode="edge").astype(float)
    for k, j, i in np.ndindex(gray.shape):
        box = padded[k, j : j + 2 * up + 1, i : i + 2 * left + 1]
        assert deviation[k, j, i] == pytest.approx(box.std(), abs=1e-4)
    part = masks.local_deviation(gray[:, up:, left:], radius)
    assert np.array_equal(part[:, up:, left:], deviation[:, 2 * up :, 2 * left :])


@pytest.mark.parametrize("shape", [(1, 7, 8), (4, 5, 6)])
def test_texture_is_the_share_of_neighbors_at_least_as_bright(shape):
    gray = np.random.default_rng(1).integers(0, 4, shape).astype(np.float32)
    flat = shape[0] == 1
    steps = [d for d in np.ndindex(3, 3, 3) if sum(abs(a - 1) for a in d) in ((1, 2) if flat else (1,))]
    steps = [tuple(a - 1 for a in d) for d in steps if not flat or d[0] == 1]
    texture = masks.local_binary_texture(gray)
    for index in np.ndindex(shape):
        near = [tuple(np.clip(np.add(index, step), 0, np.array(shape) - 1)) for step in steps]
        assert texture[index] == np.float32(np.mean([gray[n] >= gray[index] for n in near]))


@given(st.integers(0, 2**32 - 1), st.integers(50, 2000))
@settings(max_examples=25, deadline=None)
def test_slabs_give_what_the_whole_volume_gives(seed, slab_voxels):
    random = np.random.default_rng(seed)
    layer = (ndimage.gaussian_filter(random.standard_normal((14, 12, 13)), 1.5) > 0.15).astype(np.uint8)
    gray = random.random(layer.shape, dtype=np.float32)
    radius = (2, 3, 1)
    contour, interior = masks.contour_and_interior([layer], radius)
    texture = masks.local_binary_texture(gray)
    seen = np.zeros(layer.shape, int)
    original, masks._SLAB_VOXELS = masks._SLAB_VOXELS, slab_voxels
    try:
        for slab in masks.slabs_around([layer], radius):
            part_contour, part_interior = masks.contour_and_interior([layer[slab.halo]], radius)
            assert np.array_equal(part_contour[slab.inner], contour[slab.core])
            assert np.array_equal(part_interior[slab.inner], interior[slab.core])
            inside = interior[slab.core]
            part_texture = masks.local_binary_texture(gray[slab.halo])[slab.inner]
            assert np.array_equal(part_texture[inside], texture[slab.core][inside])
            seen[slab.core] += 1
    finally:
        masks._SLAB_VOXELS = original
    assert seen.max(initial=0) <= 1
    assert np.all(seen[contour | interior] == 1)


def test_no_foreground_gives_no_slab():
    assert list(masks.slabs_around([np.zeros((3, 4, 5), np.uint8)], (1, 1, 1))) == []
