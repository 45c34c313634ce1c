"""DICOM files: which ones lie in a folder, their headers, and complaints that name file and tag."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...engine.errors import Refused

_MARK_AT, _MARK = 128, b"DICM"
#: What pydicom raises on damaged files, seen in its sources and in tests with cut and flipped bytes.
DAMAGE = (ValueError, KeyError, AttributeError, TypeError, EOFError, IndexError, NotImplementedError, struct.error)


#: Objects that say where something lies in the images of a series.
LABEL_MODALITIES = ("SEG", "RTSTRUCT")
#: Objects that lie beside the images of a series, but are none.
NOT_IMAGES = (*LABEL_MODALITIES, "RTDOSE", "RTPLAN", "SR", "PR", "KO", "REG", "DOC")


@dataclass(frozen=True)
class Instance:
    """One DICOM file and its header, without pixels."""

    path: Path
    header: Any  # pydicom.Dataset

    def required(self, keyword: str) -> Any:
        """The value of a tag; a missing or empty one is refused by its name."""
        value = self.header.get(keyword)
        if value is None or value == "":
            raise Refused(f"{self.path}: {tag_name(keyword)} is missing; repair the file or leave it out")
        return value

    @property
    def modality(self) -> str:
        return str(self.header.get("Modality", ""))


def is_dicom(path: Path) -> bool:
    """Whether the file bears the mark of DICOM; its name says nothing, many have no ending."""
    try:
        with path.open("rb") as file:
            return file.read(_MARK_AT + len(_MARK))[_MARK_AT:] == _MARK
    except OSError:
        return False


def dicom_files(folder: Path) -> list[Path]:
    """The DICOM files of a folder, by name. A .dcm file that is none is refused: it might be a missing slice."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        if is_dicom(path):
            found.append(path)
        elif path.suffix.lower() == ".dcm":
            raise _no_dicom(path)
    return found


def is_series_folder(path: Path) -> bool:
    """Whether a folder holds DICOM images, so that it is one case. A folder of segmentations is none."""
    return path.is_dir() and any(_is_image(file) for file in path.iterdir() if file.is_file())


def _is_image(path: Path) -> bool:
    try:
        return is_dicom(path) and read_header(path).modality not in NOT_IMAGES
    except Refused:
        return True  # damaged: reading the case says how, and the other cases go on


def label_in_series(folder: Path) -> Path | None:
    """The segmentation or structure set that lies among the images of a series; None where there is none."""
    if not folder.is_dir():
        return None
    found = [path for path in dicom_files(folder) if read_header(path).modality in LABEL_MODALITIES]
    if len(found) > 1:
        raise Refused(
            f"{found[0]} and {found[1]} are both labels of this series; name one with --labels and keep it elsewhere"
        )
    return found[0] if found else None


def read_header(path: Path) -> Instance:
    """Refuses what is no whole DICOM file."""
    return Instance(path, read_dataset(path, stop_before_pixels=True))


def read_dataset(path: Path, **options: Any) -> Any:
    """The pydicom data set of a file, elements still as raw bytes."""
    import pydicom

    with quiet_damage(path):
        if path.exists() and not is_dicom(path):
            raise _no_dicom(path)
        return pydicom.dcmread(path, **options)


@contextmanager
def quiet_damage(path: Path) -> Iterator[None]:
    """Damage becomes a sentence. pydicom's warnings stay out: peculiar values of the source are kept as they are."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except OSError as error:
        raise Refused(f"{path}: cannot be read ({error.strerror}); check its permissions and the disk") from None
    except DAMAGE as error:
        reason = " ".join(str(error).split())
        raise Refused(f"{path}: the DICOM file is damaged ({reason}); copy it again from its source") from None


def tag_name(keyword: str) -> str:
    """(0028,0103) Pixel Representation, for PixelRepresentation."""
    from pydicom.datadict import dictionary_description, tag_for_keyword

    tag = tag_for_keyword(keyword) or 0
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {dictionary_description(tag)}"


def _no_dicom(path: Path) -> Refused:
    return Refused(f"{path}: this is not a DICOM file (no DICM mark after 128 bytes); check what it really is")
