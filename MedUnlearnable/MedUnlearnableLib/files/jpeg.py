"""JPEG pictures in, PNG out: JPEG is lossy and would take away the small changes that protect."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..engine.errors import Refused
from .volume import StoredImage, read_bytes

_ORIENTATION = 0x0112  # EXIF; 1 is upright
_NOTE = "JPEG is lossy, so the result is a PNG of the same name; the owner's JPEG is not touched"


def read(path: Path) -> StoredImage:
    """A gray or RGB picture as [C, 1, H, W]. Color profile and pixel size go to the PNG; EXIF may hold a thumbnail."""
    read_bytes(path)  # for its sentences about files that cannot be read
    pixels, kept = _decode(path)

    def write_to(file: IO[bytes], array: NDArray[Any]) -> None:
        from PIL import Image

        rows = np.moveaxis(array[:, 0], 0, -1)
        Image.fromarray(rows if rows.shape[-1] == 3 else rows[..., 0]).save(file, "PNG", **kept)

    array = np.moveaxis(pixels, -1, 0)[:, np.newaxis]
    return StoredImage(
        path=path,
        array=array,
        geometry=None,
        write_to=write_to,
        modality="picture",
        warnings=(_NOTE,),
    )


def _decode(path: Path) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Pixels [H, W, C], and what a PNG can keep of the rest."""
    from PIL import Image

    try:
        with Image.open(path, formats=["JPEG"]) as picture:
            mode, turned = picture.mode, picture.getexif().get(_ORIENTATION, 1) != 1
            kept: dict[str, Any] = {key: picture.info[key] for key in ("icc_profile", "dpi") if key in picture.info}
            pixels = np.asarray(picture, np.uint8)
    except (OSError, SyntaxError, ValueError):
        raise Refused(
            f"{path}: the picture cannot be decoded, so it is damaged or no JPEG; copy it again from its source"
        ) from None
    if mode not in ("L", "RGB"):
        raise Refused(f"{path}: a JPEG with {mode} colors is not supported; convert it to gray or RGB")
    if turned:
        raise Refused(f"{path}: EXIF says that the picture must be turned; save it upright, labels would not fit it")
    return pixels.reshape(*pixels.shape[:2], -1), kept
