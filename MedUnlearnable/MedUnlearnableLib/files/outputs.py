"""What a run writes, and where. The private folder stays with the owner; the rest may be handed out."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.errors import Refused
from ..engine.record import NOT_FOR_DIAGNOSIS, Protected
from . import channels, formats
from .cases import CaseFiles
from .certificates import Sealer, sidecars
from .lock import LOCK_FILE
from .nnunet import DATASET_FILE
from .volume import (
    PRIVATE_MODE,
    TEMPORARY_PREFIX,
    DataFile,
    StoredImage,
    raw_bytes,
    remove,
    write_atomically,
    write_folder_atomically,
    write_json,
)

MANIFEST = "manifest.json"
RECORD_ENDING = ".medunlearnable.json"
_MANIFEST_FORMAT = "medunlearnable-manifest/1"
_PRIVATE_FORMAT = "medunlearnable-private-manifest/1"
_CHUNK = 1 << 22


@dataclass(frozen=True)
class OutputNames:
    """What a run calls the files of a case, below the output folder. A data set keeps its subfolders."""

    images: tuple[str, ...]
    label: str | None
    record: str

    @classmethod
    def of(cls, files: CaseFiles) -> OutputNames:
        images = tuple(_below(files.root, path, formats.written_name(path)) for path in files.images)
        label = None
        if files.label is not None:
            label = _below(files.root, files.label, f"labels/{_label_name(files.image, files.label)}")
        return cls(images, label, str(PurePosixPath(images[0]).with_name(files.id + RECORD_ENDING)))


class OutputFolder:
    """The folder that may be handed out: `<name>` and its record for each case, `labels/<label name>`, a manifest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def refuse_unusable(self, private: Path, cases: Iterable[CaseFiles], resume: bool = False) -> None:
        """Checks everything that can be known before the run; writes nothing. `resume`: the folders may be in use."""
        sources = {path.parent.resolve() for case in cases for path in case.inputs}
        for name, folder in (("--out", self.folder), ("--private", private)):
            if folder.resolve() in sources:
                raise Refused(
                    f"{name} {folder} is the folder of the input; give another folder, inputs are never written to"
                )
            _refuse_no_folder(name, folder)
            if not resume:
                _refuse_occupied(name, folder)
        if private.resolve() == self.folder.resolve() or self.folder.resolve() in private.resolve().parents:
            raise Refused(
                f"--private {private} lies inside --out {self.folder}, which is handed out; give a folder outside it"
            )

    def write(
        self, files: CaseFiles, stored: StoredImage, protected: Protected, sealer: Sealer | None = None
    ) -> dict[str, Any]:
        """Images, label and record of one case; each image is read back first. Returns the manifest's entry.

        `sealer`: signs a certificate for each image.
        """
        with ExitStack() as undo:  # all files of the case, or none
            entry = self._write_all(files, stored, protected, sealer, undo)
            undo.pop_all()
        return entry

    def _write_all(
        self, files: CaseFiles, stored: StoredImage, protected: Protected, sealer: Sealer | None, undo: ExitStack
    ) -> dict[str, Any]:
        names = OutputNames.of(files)
        copied = protected.record.state == "unchanged"
        entry: dict[str, Any] = {"id": files.id, "state": protected.record.state, "images": list(names.images)}
        written: list[str] = []
        beside: list[str] = []
        for name, (file, image) in zip(names.images, channels.split(stored, protected.image)):
            marked = file.with_visible_marks if protected.record.burned_in else file
            written += self._write_image(name, marked, image, copied, undo)
            if sealer is not None:
                beside += self._write_certificate(name, file, image, protected, sealer, undo)
        hashes = {name: sha256_of(self.folder / name) for name in (*written, *beside)}
        if files.label is not None:
            labels = self._write_label(str(names.label), files.label, undo)
            entry["label"] = names.label
            hashes |= {name: sha256_of(self.folder / name) for name in labels}
        record_path = self.folder / names.record
        write_json(record_path, {**protected.record.to_json(), "files": {name: hashes[name] for name in written}})
        undo.callback(remove, record_path)
        self._copy_dataset_file(files)
        hashes[names.record] = sha256_of(record_path)
        return {**entry, "record": names.record, "warnings": list(protected.record.warnings), "files": hashes}

    def _write_image(
        self, name: str, stored: StoredImage, image: NDArray[Any], copied: bool, undo: ExitStack
    ) -> list[str]:
        """One image file, or the series in one folder. Returns the names of what was written, voxels first."""
        target = self.folder / name
        written = [name]
        if stored.data is not None:
            data_name = stored.data.path.name
            self._write_data(target.with_name(data_name), stored.data, image, copied, undo)
            written.insert(0, str(PurePosixPath(name).with_name(data_name)))
        atomically: Callable[..., None] = write_folder_atomically if stored.parts else write_atomically
        if copied and target.name == stored.path.name:
            atomically(target, lambda place: _copy_image(stored, place))
        else:
            atomically(
                target,
                lambda place: stored.write_to(place, image),
                check=lambda path: _refuse_difference(path, target, stored, image),
            )
        undo.callback(remove, target)
        return written

    def _write_data(self, target: Path, data: DataFile, image: NDArray[Any], copied: bool, undo: ExitStack) -> None:
        """The second file of an image, before the header that names it; read back along with that."""
        write_atomically(target, lambda file: _copy(data.path, file) if copied else data.write_to(file, image))
        undo.callback(remove, target)

    def _write_certificate(
        self, name: str, stored: StoredImage, image: NDArray[Any], protected: Protected, sealer: Sealer, undo: ExitStack
    ) -> list[str]:
        """Certificate and, if it is large, payload of the image called `name`. Returns their names."""
        for path in sidecars(self.folder / name):
            undo.callback(remove, path)
        made = sealer.write(self.folder / name, stored, image, protected)
        return [path.relative_to(self.folder).as_posix() for path in made]

    def _write_label(self, name: str, label: Path, undo: ExitStack) -> list[str]:
        """Byte for byte, with the second file where the label has one. Returns their names."""
        names = [name, *_data_names(name, label)]
        for source, target in zip((label, formats.data_file(label)), names):
            path = self.folder / target
            write_atomically(path, lambda file, source=source: _copy(source, file))  # type: ignore[misc]
            undo.callback(remove, path)
        return names

    def _copy_dataset_file(self, files: CaseFiles) -> None:
        """What describes a data set goes with its first case."""
        source = files.root and files.root / DATASET_FILE
        target = self.folder / DATASET_FILE
        if source and source.exists() and not target.exists():
            write_atomically(target, lambda file: _copy(source, file))

    def remove_cases(self, cases: Iterable[CaseFiles], keep: Container[str]) -> None:
        """Removes what was written of `cases`, or would have been, but the names in `keep`."""
        for files in cases:
            for name in _all_names(files):
                if name not in keep:
                    remove(self.folder / name)

    def write_manifest(self, run: dict[str, Any], entries: list[dict[str, Any]]) -> None:
        """The account of the run that goes with the images. Holds no key and no hash of an input."""
        write_json(
            self.folder / MANIFEST,
            {
                "format": _MANIFEST_FORMAT,
                **run,
                "unprotected_share": unprotected_share(entries),
                "notice": NOT_FOR_DIAGNOSIS,
                "cases": entries,
            },
        )


def private_entry(files: CaseFiles) -> dict[str, Any]:
    """Which input became a case, for the private manifest."""
    read = [part for path in files.inputs for part in (path, formats.data_file(path)) if part]
    return {**files.to_json(), "inputs_sha256": {str(path): sha256_of(path) for path in read}}


def write_private_manifest(folder: Path, secrets: dict[str, Any], entries: list[dict[str, Any]]) -> None:
    """What stays with the owner: seed and state, and the private entries of the cases."""
    notice = "keep this folder: it holds the key of the run; never hand it out"
    manifest = {"format": _PRIVATE_FORMAT, "notice": notice, **secrets, "cases": entries}
    write_json(folder / MANIFEST, manifest, mode=PRIVATE_MODE)


def refuse_unwritable(name: str, path: Path) -> None:
    """Refuses a path, given by the option `name`, that cannot be made where it shall lie."""
    existing = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise Refused(
            f"{name} {path} cannot be created: {existing} is not a folder that can be written to; choose another"
        )


def unprotected_share(entries: list[dict[str, Any]]) -> float:
    """Share of clean copies among the cases that were written."""
    states = [entry["state"] for entry in entries if entry["state"] != "failed"]
    return states.count("unchanged") / len(states) if states else 0.0


def remove_unfinished(folder: Path) -> None:
    """Removes what a killed writer left behind."""
    for path in list(folder.rglob(f"{TEMPORARY_PREFIX}*")) if folder.is_dir() else ():
        remove(path)


def sha256_of(path: Path) -> str:
    """Of a file its content; of a folder the lines "<SHA-256>  <name>" of its files, sorted by name."""
    if path.is_dir():
        parts = sorted(part for part in path.iterdir() if part.is_file())
        lines = "".join(f"{sha256_of(part)}  {part.name}\n" for part in parts)
        return hashlib.sha256(lines.encode()).hexdigest()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _below(root: Path | None, path: Path, name: str) -> str:
    """`name`, in the subfolder of the data set `root` that `path` lies in; `name` as it is where there is none."""
    if root is None or root not in path.parents:
        return name
    return (path.parent.relative_to(root) / PurePosixPath(name).name).as_posix()


def _label_name(image: Path, label: Path) -> str:
    """A label within the folder of its series gets the name of the series: many series call theirs the same."""
    return f"{image.name}.dcm" if label.parent == image else label.name


def _data_names(name: str, source: Path) -> list[str]:
    """The name of the second file of an image or label called `name`, where it has one."""
    data = formats.data_file(source)
    return [str(PurePosixPath(name).with_name(data.name))] if data else []


def _all_names(files: CaseFiles) -> Iterator[str]:
    """Every file a case has in the output folder."""
    names = OutputNames.of(files)
    for source, name in zip((*files.images, files.label), (*names.images, names.label)):
        if source is None or name is None:
            continue
        yield name
        with suppress(Refused):  # an input that cannot be read was not written
            yield from _data_names(name, source)
    for name in names.images:
        yield from (path.as_posix() for path in sidecars(Path(name)))
    yield names.record


def _copy_image(stored: StoredImage, place: Any) -> None:
    """Byte for byte: into the open file `place`, or the parts of a series into the folder `place`."""
    for part in stored.parts:
        shutil.copyfile(part, place / part.name)
    if not stored.parts:
        _copy(stored.path, place)


def _copy(source: Path, target: Any) -> None:
    with source.open("rb") as file:
        shutil.copyfileobj(file, target, _CHUNK)


def _refuse_no_folder(name: str, folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise Refused(f"{name} {folder} is a file; give a folder")
    refuse_unwritable(name, folder)


def _refuse_occupied(name: str, folder: Path) -> None:
    if folder.is_dir() and any(path.name != LOCK_FILE for path in folder.iterdir()):
        raise Refused(
            f"{name} {folder} is not empty; give a new or an empty folder, so that nothing is overwritten or mixed, "
            "or go on with the interrupted run in it by --resume"
        )


def _refuse_difference(written: Path, target: Path, source: StoredImage, image: NDArray[Any]) -> None:
    """Reads the file just written, which is to become `target`, back and refuses any difference."""
    try:
        same = _holds(formats.read(written), source, image)
    except Refused:
        same = False
    if not same:
        raise Refused(
            f"{target}: what was read back differs from what was written; the disk may be faulty, nothing was kept"
        )


def _holds(back: StoredImage, source: StoredImage, image: NDArray[Any]) -> bool:
    """Voxels bit for bit, dtype, geometry and meaning as they should be."""
    same_voxels = (
        back.array.dtype == source.array.dtype
        and back.array.shape == image.shape
        and all(
            np.array_equal(_bits(a, back.array.dtype), _bits(b, back.array.dtype))
            for channels in zip(back.array, image)
            for a, b in zip(*channels)  # plane by plane: they stay in the processor's cache
        )
    )
    if back.geometry is None or source.geometry is None:
        same_place = back.geometry is source.geometry
    else:
        same_place = np.array_equal(back.geometry.ijk_to_ras, source.geometry.ijk_to_ras)
    return same_voxels and same_place and back.units == source.units


def _bits(array: NDArray[Any], dtype: np.dtype) -> NDArray[np.uint8]:
    return np.frombuffer(raw_bytes(array, dtype), np.uint8)
