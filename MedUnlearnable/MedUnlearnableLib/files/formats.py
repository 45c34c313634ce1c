"""Which file is read by whom, and the name a case has without its ending."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..engine.errors import Refused
from . import jpeg, metaimage, nifti, nrrd, png, tiff
from .dicom import series as dicom_series
from .dicom.instances import is_series_folder as is_series_folder
from .dicom.instances import label_in_series as label_in_series
from .volume import StoredImage

_READERS: dict[str, Callable[[Path], StoredImage]] = {
    ".nii.gz": nifti.read,
    ".nii": nifti.read,
    ".seg.nrrd": nrrd.read,
    ".nrrd": nrrd.read,
    ".nhdr": nrrd.read,
    ".mha": metaimage.read,
    ".mhd": metaimage.read,
    ".png": png.read,
    ".tif": tiff.read,
    ".tiff": tiff.read,
    ".jpg": jpeg.read,
    ".jpeg": jpeg.read,
    ".dcm": dicom_series.read,
}
_DATA_FILES: dict[str, Callable[[Path], Path | None]] = {
    ".seg.nrrd": nrrd.data_file,
    ".nrrd": nrrd.data_file,
    ".nhdr": nrrd.data_file,
    ".mha": metaimage.data_file,
    ".mhd": metaimage.data_file,
}
ENDINGS = tuple(_READERS)  # longest first where one ends like another


def ending(path: Path) -> str | None:
    """The known ending of a file name in lower case, or None."""
    return next((known for known in ENDINGS if path.name.lower().endswith(known)), None)


def stem(path: Path) -> str:
    """The name without its known ending: liver_01 for liver_01.nii.gz."""
    return path.name[: -len(ending(path) or "")] if ending(path) else path.name


def written_name(path: Path) -> str:
    """What the result of an image is called: as the image, but a JPEG comes out as PNG."""
    return f"{stem(path)}.png" if ending(path) in (".jpg", ".jpeg") else path.name


def data_file(path: Path) -> Path | None:
    """The second file of an image whose header lies in a file of its own."""
    find = _DATA_FILES.get(ending(path) or "")
    return find(path) if find else None


def read(path: Path) -> StoredImage:
    """An image of any known format. Every complaint is a sentence that names the file."""
    if is_series_folder(path):
        return dicom_series.read(path)
    known = ending(path)
    if known is None:
        raise Refused(f"{path}: this format is not known; give {', '.join(ENDINGS)}")
    return _READERS[known](path)
