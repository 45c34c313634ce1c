"""What an attacker may do to protected images before training: cheap filters that remove fine noise.

A defense is applied to training and test images alike, as an attacker would. Images are stored values
[N, C, *sides], sides (H, W) or (D, H, W). A filter works along all sides, JPEG slice by slice. Results are float32 and
not rounded back to the stored grid.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .errors import MedUnlearnableError, UsageError

Images = NDArray[np.float32]


def defend(defense: str, images: NDArray[np.generic], window: tuple[float, float]) -> Images:
    """Images [N, C, *sides] after the named defense; `window` (lo, hi) in stored values is what JPEG maps to 0-255.

    Rescaling by windows, z-scores and bits needs no filter: it may remove faint noise all the same.

    Raises `UsageError` for an unknown name.
    """
    if defense not in DEFENSES:
        raise UsageError(f"unknown defense {defense!r}; known are {', '.join(DEFENSES)}")
    return DEFENSES[defense](images.astype(np.float32), window)


def _none(images: Images, window: tuple[float, float]) -> Images:
    return images


def _blur(images: Images, window: tuple[float, float]) -> Images:
    return ndimage.gaussian_filter(images, [0, 0, *[0.8] * (images.ndim - 2)])


def _resample(images: Images, window: tuple[float, float]) -> Images:
    """Linear down to 0.7 of the pixels along each axis, and linear up again."""
    sides = images.shape[2:]
    fewer = [max(1, round(0.7 * side)) for side in sides]
    return _resized(_resized(images, fewer), sides)


def _resized(images: Images, sides: tuple[int, ...] | list[int]) -> Images:
    """Linear interpolation between pixel centers, axis by axis; the border is repeated."""
    for axis, side in enumerate(sides, start=2):
        old = images.shape[axis]
        position = np.clip((np.arange(side) + 0.5) * old / side - 0.5, 0, old - 1)
        left = np.minimum(position.astype(int), max(old - 2, 0))
        right = np.minimum(left + 1, old - 1)
        weight = (position - left).astype(np.float32).reshape(-1, *[1] * (images.ndim - 1 - axis))
        images = images.take(left, axis) * (1 - weight) + images.take(right, axis) * weight
    return images


def _median(images: Images, window: tuple[float, float]) -> Images:
    return ndimage.median_filter(images, size=(1, 1, *[3] * (images.ndim - 2)), mode="nearest")


def _jpeg(images: Images, window: tuple[float, float], quality: int) -> Images:
    """Channels as gray pictures of their own, clipped to the window."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MedUnlearnableError(
            f"the defense 'jpeg{quality}' needs Pillow; install it with `pip install pillow`"
        ) from error
    lo, hi = window
    pictures = np.rint(np.clip((images - lo) / (hi - lo), 0, 1) * 255).astype(np.uint8)
    flat = pictures.reshape(-1, *images.shape[-2:])
    for index, picture in enumerate(flat):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=quality)
        flat[index] = np.asarray(Image.open(file))
    return (flat.reshape(images.shape) / np.float32(255) * (hi - lo) + lo).astype(np.float32)


def _narrow_window(images: Images, window: tuple[float, float]) -> Images:
    """Only the middle half of the window is kept apart, as in a narrow display window."""
    lo, hi = window
    return np.clip(images, lo + (hi - lo) / 4, hi - (hi - lo) / 4)


def _wide_window(images: Images, window: tuple[float, float]) -> Images:
    """Eight bits for a window three times as wide, as where one window must serve all organs."""
    lo, hi = window
    return _levels(images, (lo - (hi - lo), hi + (hi - lo)), 256)


def _z_score(images: Images, window: tuple[float, float]) -> Images:
    """Each channel clipped to its mean and three of its deviations; every attacker scales them alike afterwards."""
    sides = tuple(range(2, images.ndim))
    mean, reach = images.mean(axis=sides, keepdims=True), 3 * images.std(axis=sides, keepdims=True)
    return np.clip(images, mean - reach, mean + reach)


def _fewer_bits(images: Images, window: tuple[float, float]) -> Images:
    return _levels(images, window, 64)


def _levels(images: Images, window: tuple[float, float], count: int) -> Images:
    """Rounded to `count` values from one end of the window to the other."""
    lo, hi = window
    step = (hi - lo) / (count - 1)
    return (np.rint((np.clip(images, lo, hi) - lo) / step) * step + lo).astype(np.float32)


#: By name; `measured` rows of the attack test use these names.
DEFENSES: dict[str, Callable[[Images, tuple[float, float]], Images]] = {
    "none": _none,
    "blur0.8": _blur,
    "resample0.7": _resample,
    "jpeg90": partial(_jpeg, quality=90),
    "jpeg50": partial(_jpeg, quality=50),
    "jpeg10": partial(_jpeg, quality=10),
    "median3": _median,
    "narrow_window": _narrow_window,
    "wide_window": _wide_window,
    "z_score": _z_score,
    "bits6": _fewer_bits,
}
