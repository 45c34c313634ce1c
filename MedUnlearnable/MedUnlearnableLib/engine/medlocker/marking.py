"""Marks put into the stored values of a case, and what the certificate has to know of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..case import Case
from ..streams import RandomStreams
from ..window import IntensityWindow, Windows
from .candidates import Mark
from .embedding import blend, faded, sealed
from .lesions import Box, boxes_as_mask
from .spots import Spot

MarkedSpot = tuple[Spot, tuple[Mark, ...]]


def marked_image(
    case: Case, marked: Sequence[MarkedSpot], windows: Windows, mode: str, streams: RandomStreams
) -> NDArray[Any]:
    """A copy of the image [C, D, H, W] with the marks of every spot; outside their support every bit stays.

    Each channel is written on the grid of its own window.
    """
    image = case.image.copy()
    for spot, marks in marked:
        for number in spot.slices:
            support = support_of(spot, marks, case.shape_kji[1:])
            random = streams.generator(f"seal {case.id} {number}")
            for channel, (before, window) in enumerate(zip(case.image[:, number], windows)):
                plane = sealed(before, support, random, window) if mode == "sealed" else before.copy()
                _blend_marks(plane, channel, spot, marks, window)
                image[channel, number] = _without_padding(before, plane, window.padding)
    return image


def _blend_marks(plane: NDArray[Any], channel: int, spot: Spot, marks: Sequence[Mark], window: IntensityWindow) -> None:
    """Puts the marks of a spot into one channel [H, W] of a slice, in place."""
    for logo, mark in zip(spot.logos, marks):
        here, ink = _frame(logo.matte.shape, mark), spot.inks[mark.ink, channel]
        plane[here] = blend(plane[here], faded(logo.matte, mark.opacity), ink, window.limits, window.quantum)


def support_of(spot: Spot, marks: Sequence[Mark], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Every pixel [H, W] that a mark of the spot may change."""
    support = np.zeros(shape, bool)
    for logo, mark in zip(spot.logos, marks):
        support[_frame(logo.matte.shape, mark)] |= faded(logo.matte, mark.opacity) > 0
    return support


def overlap_voxels(marked: Sequence[MarkedSpot], boxes: dict[int, list[Box]], shape: tuple[int, int]) -> int:
    """How many voxels of the support lie in a lesion box."""
    return sum(
        int(np.count_nonzero(support_of(spot, marks, shape) & boxes_as_mask(boxes.get(number, ()), shape)))
        for spot, marks in marked
        for number in spot.slices
    )


def secrets_of(marked: Sequence[MarkedSpot]) -> list[dict[str, Any]]:
    """The parameters of every mark, JSON-ready and without floats: to be encrypted, for they make inversion easy."""
    return [
        {
            "logo_sha256": logo.sha256,
            "matte_sha256": hashlib.sha256(np.ascontiguousarray(logo.matte).tobytes()).hexdigest(),
            "height": logo.matte.shape[0],
            "width": logo.matte.shape[1],
            "slices": [spot.slices.start, spot.slices.stop],
            "x": mark.x,
            "y": mark.y,
            "opacity": mark.opacity,
            "ink": mark.ink,
        }
        for spot, marks in marked
        for logo, mark in zip(spot.logos, marks)
    ]


def _frame(shape: tuple[int, ...], mark: Mark) -> tuple[slice, slice]:
    return slice(mark.y, mark.y + shape[0]), slice(mark.x, mark.x + shape[1])


def _without_padding(before: NDArray[Any], after: NDArray[Any], padding: float | None) -> NDArray[Any]:
    """No voxel loses or gets the value that means "no data"."""
    if padding is None:
        return after
    return np.where((before == padding) | (after == padding), before, after)
