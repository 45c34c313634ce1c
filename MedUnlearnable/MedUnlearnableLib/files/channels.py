"""Images whose channels lie in files of their own: read as one, written as many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.errors import Refused
from . import formats
from .volume import StoredImage


def read(paths: Sequence[Path]) -> StoredImage:
    """One file as it is, or several as one image: their channels in this order, on the grid of the first.

    Files of different dtypes meet in one that holds the values of all exactly: int16 and float32 in float32.
    """
    files = [formats.read(path) for path in paths]
    first = files[0]
    if len(files) == 1:
        return first
    for other in files[1:]:
        _refuse_other_grid(first, other)
    array = np.concatenate([file.array for file in files], dtype=np.result_type(*(file.array for file in files)))
    array.setflags(write=False)
    return replace(
        first,
        array=array,
        warnings=tuple(dict.fromkeys(warning for file in files for warning in file.warnings)),
        channels=tuple(_sharing(file, part) for file, part in zip(files, _parts(files, array))),
    )


def split(stored: StoredImage, image: NDArray[Any]) -> list[tuple[StoredImage, NDArray[Any]]]:
    """The files of an image and what each of them gets of `image` [C, D, H, W], in its own dtype."""
    parts = _parts(stored.files, image)
    return [(file, part.astype(file.array.dtype, copy=False)) for file, part in zip(stored.files, parts)]


def limits_of(file: StoredImage, dtype: np.dtype) -> tuple[float, float] | None:
    """What a file can hold, where that is less than `dtype`."""
    own = file.array.dtype
    if file.limits is None and own != dtype and np.issubdtype(own, np.integer):
        return float(np.iinfo(own).min), float(np.iinfo(own).max)
    return file.limits


def _parts(files: Sequence[StoredImage], image: NDArray[Any]) -> Iterator[NDArray[Any]]:
    start = 0
    for file in files:
        yield image[start : start + len(file.array)]
        start += len(file.array)


def _sharing(file: StoredImage, part: NDArray[Any]) -> StoredImage:
    """Lets go of the voxels of a file where the common image holds the same."""
    return replace(file, array=part) if part.dtype == file.array.dtype else file


def _refuse_other_grid(first: StoredImage, other: StoredImage) -> None:
    shape = first.array.shape[1:]
    if other.array.shape[1:] != shape:
        raise Refused(
            f"{other.path}: has {_size(other)} voxels, but {first.path.name} {_size(first)}; all channels of a case "
            "must lie on one grid"
        )
    if first.geometry is None or other.geometry is None:
        same_place = first.geometry is other.geometry
    else:
        same_place = first.geometry.agrees_with(other.geometry, shape)
    if not same_place:
        raise Refused(
            f"{other.path}: lies elsewhere than {first.path.name}; all channels of a case must lie on one grid"
        )


def _size(file: StoredImage) -> str:
    return " x ".join(map(str, reversed(file.array.shape[1:])))
