"""Time of profile instant on a CT of 512x512 with 300 slices as a DICOM series, against the same volume as NRRD.

Bar: at most 1.5 times. Both go in and out; the NRRD is uncompressed, as the series is. The two take turns, so that a
change of the machine's pace meets both.

python Testing/benchmarks/dicom_cost.py
"""

from __future__ import annotations

import os
import resource
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import protect, save
from MedUnlearnableLib.files import nrrd
from MedUnlearnableLib.files.samples import Sample, synthetic_ct
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SHAPE = (300, 512, 512)
RUNS = 5
INTERCEPT = -1024


def write_series(folder: Path, sample: Sample) -> None:
    """One file a slice with the tags of a plain CT, uint16 with an intercept as most scanners store it."""
    folder.mkdir()
    study, series, frame = (generate_uid() for _ in range(3))
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ sample.geometry.ijk_to_ras  # DICOM counts to the left and back
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    stored = sample.image.astype(np.int32) - INTERCEPT
    for k, plane in enumerate(stored.astype("<u2")):
        header = Dataset()
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = CTImageStorage
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        header.StudyInstanceUID, header.SeriesInstanceUID, header.FrameOfReferenceUID = study, series, frame
        header.Modality, header.PatientID, header.InstanceNumber = "CT", "1", k + 1
        header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        header.ImageOrientationPatient = [float(value) for value in (affine[:3, :2] / spacing[:2]).T.ravel()]
        header.ImagePositionPatient = [round(float(value), 4) for value in affine[:3] @ [0, 0, k, 1]]
        header.PixelSpacing, header.SliceThickness = [float(spacing[1]), float(spacing[0])], float(spacing[2])
        header.RescaleSlope, header.RescaleIntercept, header.RescaleType = 1, INTERCEPT, "HU"
        header.Rows, header.Columns = plane.shape
        header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
        header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
        header.add_new("PixelData", "OW", plane.tobytes())
        header.save_as(folder / f"{k:04}.dcm", enforce_file_format=True)


def write_nrrd(path: Path, array: np.ndarray, sample: Sample) -> None:
    with path.open("wb") as file:
        nrrd.write(file, array[np.newaxis], sample.geometry, None)


def measure(folder: Path) -> list[dict[str, Any]]:
    sample = synthetic_ct(SHAPE)
    write_series(folder / "series", sample)
    write_nrrd(folder / "ct.nrrd", sample.image, sample)
    write_nrrd(folder / "labels.nrrd", sample.labels, sample)
    kinds = {"NRRD": folder / "ct.nrrd", "DICOM": folder / "series"}
    protect(kinds["NRRD"], folder / "labels.nrrd")  # files and libraries are in the cache from here on
    runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    for _ in range(RUNS):
        for kind, images in kinds.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            run = protect(images, folder / "labels.nrrd")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            run["cpu_seconds"] = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
            runs[kind].append(run)
    return [
        {
            "format": kind,
            "slices": SHAPE[0],
            "seconds": [round(run["seconds"], 2) for run in of_kind],
            "seconds_median": round(statistics.median(run["seconds"] for run in of_kind), 2),
            "cpu_seconds_median": round(statistics.median(run["cpu_seconds"] for run in of_kind), 2),
            "load": round(os.getloadavg()[2], 1),  # other programs at work while this was measured
            "peak_mb": max(run["peak_mb"] for run in of_kind),
        }
        for kind, of_kind in runs.items()
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        rows = measure(Path(name))
    for row in rows:
        print(row)
    ratios = [rows[1][figure] / rows[0][figure] for figure in ("seconds_median", "cpu_seconds_median")]
    print(f"DICOM takes {ratios[0]:.2f} times as long, {ratios[1]:.2f} times in processor time; the bar is 1.5")
    save("dicom_cost", rows)
