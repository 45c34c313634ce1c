"""DICOM files: which ones lie in a folder, their headers, and complaints that name file and tag."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any, TypeVar

from ...engine.errors import Refused

T = TypeVar("T")
_MARK_AT, _MARK = 128, b"DICM"
#: What pydicom raises on damaged files, seen in its sources and in tests with cut and flipped bytes.
DAMAGE = (ValueError, KeyError, AttributeError, TypeError, EOFError, IndexError, RuntimeError, struct.error)


#: Objects that say where something lies in the images of a series.
LABEL_MODALITIES = ("SEG", "RTSTRUCT")
#: Objects that lie beside the images of a series, but are none.
NOT_IMAGES = (*LABEL_MODALITIES, "RTDOSE", "RTPLAN", "SR", "PR", "KO", "REG", "DOC")


@dataclass(frozen=True)
class Instance:
    """One DICOM file and its header, without pixels. `pixels_at`: where in the file Pixel Data begins with its tag."""

    path: Path
    header: Any  # pydicom.Dataset
    pixels_at: int

    def get(self, keyword: str, default: Any = None) -> Any:
        """The value of a tag, `default` where it is missing or empty. One that makes no sense is refused."""
        with quiet_damage(self.path):
            value = self.header.get(keyword)
        return default if value is None or value == "" else value

    def required(self, keyword: str) -> Any:
        """The value of a tag; a missing or empty one is refused by its name."""
        value = self.get(keyword)
        if value is None:
            raise Refused(f"{self.path}: {tag_name(keyword)} is missing; repair the file or leave it out")
        return value

    def whole(self, keyword: str, default: int | None = None) -> int:
        """A whole number; required where there is no default."""
        return self._as(int, keyword, default)

    def number(self, keyword: str, default: float | None = None) -> float:
        """As `whole`, with fractions."""
        return self._as(float, keyword, default)

    def _as(self, kind: Callable[[Any], T], keyword: str, default: T | None) -> T:
        value = self.required(keyword) if default is None else self.get(keyword, default)
        try:
            return kind(value)
        except (TypeError, ValueError, OverflowError):
            raise Refused(
                f"{self.path}: {tag_name(keyword)} is '{value}', which is no number; repair the file"
            ) from None

    @property
    def modality(self) -> str:
        return str(self.get("Modality", ""))

    @property
    def transfer_syntax(self) -> Any:
        return self.header.file_meta.get("TransferSyntaxUID")


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
    with _opened(path) as file:
        return Instance(path, _parsed(file, stop_before_pixels=True), file.tell())


def read_dataset(path: Path) -> Any:
    """The pydicom data set of a whole file, elements still as raw bytes."""
    with _opened(path) as file:
        return _parsed(file)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with quiet_damage(path), path.open("rb") as file:
        if file.read(_MARK_AT + len(_MARK))[_MARK_AT:] != _MARK:
            raise _no_dicom(path)
        file.seek(0)
        yield file


def _parsed(file: IO[bytes], **options: Any) -> Any:
    import pydicom

    return pydicom.dcmread(file, **options)


def saved(data: Any) -> bytes:
    """A data set as a whole file, explicit little endian."""
    import pydicom

    buffer = BytesIO()
    if pydicom.__version_info__[0] == "2":  # Slicer 5.10
        data.is_little_endian, data.is_implicit_VR = True, False
        data.save_as(buffer, write_like_original=False)
    else:
        data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@contextmanager
def quiet_damage(path: Path) -> Iterator[None]:
    """Damage becomes a sentence. pydicom's warnings stay out: peculiar values of the source are kept as they are."""
    from pydicom.errors import BytesLengthException

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except OSError as error:
        raise Refused(f"{path}: cannot be read ({error.strerror}); check its permissions and the disk") from None
    except (*DAMAGE, BytesLengthException) as error:
        reason = " ".join(str(error).split())
        raise Refused(f"{path}: the DICOM file is damaged ({reason}); copy it again from its source") from None


def tag_name(keyword: str) -> str:
    """(0028,0103) Pixel Representation, for PixelRepresentation."""
    from pydicom.datadict import dictionary_description, tag_for_keyword

    tag = tag_for_keyword(keyword) or 0
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {dictionary_description(tag)}"


def _no_dicom(path: Path) -> Refused:
    return Refused(f"{path}: this is not a DICOM file (no DICM mark after 128 bytes); check what it really is")
