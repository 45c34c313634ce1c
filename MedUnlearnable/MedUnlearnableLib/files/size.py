"""How much memory an image takes, from its header alone."""

from __future__ import annotations

import math
from pathlib import Path

from ..engine.errors import Refused
from .dicom.instances import dicom_files, is_dicom, read_header


def voxel_bytes(path: Path) -> int | None:
    """Bytes of all voxels, unpacked; of a series, as if all files were like the first. None: the header is damaged."""
    try:
        files = dicom_files(path) if path.is_dir() else [path]
        return len(files) * (_of_instance(files[0]) if is_dicom(files[0]) else _of_file(files[0])) if files else None
    except (Refused, RuntimeError):  # reading the case will say what is wrong with it
        return None


def _of_instance(path: Path) -> int:
    header = read_header(path)
    values = header.whole("Rows") * header.whole("Columns") * header.whole("SamplesPerPixel", 1)
    return values * header.whole("NumberOfFrames", 1) * header.whole("BitsAllocated") // 8


def _of_file(path: Path) -> int:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    voxel = sitk.Image([1] * reader.GetDimension(), reader.GetPixelID(), reader.GetNumberOfComponents())
    return math.prod(reader.GetSize()) * sitk.GetArrayViewFromImage(voxel).nbytes
