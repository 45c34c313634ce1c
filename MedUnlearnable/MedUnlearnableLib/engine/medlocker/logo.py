"""The logo: from a picture or from text to a matte of the wanted size, and a keyed warp that differs in every case.

A logo repeated over a collection can be told apart from the pictures below it (Dekel et al., CVPR 2017); changes of
place and opacity do not stop that, warps of half a pixel to a pixel do.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import Refused, UsageError

#: Largest displacement of the warp is drawn from this range, in pixels.
WARP_PIXELS = (0.5, 1.0)
_WARP_SMOOTHNESS = 6.0  # pixels
_LETTER_HEIGHT = 60  # pixels at which text is drawn before it is scaled
_STROKE_SHARE = 0.06  # of that height, added on both sides of a line: together a fifth of the letter
_LONGEST_TEXT = 24
_VEIL = 8  # nobody sees what is fainter; it would only widen the support
_DATA_URL = "data:image/png;base64,"


def data_url(png: bytes) -> str:
    """A PNG as `Logo.parse` takes it: text, for jobs and states."""
    return _DATA_URL + base64.b64encode(png).decode()


@dataclass(frozen=True)
class Logo:
    """matte [h, w] uint8, 0 = the picture stays; colors [3, h, w] uint8; sha256 of what it was made of."""

    matte: NDArray[np.uint8]
    colors: NDArray[np.uint8]
    sha256: str

    @classmethod
    def parse(cls, logo: str) -> Logo:
        """A text, or a PNG in a data URL."""
        if not logo.startswith(_DATA_URL):
            return cls.from_text(logo)
        try:
            return cls.from_png(base64.b64decode(logo[len(_DATA_URL) :], validate=True))
        except binascii.Error:
            raise Refused("the logo is not a whole PNG picture; give a PNG, or a text") from None

    @classmethod
    def from_png(cls, content: bytes) -> Logo:
        """Alpha is the matte. Without alpha it is the luminance, as the attack on natural images has it."""
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
                rgba = np.asarray(picture.convert("RGBA"))
                has_alpha = "A" in picture.getbands() or "transparency" in picture.info
                luminance = np.asarray(picture.convert("L"))
        except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
            raise Refused("the logo is not a whole PNG picture; give a PNG, or a text") from None
        matte = rgba[..., 3] if has_alpha else luminance
        return cls._cropped(matte, np.moveaxis(rgba[..., :3], -1, 0), content)

    @classmethod
    def from_text(cls, text: str) -> Logo:
        """White letters, broken into lines so that the block is about square; bold, so that they outlast shrinking."""
        from PIL import Image, ImageDraw, ImageFont

        if not text.strip() or len(text) > _LONGEST_TEXT:
            raise UsageError(f"--logo: a text has 1 to {_LONGEST_TEXT} characters; for more give a PNG")
        font = ImageFont.load_default(_LETTER_HEIGHT)
        stroke = round(_STROKE_SHARE * _LETTER_HEIGHT)
        drawings = []
        words = text.split()
        pieces, glue = (words, " ") if len(words) > 1 else (list(words[0]), "")
        for lines in range(1, len(pieces) + 1):
            block = "\n".join(glue.join(line) for line in np.array_split(np.array(pieces), lines))
            canvas = Image.new("L", (2 * len(text) * _LETTER_HEIGHT, 2 * lines * _LETTER_HEIGHT))
            ImageDraw.Draw(canvas).multiline_text(
                (_LETTER_HEIGHT // 2, _LETTER_HEIGHT // 2), block, fill=255, font=font, stroke_width=stroke,
                align="center", spacing=_LETTER_HEIGHT // 8,
            )  # fmt: skip
            drawings.append(np.asarray(canvas.crop(canvas.getbbox())))
        matte = min(drawings, key=lambda drawing: abs(np.log(drawing.shape[1] / drawing.shape[0])))
        return cls._cropped(matte, np.full((3, *matte.shape), 255, np.uint8), text.encode())

    @classmethod
    def _cropped(cls, matte: NDArray[np.uint8], colors: NDArray[np.uint8], content: bytes) -> Logo:
        rows, columns = np.flatnonzero(matte.any(axis=1)), np.flatnonzero(matte.any(axis=0))
        if not rows.size:
            raise Refused("the logo is transparent everywhere; give one that can be seen")
        box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        return cls(matte[box].copy(), colors[(slice(None), *box)].copy(), hashlib.sha256(content).hexdigest())

    def scaled(self, longer_side: int) -> Logo:
        """The logo with its longer side of so many pixels, proportions kept, with an empty rim of one pixel."""
        factor = (longer_side - 2) / max(self.matte.shape)
        height, width = (max(1, round(side * factor)) for side in self.matte.shape)
        matte = _resized(self.matte, height, width)
        matte[matte < _VEIL] = 0
        colors = [np.pad(_resized(color, height, width), 1, mode="edge") for color in self.colors]
        return Logo(np.pad(matte, 1), np.stack(colors), self.sha256)

    def warped(self, random: np.random.Generator) -> Logo:
        """The matte moved by a smooth field of random displacements, into the empty rim at most."""
        frame = self.matte.shape
        reach = random.uniform(*WARP_PIXELS)
        field = np.stack([ndimage.gaussian_filter(random.standard_normal(frame), _WARP_SMOOTHNESS) for _ in range(2)])
        field *= reach / max(float(np.hypot(*field).max()), 1e-12)
        rows, columns = np.indices(frame, float)
        moved = ndimage.map_coordinates(self.matte.astype(float), [rows + field[0], columns + field[1]], order=1)
        matte = np.clip(np.rint(moved), 0, 255).astype(np.uint8)
        matte[matte < _VEIL] = 0
        return Logo(matte, self.colors, self.sha256)


def _resized(plane: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    from PIL import Image

    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BOX)).copy()
