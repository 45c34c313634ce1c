"""Augmentations: the same for image and label, differentiable, as often and as strong as the table says."""

import math

import pytest
from MedUnlearnableLib.engine import augment as augmentations
from MedUnlearnableLib.engine.augment import MIRROR, NNUNET, RECIPES, Change, augment
from MedUnlearnableLib.engine.errors import UsageError

torch = pytest.importorskip("torch")

ALWAYS = {change.name: Change(change.name, 1.0, change.low, change.high, halves=change.halves) for change in NNUNET}
SHAPES = [(3, 2, 20, 24), (2, 1, 10, 12, 14), (2, 1, 3, 16, 16)]


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(shape, seed=0):
    image = torch.randn(shape, generator=stream(seed))
    return image, torch.randint(0, 3, (shape[0], *shape[2:]), generator=stream(seed))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", list(ALWAYS))
def test_gradients_flow_through_every_change_to_every_sample(name, shape):
    image, label = batch(shape)
    image.requires_grad_()
    changed, _ = augment(image, label, [ALWAYS[name]], stream())
    weights = torch.randn(shape, generator=stream(1))
    (changed * weights).sum().backward()
    assert image.grad.isfinite().all()
    assert (image.grad.flatten(1).abs().sum(1) > 0).all()
    assert not torch.equal(changed, image) or name == "mirror"


@pytest.mark.parametrize("name", ["brightness", "contrast", "blur", "gamma", "gamma_inverted", "zoom", "rotate"])
def test_gradients_are_those_of_finite_differences(name):
    image, label = (part.double() if part.is_floating_point() else part for part in batch((1, 1, 6, 6)))
    assert torch.autograd.gradcheck(
        lambda x: augment(x, label, [ALWAYS[name]], stream())[0], image.requires_grad_(), eps=1e-6, atol=1e-3
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_image_and_label_move_together(shape):
    _, label = batch(shape)
    label = label.repeat_interleave(1, 0).clamp_max(1)
    label = torch.nn.functional.max_pool2d(label.float(), 5, 1, 2)  # blobs, so that interpolation blurs edges only
    image = label[:, None].repeat(1, shape[1], *[1] * (len(shape) - 2))
    spatial = [ALWAYS[name] for name in ("mirror", "rotate", "zoom")]
    for seed in range(5):
        moved, moved_label = augment(image, label.long(), spatial, stream(seed))
        agree = (moved[:, 0] >= 0.5) == (moved_label == 1)
        assert agree.float().mean() > 0.95
        assert not torch.equal(moved_label, label.long())


def test_mirroring_alone_moves_pixels_and_changes_none():
    image, _ = batch((8, 1, 6, 7))
    mirrored, numbers = augment(image, torch.arange(42).view(1, 6, 7).repeat(8, 1, 1), [MIRROR], stream())
    for sample, before, index in zip(mirrored[:, 0], image[:, 0], numbers, strict=True):
        assert torch.equal(sample.flatten(), before.flatten()[index.flatten()])


def test_a_quarter_turn_of_an_oblong_image_does_not_shear_it(monkeypatch):
    monkeypatch.setattr(augmentations, "rotation_limit_degrees", lambda sides: 90.0)
    image = torch.zeros(1, 1, 21, 31)
    image[..., 10, 8:23] = 1  # a bar of 15 pixels through the center
    turned, _ = augment(image, image[:, 0].long(), [Change("rotate", 1.0, 1, 1)], stream())
    expected = torch.zeros(21, 31)
    expected[3:18, 15] = 1
    assert torch.allclose(turned[0, 0], expected, atol=1e-4)


def test_zoom_above_one_shrinks_objects():
    image = torch.zeros(1, 1, 40, 40)
    image[..., 10:30, 10:30] = 1
    smaller, label = augment(image, image[:, 0].long(), [Change("zoom", 1.0, 2, 2)], stream())
    assert label.sum() == 100
    assert abs(float(smaller.sum()) - 100) < 1e-3


def test_flat_volumes_turn_within_their_slices():
    image = torch.zeros(1, 1, 3, 16, 16)
    image[:, :, 1] = torch.randn(16, 16, generator=stream())
    turned, _ = augment(image, image[:, 0].long(), [ALWAYS["rotate"], ALWAYS["zoom"]], stream())
    assert turned[:, :, 1].abs().sum() > 0
    assert turned[:, :, [0, 2]].abs().max() < 1e-4


@pytest.mark.parametrize(
    ("sides", "degrees"), [((64, 64), 180), ((64, 96), 180), ((64, 128), 15), ((32, 32, 40), 30), ((8, 64, 64), 180)]
)
def test_rotation_limits_are_those_of_nnunet(sides, degrees):
    assert augmentations.rotation_limit_degrees(sides) == degrees


def test_each_change_does_what_its_name_says():
    image, label = batch((4, 2, 32, 32))

    def changed(name, strength):
        return augment(image, label, [Change(name, 1.0, strength, strength)], stream())[0]

    def mean(x):
        return x.mean((2, 3))

    assert torch.allclose(changed("brightness", 1.2), 1.2 * image)
    contrast = changed("contrast", 0.5)
    assert torch.allclose(
        contrast, (image - mean(image)[..., None, None]) * 0.5 + mean(image)[..., None, None], atol=1e-6
    )
    assert changed("contrast", 2.0).max() <= image.max()
    assert (changed("noise", 0.1) - image).std() == pytest.approx(0.1, rel=0.1)
    for name in ("gamma", "gamma_inverted"):
        assert torch.allclose(changed(name, 1.4).mean((2, 3)), mean(image), atol=1e-5)
        assert torch.allclose(changed(name, 1.4).std((2, 3)), image.std((2, 3)), atol=1e-5)
    assert changed("gamma", 0.7).median() > image.median() > changed("gamma_inverted", 0.7).median()
    assert changed("low_resolution", 0.5).diff(dim=-1).abs().mean() < 0.7 * image.diff(dim=-1).abs().mean()


def test_blur_is_the_gaussian_of_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    image, label = batch((1, 1, 20, 20))
    blurred, _ = augment(image, label, [Change("blur", 1.0, 0.8, 0.8)], stream())
    expected = ndimage.gaussian_filter(image[0, 0].numpy(), 0.8, mode="nearest", truncate=5)
    assert torch.allclose(blurred[0, 0], torch.from_numpy(expected), atol=1e-4)


def test_changes_come_as_often_as_the_table_says():
    image, label = batch((4000, 2, 4, 4))
    for change in NNUNET:
        if change.name in ("noise", "brightness", "gamma", "blur", "low_resolution"):
            changed, _ = augment(
                image, label, [Change(change.name, change.probability, 0.5, 0.5, change.channel_probability)], stream()
            )
            share = (changed != image).flatten(2).any(2).float().mean()
            expected = change.probability * change.channel_probability
            assert abs(share - expected) < 4 * math.sqrt(expected / 8000)


def test_factors_below_and_above_one_come_equally_often():
    image, label = torch.ones(4000, 1, 2, 2), torch.zeros(4000, 2, 2, dtype=torch.long)
    factors = augment(image, label, [ALWAYS["brightness"]], stream())[0][:, 0, 0, 0]
    assert 0.75 <= factors.min() < 0.76 and 1.24 < factors.max() <= 1.25
    assert abs((factors < 1).float().mean() - 0.5) < 0.04


def test_the_same_stream_gives_the_same_batch_and_the_input_is_kept():
    image, label = batch((6, 1, 16, 16))
    before = image.clone()
    runs = [augment(image, label, "nnunet", stream(seed)) for seed in (3, 3, 4)]
    assert torch.equal(runs[0][0], runs[1][0]) and torch.equal(runs[0][1], runs[1][1])
    assert not torch.equal(runs[0][0], runs[2][0])
    assert torch.equal(image, before)


@pytest.mark.parametrize("recipe", list(RECIPES))
@pytest.mark.parametrize("shape", SHAPES)
def test_every_recipe_keeps_shapes_and_types(recipe, shape):
    image, label = batch(shape)
    changed, changed_label = augment(image, label, recipe, stream())
    assert changed.shape == image.shape and changed.dtype == image.dtype and changed.isfinite().all()
    assert changed_label.shape == label.shape and changed_label.dtype == label.dtype


def test_a_constant_channel_stays_finite():
    image, label = torch.ones(2, 1, 8, 8, requires_grad=True), torch.zeros(2, 8, 8, dtype=torch.long)
    changed, _ = augment(image, label, [ALWAYS[name] for name in ("gamma", "contrast", "gamma_inverted")], stream())
    changed.sum().backward()
    assert changed.isfinite().all() and image.grad.isfinite().all()


def test_unknown_names_are_refused_in_a_sentence():
    image, label = batch((1, 1, 8, 8))
    with pytest.raises(UsageError, match="unknown recipe 'strong'; known are none, plain, nnunet"):
        augment(image, label, "strong", stream())
    with pytest.raises(UsageError, match="unknown change 'elastic'; known are mirror, "):
        augment(image, label, [Change("elastic", 1, 0, 1)], stream())


def test_the_table_is_that_of_nnunet_itself():
    """Probabilities and ranges against the installed nnU-Net v2; skipped where it is not installed."""
    trainer = pytest.importorskip("nnunetv2.training.nnUNetTrainer.nnUNetTrainer")
    theirs = trainer.nnUNetTrainer.get_training_transforms((64, 64), (-math.pi, math.pi), None, (0, 1), False)
    found = {}
    for transform in theirs.transforms:
        probability = getattr(transform, "apply_probability", 1.0)
        inner = getattr(transform, "transform", transform)
        kind = type(inner).__name__.removesuffix("Transform")
        if kind == "Spatial":
            found["rotate"] = (inner.p_rotation, -1, 1, 1)
            found["zoom"] = (inner.p_scaling, *inner.scaling, 1)
        elif kind == "Gamma":
            name = "gamma_inverted" if inner.p_invert_image else "gamma"
            found[name] = (probability, *inner.gamma.contrast_range, inner.p_per_channel)
        elif kind in THEIR_RANGES:
            name, field = THEIR_RANGES[kind]
            value = getattr(inner, field)
            found[name] = (probability, *getattr(value, "contrast_range", value), inner.p_per_channel)
    for change in NNUNET[1:]:
        ours = (change.probability, change.low, change.high, change.channel_probability)
        assert found[change.name] == pytest.approx(ours), change.name


THEIR_RANGES = {
    "GaussianNoise": ("noise", "noise_variance"),
    "GaussianBlur": ("blur", "blur_sigma"),
    "MultiplicativeBrightness": ("brightness", "multiplier_range"),
    "Contrast": ("contrast", "contrast_range"),
    "SimulateLowResolution": ("low_resolution", "scale"),
}
