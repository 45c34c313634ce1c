"""Small DICOM series made with pydicom, and what an independent checker says about files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

OBLIQUE = np.array([[0.96, 0.28, 0.0], [-0.168, 0.576, 0.8]])  # unit vectors along a row and a column
STUDY, FRAME = generate_uid(), generate_uid()


def slice_header(number: int, pixels: np.ndarray, series: str, axes: np.ndarray = OBLIQUE) -> Dataset:
    """One CT slice with every tag that matters here. `pixels` [H, W] or [H, W, 3]."""
    step = 2.5  # mm
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = CTImageStorage
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    header.StudyInstanceUID, header.SeriesInstanceUID, header.FrameOfReferenceUID = STUDY, series, FRAME
    header.Modality, header.PatientName, header.PatientID = "CT", "REMOVED", "1"
    header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    header.SeriesDescription, header.InstanceNumber = "thorax", number + 1
    header.ImageOrientationPatient = list(axes.ravel())
    header.ImagePositionPatient = list(np.round(np.array([-30, 12, 7]) + number * step * np.cross(*axes), 6))
    header.PixelSpacing, header.SliceThickness = [0.8, 0.7], step
    header.RescaleSlope, header.RescaleIntercept = 1, -1024
    header.Rows, header.Columns = pixels.shape[:2]
    header.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    header.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        header.PlanarConfiguration = 0
    bits = 8 * pixels.dtype.itemsize
    header.BitsAllocated, header.BitsStored, header.HighBit = bits, bits, bits - 1
    header.PixelRepresentation = int(pixels.dtype.kind == "i")
    body = pixels.tobytes()
    header.add_new("PixelData", "OB" if bits == 8 else "OW", body + b"\0" * (len(body) % 2))
    return header


def write_series(folder: Path, volume: np.ndarray, change: Any = None, **options: Any) -> Path:
    """`volume` [D, H, W] or [D, H, W, 3]. File names do not follow the order of slices. `change(number, header)`."""
    folder.mkdir(parents=True)
    series = generate_uid()
    for number, pixels in enumerate(volume):
        header = slice_header(number, pixels, series, **options)
        if change is not None:
            change(number, header)
        header.save_as(folder / f"{(number * 7) % 11:02d}.dcm", enforce_file_format=True)
    return folder


def some_volume(dtype: str, shape: tuple[int, ...] = (5, 7, 9)) -> np.ndarray:
    """Values over the whole range of the dtype, its ends included."""
    limits = np.iinfo(dtype)
    volume = np.random.default_rng(3).integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    volume.flat[:2] = limits.min, limits.max
    return volume


def errors_of(path: Path) -> set[str]:
    """What dciodvfy calls errors in a file."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False, errors="replace")
    return {line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")}


def headers_of(folder: Path) -> dict[str, Dataset]:
    return {path.name: pydicom.dcmread(path) for path in sorted(folder.iterdir())}
