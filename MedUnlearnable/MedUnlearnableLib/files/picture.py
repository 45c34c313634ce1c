"""One picture that shows what protection did: before, after, difference, with the contour of the segments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .volume import write_atomically

DIFFERENCE_GAIN = 20
_PANEL = 480  # pixels, the longer side of a panel
_MARGIN, _CAPTION = 8, 44
_CONTOUR_COLOR = (255, 196, 0)
_PAPER, _INK = (24, 24, 27), (235, 235, 235)


def save_comparison(
    path: Path,
    before: NDArray[Any],
    after: NDArray[Any],
    segments: NDArray[np.bool_],
    window: tuple[float, float],
    title: str,
) -> None:
    """Draws one plane [H, W] or [H, W, 3] of stored values. The difference is gray where nothing changed."""
    from PIL import Image, ImageDraw, ImageFont

    lo, hi = window
    shown = [np.clip((plane.astype(np.float64) - lo) / (hi - lo), 0, 1) for plane in (before, after)]
    difference = 0.5 + DIFFERENCE_GAIN * (after.astype(np.float64) - before) / (hi - lo)
    captions = ["before", "after", f"difference x{DIFFERENCE_GAIN}"]
    panels = [_panel(plane, segments, Image) for plane in (*shown, np.clip(difference, 0, 1))]
    width, height = panels[0].size
    sheet = Image.new("RGB", (3 * width + 4 * _MARGIN, height + _CAPTION + 2 * _MARGIN + 24), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(15)
    draw.text((_MARGIN, _MARGIN), title, fill=_INK, font=font)
    for number, (panel, caption) in enumerate(zip(panels, captions)):
        left = _MARGIN + number * (width + _MARGIN)
        sheet.paste(panel, (left, _MARGIN + 28))
        draw.text((left, height + _MARGIN + 36), caption, fill=_INK, font=font)
    write_atomically(path, lambda file: sheet.save(file, "PNG"))


def _panel(plane: NDArray[np.float64], segments: NDArray[np.bool_], image_module: Any) -> Any:
    """One plane in [0, 1], enlarged by whole pixels where it is small, with the outline of the segments."""
    colored = plane if plane.ndim == 3 else np.repeat(plane[..., np.newaxis], 3, axis=-1)
    factor = max(1, _PANEL // max(plane.shape[:2]))
    pixels = np.rint(255 * colored).astype(np.uint8).repeat(factor, axis=0).repeat(factor, axis=1)
    large = segments.repeat(factor, axis=0).repeat(factor, axis=1)
    pixels[_outline(large)] = _CONTOUR_COLOR
    return image_module.fromarray(pixels)


def _outline(segments: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of the segments with a 4-neighbor outside."""
    inner = segments.copy()
    for axis in (0, 1):
        for shift in (1, -1):
            inner &= np.roll(segments, shift, axis)
    return segments & ~inner
