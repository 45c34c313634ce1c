"""Data sets in the layout of nnU-Net: `imagesTr`, `labelsTr`, `dataset.json`, and a file for each channel of a case.

Names and keys: nnU-Net's documentation/dataset_format.md. The older layout of the Medical Segmentation Decathlon, whose
files have no channel number and whose channels are called `modality`, is read as well.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..engine.errors import Refused
from . import formats
from .volume import read_json

DATASET_FILE = "dataset.json"
_TRAINING, _TEST = "imagesTr", "imagesTs"
_CHANNEL_NUMBER = re.compile(r"(.+)_(\d{4})")


@dataclass(frozen=True)
class DataSet:
    """Where a data set lies, and what its `dataset.json` says of it, as far as it is there."""

    root: Path
    images: Path
    labels: Path
    channel_names: tuple[str, ...] = ()
    file_ending: str = ""

    @classmethod
    def at(cls, folder: Path) -> DataSet | None:
        """The data set that `folder` is, or whose images it holds; None: it is no such folder."""
        if (folder / _TRAINING).is_dir():
            root, images = folder, folder / _TRAINING
        elif folder.is_dir() and folder.name in (_TRAINING, _TEST):
            root, images = folder.parent, folder
        else:
            return None
        description = root / DATASET_FILE
        values = read_json(description) if description.exists() else {}
        names = values.get("channel_names", values.get("modality", {}))
        ending = values.get("file_ending", "")
        if not isinstance(names, dict) or not isinstance(ending, str):
            raise Refused(f"{description}: channel_names must be an object and file_ending a text; repair the file")
        return cls(
            root,
            images,
            root / images.name.replace("images", "labels"),
            tuple(_modality(str(names[number])) for number in sorted(names, key=lambda number: (len(number), number))),
            ending,
        )


def images_by_case(images: Iterable[Path], labeled: Container[str], all_numbered: bool) -> dict[str, tuple[Path, ...]]:
    """The files of each case: one, or one for each channel in their order.

    `a_0000` is a channel of the case `a` where `a` is labeled and `a_0000` is not, or where names are known to be such.
    """
    found: dict[str, dict[int, Path]] = {}
    for path in images:
        case_id, number = formats.stem(path), 0
        match = _CHANNEL_NUMBER.fullmatch(case_id)
        if match and case_id not in labeled and (all_numbered or match[1] in labeled):
            case_id, number = match[1], int(match[2])
        channels = found.setdefault(case_id, {})
        if number in channels:
            raise Refused(
                f"{path}: lies beside {channels[number].name}, and both would be the case '{case_id}'; remove or "
                "rename one"
            )
        channels[number] = path
    for case_id, channels in found.items():
        missing = min(set(range(len(channels) + 1)) - channels.keys())
        if missing < len(channels):
            raise Refused(
                f"{channels[max(channels)]}: channel {missing:04} of the case '{case_id}' is missing; add it, or leave "
                "the case out"
            )
    return {case_id: tuple(channels[number] for number in sorted(channels)) for case_id, channels in found.items()}


def _modality(name: str) -> str:
    """The name of a channel; nnU-Net treats CT in capital or small letters as CT, and every other name as not CT."""
    return "CT" if name.upper() == "CT" else name


def left_out(root: Path, images: Iterable[Path]) -> str:
    """A sentence about test images beside those of a run; empty where there are none."""
    folder = root / _TEST
    if not folder.is_dir() or any(path.parent == folder for path in images):
        return ""
    count = sum(formats.ending(path) is not None for path in folder.iterdir())
    return f"{_TEST}: {count} files without labels are left out, neither protected nor copied" if count else ""
