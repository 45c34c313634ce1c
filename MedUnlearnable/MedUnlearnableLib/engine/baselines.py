"""What UMed is compared with: our implementations of published ideas, and false labels for the controls.

Images are stored values [N, C, *sides], labels integers [N, *sides] with 0 = background, sides (H, W) or (D, H, W).
Every result lies on the stored grid, inside the window and, where there is one, the budget (see `window.py`). The same
arguments repeat it on the CPU. torch is imported inside the functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .attack import segmentation_loss
from .augment import RECIPES, augment
from .errors import UsageError
from .masks import contour_and_interior, contour_radius
from .networks import seeded_network
from .progress import Progress
from .training import autocast, batches, memory_format, z_scored
from .window import IntensityWindow

if TYPE_CHECKING:
    import torch

Images = NDArray[np.generic]
Labels = NDArray[np.integer]
_PATTERN_BLOCK = 8  # pixels a side, as the published code enlarges its pattern for small pictures


def segments_and_contour(labels: Labels) -> NDArray[np.bool_]:
    """Where UMed may change a pixel: all segments and the contour band around them, [N, *sides]; pixels of 1 mm."""
    layers = labels[:, None] if labels.ndim == 3 else labels
    radius = contour_radius((1.0, 1.0, 1.0), layers.shape[1:])
    return np.stack([np.logical_or(*contour_and_interior([layer], radius)) for layer in layers]).reshape(labels.shape)


def moved_elsewhere(labels: Labels, random: np.random.Generator) -> Labels:
    """Each image's labels shifted by an offset of its own, uniform over the image, what leaves on one side returning.

    A control must know no label: with one offset for all images a network would learn to look next to the noise, and
    with an offset that spares the true place the noise would tell where the structure is not.
    """
    axes = tuple(range(labels.ndim - 1))
    return np.stack([np.roll(label, random.integers(label.shape), axes) for label in labels])


def white_noise(
    images: Images, where: NDArray[np.bool_], window: IntensityWindow, psnr_db: ArrayLike, random: np.random.Generator
) -> Images:
    """Independent noise of random sign in `where` [N, *sides], as strong as the PSNR asked for (one, or one an image).

    On a grid the strength of a pixel is one of the two levels next to the wanted root mean square, drawn so that the
    mean square is right. A sign that would leave the window is turned. An image with nothing in `where` stays.
    """
    wanted = np.broadcast_to(np.asarray(psnr_db, float), len(images))
    noisy = [_noisy(image, mask, window, float(psnr), random) for image, mask, psnr in zip(images, where, wanted)]
    return np.stack(noisy)


def class_pattern(
    images: Images, labels: Labels, window: IntensityWindow, epsilon: float, random: np.random.Generator
) -> Images:
    """Linearly separable noise, one fixed pattern for each class (idea: Yu et al., arXiv 2111.00898).

    Every label is a class and so is the background. A pattern is +epsilon or -epsilon (fraction of the window) in
    blocks of 8 pixels, the same in all images; a pixel takes its value from the pattern of its class.
    """
    values, classes = np.unique(labels, return_inverse=True)
    sides = labels.shape[1:]
    pattern = random.choice((-epsilon, epsilon), size=(len(values), *(-(-side // _PATTERN_BLOCK) for side in sides)))
    for axis, side in enumerate(sides, start=1):
        pattern = pattern.repeat(_PATTERN_BLOCK, axis).take(np.arange(side), axis)
    delta = np.take_along_axis(pattern, classes.reshape(labels.shape), axis=0)
    return _write_back(images, delta[:, None], np.ones(labels.shape, bool), window, epsilon)


@dataclass(frozen=True)
class EMSettings:
    """Error-minimizing noise (Huang et al., arXiv 2101.04898), one array for each image, no generator.

    Published: 20 steps of epsilon / 10, and rounds until the training error is below 1 %. Ours: fewer steps and a fixed
    number of rounds, for a CPU; `recipe` and `masked` are ours.
    """

    epsilon: float = 8 / 255  # fraction of the window
    step: float = 0.8 / 255
    noise_steps: int = 8  # signed gradient steps an image and round
    network_steps: int = 10  # batches the surrogate learns from before each pass over the noise
    rounds: int = 5
    masked: bool = True  # noise under segments and contour only, else everywhere
    recipe: str = "none"  # one of augment.RECIPES, under which noise and surrogate are trained
    width: int = 16
    batch_size: int = 16
    learning_rate: float = 2e-3  # of the surrogate
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise UsageError(f"unknown recipe {self.recipe!r}; known are {', '.join(RECIPES)}")
        if min(self.noise_steps, self.network_steps, self.rounds, self.width, self.batch_size) < 1:
            raise UsageError("noise_steps, network_steps, rounds, width and batch_size must be at least 1")


def error_minimizing(
    images: Images, labels: Labels, window: IntensityWindow, settings: EMSettings, progress: Progress | None = None
) -> Images:
    """Images with the noise that a surrogate, learning at the same time, finds easiest: min over both of its loss.

    `progress` hears of every batch and may raise `Cancelled`. Raises `UsageError` when there is no such device.
    """
    import torch

    progress = progress or Progress()
    generator = torch.Generator().manual_seed(settings.seed)
    where = segments_and_contour(labels) if settings.masked else np.ones(labels.shape, bool)
    clean, deviation = z_scored(images.astype(np.float32), settings.device)
    lower, upper = (torch.from_numpy(limit).to(clean) for limit in _room(images, where, window, settings.epsilon))
    values, indices = np.unique(labels, return_inverse=True)
    classes = torch.from_numpy(indices.reshape(labels.shape)).to(settings.device)
    network = seeded_network(settings.seed, "unet", clean.shape[1], len(values), clean.shape[2:], settings.width)
    network = network.to(settings.device)
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate)
    endless = batches(len(images), settings.batch_size, generator)
    noise = torch.zeros_like(clean)

    def loss_of(at: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        image = clean[at] + noise * window.width / deviation[at]
        image, target = augment(image, classes[at], settings.recipe, generator)
        with autocast(image):
            logits = network(image.contiguous(memory_format=memory_format(image)))
        return segmentation_loss(logits.float(), target)

    total = settings.rounds * len(images)
    for number in range(settings.rounds):
        network.requires_grad_(True)
        for picked in islice(endless, settings.network_steps):
            at = picked.to(settings.device)
            optimizer.zero_grad()
            loss_of(at, noise[at]).backward()
            optimizer.step()
        network.requires_grad_(False)
        for start in range(0, len(images), settings.batch_size):
            at = torch.arange(start, min(start + settings.batch_size, len(images)), device=settings.device)
            for _ in range(settings.noise_steps):
                progress.step("noise", number * len(images) + start, total)
                tried = noise[at].requires_grad_()
                (slope,) = torch.autograd.grad(loss_of(at, tried), tried)
                noise[at] = (tried.detach() - settings.step * slope.sign()).clamp(lower[at], upper[at])
    return _write_back(images, noise.cpu().numpy(), where, window, settings.epsilon)


def _noisy(
    image: Images, where: NDArray[np.bool_], window: IntensityWindow, psnr_db: float, random: np.random.Generator
) -> Images:
    inside = where & window.contains(image)
    if not inside.any():
        return image.copy()
    strength = window.width * 10 ** (-psnr_db / 20) * np.sqrt(image.size / inside.sum())  # stored units
    if window.quantum is not None:
        level = strength / window.quantum
        lower = np.floor(level)
        upper_share = (level**2 - lower**2) / (2 * lower + 1)
        strength = window.quantum * (lower + (random.random(image.shape) < upper_share))
    change = strength * random.choice((-1.0, 1.0), size=image.shape)
    leaves = (image + change < window.lo) | (image + change > window.hi)
    change = np.where(leaves, -change, change) / window.width
    if not change.any():
        return image.copy()
    return window.write_back(image, change, inside, float(np.abs(change).max()))


def _room(
    images: Images, where: NDArray[np.bool_], window: IntensityWindow, epsilon: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Smallest and largest noise of each pixel, fractions of the window: the budget, in `where`, inside the window."""
    bound = epsilon * (where[:, None] & window.contains(images))
    gray = window.normalize(images)
    return np.maximum(-bound, -gray).astype(np.float32), np.minimum(bound, 1 - gray).astype(np.float32)


def _write_back(
    images: Images, delta: NDArray[np.floating], where: NDArray[np.bool_], window: IntensityWindow, epsilon: float
) -> Images:
    """`where` [N, *sides] holds for all channels."""
    delta = np.broadcast_to(delta, images.shape)
    return window.write_back(images, delta, np.broadcast_to(where[:, None], images.shape), epsilon)
