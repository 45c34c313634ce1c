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

#: Usual for classifiers: flips and whole pixels of shift, which leave the finest detail as it is.
SHIFT_FLIP = (MIRROR, Change("shift", 1.0, -1 / 16, 1 / 16))  # share of the side

#: Usual for classifiers of medical images: always a little of everything, interpolated.
STANDARD = (
    MIRROR,
    Change("turn", 1.0, -15, 15),  # degrees
    Change("zoom", 1.0, 0.85, 1.15),
    Change("shift", 1.0, -0.1, 0.1),
    Change("contrast", 1.0, 0.8, 1.2),
    Change("offset", 1.0, -0.2, 0.2),  # standard deviations of the image
)

#: After RandAugment (Cubuk et al., arXiv 1909.13719): two of nine changes on average, each drawn by itself (there: two
#: exactly); strengths near its magnitude 9. Identity, equalize and autocontrast are left out: images are z-scored.
RANDAUGMENT = tuple(
    Change(name, 2 / 9, low, high)
    for name, low, high in (
        ("turn", -27, 27),
        ("shear", -0.27, 0.27),
        ("shift", -0.3, 0.3),
        ("zoom", 0.7, 1.4),
        ("contrast", 0.1, 1.9),
        ("offset", -0.9, 0.9),
        ("sharpness", -0.9, 0.9),
        ("posterize", 4, 16),  # levels left
        ("solarize", 0.5, 1.0),  # of the range, from where values are turned over
    )
)

#: What an attacker may train with, by name.
RECIPES: dict[str, tuple[Change, ...]] = {
    "none": (),
    "plain": (MIRROR,),
    "nnunet": NNUNET,
    "shift_flip": SHIFT_FLIP,
    "standard": STANDARD,
    "randaugment": (MIRROR, *RANDAUGMENT),
}


def augment(
    image: torch.Tensor, label: torch.Tensor, recipe: str | Sequence[Change], generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """A changed copy of the batch; image and label undergo the same spatial change, each sample its own.

    `recipe` is a name in `RECIPES` or a sequence of changes. What a rotation or zoom brings in from outside is 0, the
    mean of a z-scored image and the background of a label. Raises `UsageError` for an unknown recipe or change.
    """
    changes = _changes(recipe)
    by_name = {change.name: change for change in changes}
    image, label = _moved(image, label, [by_name[name] for name in _MOVES if name in by_name], generator)
    for change in changes:
        if change.name in _INTENSITY:
            image = _change_some_channels(image, change, generator)
    if "mirror" in by_name:
        image, label = _mirror(image, label, by_name["mirror"], generator)
    return image, label


def augment_images(image: torch.Tensor, recipe: str | Sequence[Change], generator: torch.Generator) -> torch.Tensor:
    """The same for images whose label stays what it is wherever they move."""
    nowhere = image.new_zeros(()).expand(len(image), *image.shape[2:])
    return augment(image, nowhere, recipe, generator)[0]


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
    known = ("mirror", *_MOVES, *_INTENSITY)
    for change in recipe:
        if change.name not in known:
            raise UsageError(f"unknown change {change.name!r}; known are {', '.join(known)}")
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


def _moved(
    image: torch.Tensor, label: torch.Tensor, changes: Sequence[Change], generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """All in one interpolation: linear for the image, nearest for the label (nnU-Net: linear and a threshold)."""
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    count, sides, device = len(image), image.shape[2:], image.device
    matrix = torch.eye(len(sides) + 1, device=device).repeat(count, 1, 1)
    changed = torch.zeros(count, dtype=torch.bool, device=device)
    for change in changes:
        chosen = _uniform([count], generator, device) < change.probability
        made = _MOVES[change.name](change, count, sides, generator, device)
        matrix = torch.where(chosen[:, None, None], matrix @ made, matrix)
        changed |= chosen
    where = changed.nonzero()[:, 0]
    if len(where) == 0:
        return image, label
    # Turning takes place in pixels: in the grid's own -1..1 coordinates it would shear an oblong image.
    half = torch.tensor([*reversed(sides), 2], dtype=torch.float32, device=device) / 2
    theta = (matrix[where] * half / half[:, None])[:, :-1]
    grid = affine_grid(theta, [len(where), 1, *sides], align_corners=False)
    moved = grid_sample(image[where], grid.to(image.dtype), mode="bilinear", align_corners=False)
    moved_label = grid_sample(label[where, None].float(), grid, mode="nearest", align_corners=False)[:, 0]
    return image.index_copy(0, where, moved), label.index_copy(0, where, moved_label.to(label.dtype))


# Below: matrices [count, sides + 1, sides + 1] on (x, y[, z], 1) in pixels from the center.


def _identity(count: int, sides: Sequence[int], device: torch.device) -> torch.Tensor:
    import torch

    return torch.eye(len(sides) + 1, device=device).repeat(count, 1, 1)


def _rotations(
    change: Change, count: int, sides: Sequence[int], generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """About every axis by its own angle, or about z alone; strengths are shares of the limit."""
    limit = math.radians(rotation_limit_degrees(sides))
    planes = [(0, 1)] if len(sides) == 2 or is_flat(sides) else [(0, 1), (0, 2), (1, 2)]
    total = _identity(count, sides, device)
    for a, b in planes:
        angle = limit * _strengths(change, [count], generator, device)
        total = total @ _turned_in_plane(angle, a, b, sides)
    return total


def _turns(
    change: Change, count: int, sides: Sequence[int], generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """In the plane of the slices, by degrees."""
    angle = _strengths(change, [count], generator, device) * (math.pi / 180)
    return _turned_in_plane(angle, 0, 1, sides)


def _turned_in_plane(angle: torch.Tensor, a: int, b: int, sides: Sequence[int]) -> torch.Tensor:
    turn = _identity(len(angle), sides, angle.device)
    turn[:, a, a] = turn[:, b, b] = angle.cos()
    turn[:, b, a] = angle.sin()
    turn[:, a, b] = -angle.sin()
    return turn


def _zooms(
    change: Change, count: int, sides: Sequence[int], generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    zoom = _identity(count, sides, device)
    factors = _strengths(change, [count], generator, device)
    for axis in range(2 if is_flat(sides) else len(sides)):
        zoom[:, axis, axis] = factors
    return zoom


def _shears(
    change: Change, count: int, sides: Sequence[int], generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """In the plane of the slices, along one axis or the other."""
    import torch

    shear = _identity(count, sides, device)
    strength = _strengths(change, [count], generator, device)
    along_x = _uniform([count], generator, device) < 0.5
    shear[:, 0, 1] = torch.where(along_x, strength, 0.0)
    shear[:, 1, 0] = torch.where(along_x, 0.0, strength)
    return shear


def _shifts(
    change: Change, count: int, sides: Sequence[int], generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """By whole pixels, along every axis by its own share of the side: alone, it interpolates nothing."""
    shift = _identity(count, sides, device)
    for axis, side in enumerate(reversed(sides)):
        shift[:, axis, -1] = (_strengths(change, [count], generator, device) * side).round()
    return shift


#: Changes of place but mirroring, in the order they are applied.
_MOVES: dict[str, Callable[..., torch.Tensor]] = {
    "rotate": _rotations,
    "turn": _turns,
    "zoom": _zooms,
    "shear": _shears,
    "shift": _shifts,
}


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


def _offset(planes: torch.Tensor, change: Change, generator: torch.Generator) -> torch.Tensor:
    return planes + _one_each(planes, change, generator)


def _sharpness(planes: torch.Tensor, change: Change, generator: torch.Generator) -> torch.Tensor:
    """Away from the mean of the 3 pixels along each axis, or with a negative strength towards it."""
    from torch.nn import functional

    pool = functional.avg_pool2d if planes.ndim == 3 else functional.avg_pool3d
    smooth = pool(planes[None], 3, stride=1, padding=1, count_include_pad=False)[0]
    return planes + _one_each(planes, change, generator) * (planes - smooth)


def _posterize(planes: torch.Tensor, change: Change, generator: torch.Generator) -> torch.Tensor:
    """Rounded to few levels between darkest and brightest; the gradient passes as if nothing were rounded."""
    flat = planes.flatten(1)
    low, high = _column(flat.amin(1), planes), _column(flat.amax(1), planes)
    step = ((high - low) / _one_each(planes, change, generator).round()).clamp_min(1e-7)
    rounded = ((planes - low) / step).round() * step + low
    return planes + (rounded - planes).detach()


def _solarize(planes: torch.Tensor, change: Change, generator: torch.Generator) -> torch.Tensor:
    """Turns values above the threshold over, within the plane's own range."""
    flat = planes.flatten(1)
    low, high = _column(flat.amin(1), planes), _column(flat.amax(1), planes)
    threshold = low + _one_each(planes, change, generator) * (high - low)
    return planes.where(planes < threshold, low + high - planes)


_INTENSITY: dict[str, Callable[[torch.Tensor, Change, torch.Generator], torch.Tensor]] = {
    "noise": _noise,
    "blur": _blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "low_resolution": _low_resolution,
    "gamma": _gamma,
    "gamma_inverted": _gamma_inverted,
    "offset": _offset,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
}
