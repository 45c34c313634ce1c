"""Results as DICOM series, derived from the instances in Slicer's database that their inputs were loaded from."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.errors import Refused
from ..engine.record import Protected, Record, voxels_sha256
from ..files.cases import CaseFiles, load_case
from ..files.outputs import OutputFolder
from ..files.volume import StoredImage
from .volumes import RECORD_REFERENCE, SOURCE_INSTANCES, channels_of, geometry_of

_SAME_PLACE = 0.1  # of a voxel
_SAME_VALUE = 0.01  # of a stored step


def comes_from_database(protected: Any) -> bool:
    """Whether the first instance of the input is in the database; quick enough for every selection."""
    return bool(_files(protected, 1))


def save_series(protected: Any, folder: Path) -> Record:
    """Writes the series into the new or empty `folder` and its record beside; both may be handed out.

    Every file is read back. Refuses a volume that is not on the grid of the instances any more, that was changed by
    more than the protection did, or that holds values between the steps the instances can store.
    """
    name = protected.GetName()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} is in use; choose a new or an empty folder, so that nothing is overwritten")
    sources = _files(protected)
    if not sources:
        raise Refused(f"the DICOM instances of '{name}' are not in the database any more; import them again")
    with _copies(sources, folder.name) as series:
        try:
            stored, case = load_case(CaseFiles(folder.name, series, None))
        except Refused as error:
            raise Refused(str(error).replace(str(series), f"DICOM series of '{name}'")) from None
        record = Record.from_json(json.loads(protected.GetNodeReference(RECORD_REFERENCE).GetText()))
        image = _stored_voxels(protected, stored, record)
        record = _in_stored_units(record, stored, image)
        OutputFolder(folder.parent).write(CaseFiles(folder.name, series, None), stored, Protected(case, image, record))
    return record


def _files(protected: Any, most: int | None = None) -> list[Path]:
    """The files of the input's instances; empty where one is missing, or the application has no database."""
    import slicer

    database = getattr(slicer, "dicomDatabase", None)
    identifiers = (protected.GetAttribute(SOURCE_INSTANCES) or "").split()[:most]
    names = [database.fileForInstance(identifier) for identifier in identifiers] if database is not None else []
    return [Path(name) for name in names] if all(name and Path(name).is_file() for name in names) else []


@contextmanager
def _copies(sources: list[Path], name: str) -> Iterator[Path]:
    """The instances in one folder of that name: in the database they may lie anywhere, under any names."""
    import slicer

    application = getattr(slicer, "app", None)
    parent = application.temporaryPath if application is not None else None
    with tempfile.TemporaryDirectory(prefix="medunlearnable-", dir=parent) as temporary:
        folder = Path(temporary) / name
        folder.mkdir()
        for number, source in enumerate(sources, start=1):
            shutil.copyfile(source, folder / f"{number:04}.dcm")
        yield folder


def _stored_voxels(protected: Any, stored: StoredImage, record: Record) -> NDArray[Any]:
    """The voxels of the node in the stored values of the series, [C, D, H, W]."""
    name = protected.GetName()
    channels = _as_in_file(protected, stored)
    image = np.empty_like(stored.array)
    limits = stored.limits or (np.iinfo(image.dtype).min, np.iinfo(image.dtype).max)
    slope = abs(stored.units.slope)
    for values, before, target in _planes(channels, stored.array, image):
        exact = (values.astype(np.float64) - stored.units.intercept) / stored.units.slope
        steps = np.rint(exact)
        if not np.abs(exact - steps).max() <= _SAME_VALUE:
            raise Refused(
                f"'{name}' holds values between the steps of {slope:g} that its DICOM series stores; "
                "protect the series as a folder of files ('Add folder...')"
            )
        if not np.abs(steps - before).max() * slope <= record.max_change_physical + _SAME_VALUE * slope:
            raise Refused(f"'{name}' is not its DICOM series, protected: it was edited; protect the series anew")
        if steps.min() < limits[0] or steps.max() > limits[1]:
            raise Refused(
                f"'{name}' holds values that its DICOM series cannot store; "
                "protect the series as a folder of files ('Add folder...')"
            )
        target[...] = steps
    return image


def _planes(*arrays: NDArray[Any]) -> Iterator[tuple[NDArray[Any], ...]]:
    for channels in zip(*arrays):
        yield from zip(*channels)


def _as_in_file(protected: Any, stored: StoredImage) -> NDArray[Any]:
    """The voxels of the node in the order of the file: the same grid, with axes turned round where Slicer did so."""
    channels = channels_of(protected)
    other = Refused(f"'{protected.GetName()}' is not on the grid of its DICOM series any more; protect it anew")
    if channels.shape != stored.array.shape:
        raise other
    if stored.geometry is None:
        return channels
    between = np.linalg.inv(stored.geometry.ijk_to_ras) @ geometry_of(protected).ijk_to_ras
    signs = np.where(np.diag(between)[:3] < 0, -1, 1)
    last = np.array(channels.shape[:0:-1]) - 1
    turned = np.diag([*signs, 1.0])
    turned[:3, 3] = np.where(signs < 0, last, 0)
    corners = np.array([[*corner, 1] for corner in product(*((0, n) for n in last))]).T
    if np.abs((between - turned) @ corners).max() > _SAME_PLACE:
        raise other
    return channels[(slice(None), *(slice(None, None, int(sign)) for sign in signs[::-1]))]


def _in_stored_units(record: Record, stored: StoredImage, image: NDArray[Any]) -> Record:
    """The record of the volume, whose values are physical, as the record of the files."""
    lo, hi = sorted(stored.units.to_stored(limit) for limit in record.window)
    slope = abs(stored.units.slope)
    return replace(
        record,
        window=(lo, hi),
        budget=record.budget / slope,
        max_change=record.max_change_physical / slope,
        voxels_sha256=voxels_sha256(image),
        warnings=record.warnings + stored.warnings,
    )
