"""Random changes of training images, in batches and differentiable, as an attacker's training makes them.

Images are z-scored float tensors [N, C, *sides], labels integer tensors [N, *sides]; sides are (H, W) or (D, H, W).
Gradients flow to the image, so that noise can be trained under the changes it must survive. Every random number comes
from the `torch.Generator` handed in; it may live on another device than the image. torch is imported in the functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import UsageError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Change:
    """One kind of random change: how often, and how strong (uniform between `low` and `high`)."""

    name: str
    probability: float  # that an image is changed
    low: float
    high: float
    channel_probability: float = 1.0  # that a channel of such an image is changed
    halves: bool = False  # below 1 and above 1 equally often, uniform in each part, as nnU-Net draws factors


MIRROR = Change("mirror", 0.5, 0, 0)  # the probability is that of each axis

#: The default of nnU-Net v2 (nnUNetTrainer.get_training_transforms), in its order but for mirroring, which commutes.
#: Its `noise_variance` is a standard deviation in its code, hence in ours. Rotation: see `rotation_limit_degrees`.
NNUNET = (
    Change("mirror", 0.5, 0, 0),
    Change("rotate", 0.2, -1, 1),  # times the limit
    Change("zoom", 0.2, 0.7, 1.4),  # above 1: objects shrink
    Change("noise", 0.1, 0, 0.1),  # standard deviation
    Change("blur", 0.2, 0.5, 1, channel_probability=0.5),  # sigma in pixels, each axis its own
    Change("brightness", 0.15, 0.75, 1.25, halves=True),  # factor
    Change("contrast", 0.15, 0.75, 1.25, halves=True),  # factor around the mean
    Change("low_resolution", 0.25, 0.5, 1, channel_probability=0.5),  # share of pixels left along an axis
    Change("gamma_inverted", 0.1, 0.7, 1.5, halves=True),  # exponent, on the negative
    Change("gamma", 0.3, 0.7, 1.5, halves=True),  # exponent
)

#: What an attacker may train with, by name.
RECIPES: dict[str, tuple[Change, ...]] = {"none": (), "plain": (MIRROR,), "nnunet": NNUNET}

_SPATIAL = ("mirror", "rotate", "zoom")


def augment(
    image: torch.Tensor, label: torch.Tensor, recipe: str | Sequence[Change], generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """A changed copy of the batch; image and label undergo the same spatial change, each sample its own.

    `recipe` is a name in `RECIPES` or a sequence of changes. What a rotation or zoom brings in from outside is 0, the
    mean of a z-scored image and the background of a label. Raises `UsageError` for an unknown recipe or change.
    """
    changes = _changes(recipe)
    by_name = {change.name: change for change in changes}
    image, label = _rotate_and_zoom(image, label, by_name.get("rotate"), by_name.get("zoom"), generator)
    for change in changes:
        if change.name not in _SPATIAL:
            image = _change_some_channels(image, change, generator)
    if "mirror" in by_name:
        image, label = _mirror(image, label, by_name["mirror"], generator)
    return image, label


def rotation_limit_degrees(sides: Sequence[int]) -> float:
    """Largest rotation, as nnU-Net v2 chooses it: 2D 180, or 15 where one side is 1.5 times the other; 3D 30.

    Volumes of few slices (see `is_flat`) turn within their slices only, by up to 180.
    """
    if len(sides) == 2:
        return 15.0 if max(sides) / min(sides) > 1.5 else 180.0
    return 180.0 if is_flat(sides) else 30.0


def is_flat(sides: Sequence[int]) -> bool:
    """A volume whose slices are more than three times as wide as it is deep is treated slice by slice (nnU-Net v2)."""
    return len(sides) == 3 and max(sides) / sides[0] > 3


def _changes(recipe: str | Sequence[Change]) -> Sequence[Change]:
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise UsageError(f"unknown recipe {recipe!r}; known are {', '.join(RECIPES)}")
        return RECIPES[recipe]
    for change in recipe:
        if change.name not in _SPATIAL and change.name not in _INTENSITY:
            raise UsageError(f"unknown change {change.name!r}; known are {', '.join((*_SPATIAL, *_INTENSITY))}")
    return recipe


def _uniform(shape: Sequence[int], generator: torch.Generator, device: torch.device) -> torch.Tensor:
    import torch

    return torch.rand(tuple(shape), generator=generator, device=generator.device).to(device)


def _strengths(change: Change, shape: Sequence[int], generator: torch.Generator, device: torch.device) -> torch.Tensor:
    strength = _uniform(shape, generator, device)
    if not change.halves:
        return change.low + (change.high - change.low) * strength
    below = _uniform(shape, generator, device) < 0.5
    return (change.low + (1 - change.low) * strength).where(below, 1 + (change.high - 1) * strength)


def _mirror(
    image: torch.Tensor, label: torch.Tensor, change: Change, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    for axis in range(1, label.ndim):
        flipped = _uniform([len(image)], generator, image.device) < change.probability
        image = image.flip(axis + 1).where(flipped.view(-1, *[1] * (image.ndim - 1)), image)
        label = label.flip(axis).where(flipped.view(-1, *[1] * (label.ndim - 1)), label)
    return image, label


def _rotate_and_zoom(
    image: torch.Tensor, label: torch.Tensor, rotate: Change | None, zoom: Change | None, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Both in one interpolation: linear for the image, nearest for the label (nnU-Net: linear and a threshold)."""
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    count, sides, device = len(image), image.shape[2:], image.device
    matrix = torch.eye(len(sides), device=device).repeat(count, 1, 1)
    changed = torch.zeros(count, dtype=torch.bool, device=device)
    for change, matrices in ((rotate, _rotations), (zoom, _zooms)):
        if change is not None:
            chosen = _uniform([count], generator, device) < change.probability
            made = matrices(change, count, sides, generator, device)
            matrix = torch.where(chosen[:, None, None], matrix @ made, matrix)
            changed |= chosen
    where = changed.nonzero()[:, 0]
    if len(where) == 0:
        return image, label
    # Turning takes place in pixels: in the grid's own -1..1 coordinates it would shear an oblong image.
    half = torch.tensor(list(reversed(sides)), dtype=torch.float32, device=device) / 2
    theta = torch.cat([matrix[where] * half / half[:, None], matrix.new_zeros(len(where), len(sides), 1)], dim=2)
    grid = affine_grid(theta, [len(where), 1, *sides], align_corners=False)
    moved = grid_sample(image[where], grid.to(image.dtype), mode="bilinear", align_corners=False)
    moved_label = grid_sample(label[where, None].float(), grid, mode="nearest", align_corners=False)[:, 0]
    return image.index_copy(0, where, moved), label.index_copy(0, where, moved_label.to(label.dtype))


def _rotations(
    change: Change, count: int, sides: Sequence[int], generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """Matrices on (x, y) or (x, y, z): about every axis by its own angle, or about z alone."""
    import torch

    limit = math.radians(rotation_limit_degrees(sides))
    planes = [(0, 1)] if len(sides) == 2 or is_flat(sides) else [(0, 1), (0, 2), (1, 2)]
    total = torch.eye(len(sides), device=device).repeat(count, 1, 1)
    for a, b in planes:
        angle = limit * _strengths(change, [count], generator, device)
        turn = torch.eye(len(sides), device=device).repeat(count, 1, 1)
        turn[:, a, a] = turn[:, b, b] = angle.cos()
        turn[:, b, a] = angle.sin()
        turn[:, a, b] = -angle.sin()
        total = total @ turn
    return total


def _zooms(
    change: Change, count: int, sides: Sequence[int], generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    import torch

    factors = _strengths(change, [count, 1], generator, device).repeat(1, len(sides))
    if is_flat(sides):
        factors[:, 2] = 1
    return torch.diag_embed(factors)


def _change_some_channels(image: torch.Tensor, change: Change, generator: torch.Generator) -> torch.Tensor:
    count, channels = image.shape[:2]
    images_chosen = _uniform([count, 1], generator, image.device) < change.probability
    chosen = images_chosen & (_uniform([count, channels], generator, image.device) < change.channel_probability)
    where = chosen.flatten().nonzero()[:, 0]
    if len(where) == 0:
        return image
    planes = image.flatten(0, 1)
    return planes.index_copy(0, where, _INTENSITY[change.name](planes[where], change, generator)).view_as(image)


# Below, `planes` [M, *sides] are single channels, each with strengths of its own.


def _column(strength: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
    """Strengths [M] as a factor for planes [M, *sides]."""
    return strength.view(-1, *[1] * (planes.ndim - 1))


def _one_each(planes: torch.Tensor, change: Change, generator: torch.Generator) -> torch.Tensor:
    return _column(_strengths(change, [len(planes)], generator, planes.device), planes)


def _noise(planes: torch.Tensor, change: Change, generator: torch.Generator) -> torch.Tensor:
    import torch

    sigma = _one_each(planes, change, generator)
    return planes + sigma * torch.randn(planes.shape, generator=generator, device=generator.device).to(planes.device)


def _blur(planes: torch.Tensor, change: Change, generator: torch.Generator) -> torch.Tensor:
    """Gaussian, cut off at four sigma; the border is repeated."""
    import torch
    from torch.nn import functional

    dimensions, radius = planes.ndim - 1, math.ceil(4 * change.high)
    sigmas = _strengths(change, [dimensions, len(planes)], generator, planes.device)
    offset = torch.arange(-radius, radius + 1, device=planes.device)
    convolve = functional.conv2d if dimensions == 2 else functional.conv3d
    blurred = functional.pad(planes[None], [radius] * 2 * dimensions, mode="replicate")
    for axis, sigma in enumerate(sigmas):
        weights = (-0.5 * (offset / sigma[:, None]) ** 2).exp()
        shape = [len(planes), 1, *(len(offset) if axis == other else 1 for other in range(dimensions))]
        weights = (weights / weights.sum(1, keepdim=True)).view(shape)
        blurred = convolve(blurred, weights.to(planes.dtype), groups=len(planes))
    return blurred[0]


def _brightness(planes: torch.Tensor, change: Change, generator: torch.Generator) -> torch.Tensor:
    return planes * _one_each(planes, change, generator)


def _contrast(planes: torch.Tensor, change: Change, generator: torch.Generator) -> torch.Tensor:
    """Around the mean, kept within the plane's own range."""
    flat = planes.flatten(1)
    mean, low, high = (_column(value, planes) for value in (flat.mean(1), flat.amin(1), flat.amax(1)))
    return ((planes - mean) * _one_each(planes, change, generator) + mean).clamp(low.detach(), high.detach())


def _low_resolution(planes: torch.Tensor, change: Change, generator: torch.Generator) -> torch.Tensor:
    """Nearest pixels down, linear up. Sizes differ, so planes go one by one."""
    import torch
    from torch.nn.functional import interpolate

    sides = planes.shape[1:]
    kept_axes = (0,) if is_flat(sides) else ()
    mode = "bilinear" if len(sides) == 2 else "trilinear"
    results = []
    for plane, scale in zip(planes, _strengths(change, [len(planes)], generator, planes.device).tolist(), strict=True):
        fewer = [side if axis in kept_axes else max(1, round(side * scale)) for axis, side in enumerate(sides)]
        small = interpolate(plane[None, None], fewer, mode="nearest-exact")
        results.append(interpolate(small, sides, mode=mode)[0, 0])
    return torch.stack(results)


def _gamma(planes: torch.Tensor, change: Change, generator: torch.Generator) -> torch.Tensor:
    """A power of the values scaled to 0..1; mean and standard deviation stay as they were."""
    flat = planes.flatten(1)
    low, high = _column(flat.amin(1), planes), _column(flat.amax(1), planes)
    span = (high - low).clamp_min(1e-7)
    # The floor keeps the slope of x**0.7 finite at the darkest pixel.
    curved = ((planes - low) / span).clamp_min(1e-4) ** _one_each(planes, change, generator)
    deviation = _column(flat.std(1), planes) / _column(curved.flatten(1).std(1), planes).clamp_min(1e-7)
    return (curved - _column(curved.flatten(1).mean(1), planes)) * deviation + _column(flat.mean(1), planes)


def _gamma_inverted(planes: torch.Tensor, change: Change, generator: torch.Generator) -> torch.Tensor:
    return -_gamma(-planes, change, generator)


_INTENSITY: dict[str, Callable[[torch.Tensor, Change, torch.Generator], torch.Tensor]] = {
    "noise": _noise,
    "blur": _blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "low_resolution": _low_resolution,
    "gamma": _gamma,
    "gamma_inverted": _gamma_inverted,
}
