"""Which files belong to one case, and their voxels as the engine wants them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..engine.case import Case, Channel, Geometry
from ..engine.errors import Refused
from . import channels, formats, labels
from .classes import CaseClasses
from .nnunet import DATASET_FILE, DataSet, images_by_case
from .volume import StoredImage

#: A label file beside its image has the image's stem and one of these endings.
LABEL_SUFFIXES = ("_mask", "_seg", "_label", "_labels", "-mask", "-seg", "-label", "-labels")
_NAMED_IN_ERRORS = 3
_KNOWN = f"known endings are {', '.join(formats.ENDINGS)}"


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case. `modality` is what the giver knows of the image ("CT", "MR"), or empty."""

    id: str
    image: Path
    label: Path | None
    modality: str = ""
    classes: CaseClasses | None = None  # what the case shows, for SALM
    more_channels: tuple[Path, ...] = ()  # where `image` holds the first channel only
    channel_names: tuple[str, ...] = ()  # what the giver knows of each channel, as `modality`
    root: Path | None = None  # a data set folder whose subfolders the output repeats

    def __post_init__(self) -> None:
        for path in self.inputs:
            try:
                str(path).encode()
            except UnicodeEncodeError:
                raise Refused(f"{str(path)!a}: this name is not valid UTF-8; rename the file or folder") from None

    @property
    def images(self) -> tuple[Path, ...]:
        return (self.image, *self.more_channels)

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Every file of the case."""
        return self.images if self.label is None else (*self.images, self.label)

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "image": str(self.image),
            "label": str(self.label) if self.label else None,
            "modality": self.modality,
            "classes": self.classes.to_json() if self.classes else None,
            "more_channels": [str(path) for path in self.more_channels],
            "channel_names": list(self.channel_names),
            "root": str(self.root) if self.root else None,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CaseFiles:
        return cls(
            id=data["id"],
            image=Path(data["image"]),
            label=Path(data["label"]) if data["label"] else None,
            modality=data["modality"],
            classes=CaseClasses.from_json(data["classes"]) if data["classes"] else None,
            more_channels=tuple(map(Path, data["more_channels"])),
            channel_names=tuple(data["channel_names"]),
            root=Path(data["root"]) if data["root"] else None,
        )


class FileCases:
    """A `CaseSource` over files. Keeps the last case, so that a run of a single volume reads it once."""

    def __init__(self, cases: Iterable[CaseFiles]) -> None:
        self.files = {case.id: case for case in cases}
        self._last: tuple[str, StoredImage, Case] | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self.files)

    def load(self, case_id: str) -> Case:
        return self._loaded(case_id)[1]

    def stored(self, case_id: str) -> StoredImage:
        """The image as its file holds it; writes its like."""
        return self._loaded(case_id)[0]

    def _loaded(self, case_id: str) -> tuple[StoredImage, Case]:
        if self._last is None or self._last[0] != case_id:
            self._last = None  # let go of the old voxels before reading the new ones
            self._last = (case_id, *load_case(self.files[case_id]))
        return self._last[1:]


def load_case(files: CaseFiles) -> tuple[StoredImage, Case]:
    """Image and label layers of one case. Refusals name the file."""
    stored = channels.read(files.images)
    names = files.channel_names or (files.modality,) * len(stored.array)
    if len(names) != len(stored.array):
        raise Refused(
            f"{files.image}: {DATASET_FILE} names {len(names)} channels ({', '.join(names)}), but the case has "
            f"{len(stored.array)}; add what is missing"
        )
    owners = [file for file in stored.files for _ in file.array]
    meanings = tuple(
        Channel(file.units, file.modality or name, file.padding, channels.limits_of(file, stored.array.dtype))
        for file, name in zip(owners, names)
    )
    case = Case(
        id=files.id,
        image=stored.array,
        geometry=stored.geometry or Geometry.of_spacing((1.0, 1.0, 1.0)),
        segments=labels.read(files.label, stored) if files.label else (),
        **meanings[0].__dict__,
        warnings=stored.warnings,
        classes=files.classes.for_image(stored.array.shape[1]) if files.classes else None,
        channels=meanings if stored.channels else (),
    )
    return stored, case


def find_cases(images: Path, label_path: Path | None, label_needed: bool = True) -> list[CaseFiles]:
    """The cases of a file, a flat folder or a data set in nnU-Net's layout, sorted by id.

    Labels: a file, a folder of equal stems, beside the images, or `labelsTr`. Refuses images without a label unless
    `label_needed` is False, labels without an image, and two files that would be one case.
    """
    _refuse_missing(images)
    if label_path is not None:
        _refuse_missing(label_path)
    if images.is_file() or formats.is_series_folder(images):
        if images.is_file() and formats.ending(images) is None:
            raise Refused(f"{images}: this format is not known; give {', '.join(formats.ENDINGS)}")
        return [CaseFiles(formats.stem(images), images, _label_of_file(images, label_path, label_needed))]
    if label_path is not None and label_path.is_file():
        raise Refused(f"{label_path}: this is one label file, but {images} is a folder; give the folder of its labels")
    data_set = DataSet.at(images)
    if data_set is None:
        return _cases_in(images, label_path, label_needed)
    if label_path is None and (label_needed or data_set.labels.is_dir()):
        label_path = data_set.labels
        _refuse_missing(label_path)
    found = _cases_in(data_set.images, label_path, label_needed, data_set)
    return [replace(case, channel_names=data_set.channel_names, root=data_set.root) for case in found]


def _cases_in(
    images: Path, label_path: Path | None, label_needed: bool, data_set: DataSet | None = None
) -> list[CaseFiles]:
    """The cases of a folder; labels lie beside, or in `label_path`."""
    apart = label_path is not None and label_path.resolve() != images.resolve()
    label_files = _by_stem(_known_files(label_path)) if apart and label_path else _labels_beside(images)
    ending = data_set.file_ending if data_set else ""
    candidates = (path for path in _known_files(images) if path.name.endswith(ending))
    image_files = images_by_case(
        (path for path in candidates if apart or not _is_label_name(path)), label_files, data_set is not None
    )
    if not image_files:
        known = f"the files that {DATASET_FILE} names end with {ending}" if ending else _KNOWN
        raise Refused(f"{images}: the folder holds no image; {known}")
    _refuse_unpaired(image_files, label_files, label_needed)
    return [
        CaseFiles(case_id, first, label_files.get(case_id), more_channels=tuple(more))
        for case_id, (first, *more) in sorted(image_files.items())
    ]


def first_names(names: Iterable[str]) -> str:
    """Enough of them for a message."""
    found = sorted(names)
    return ", ".join(found[:_NAMED_IN_ERRORS]) + (", ..." if len(found) > _NAMED_IN_ERRORS else "")


def _refuse_missing(path: Path) -> None:
    if not path.exists():
        raise Refused(f"{path}: there is no such file or folder; check the path")


def _known_files(folder: Path) -> list[Path]:
    paths = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in paths if formats.ending(path) or formats.is_series_folder(path))


def _is_label_name(path: Path) -> bool:
    return formats.ending(path) == ".seg.nrrd" or formats.stem(path).endswith(LABEL_SUFFIXES)


def _image_stem(label: Path) -> str:
    stem = formats.stem(label)
    suffix = next((suffix for suffix in LABEL_SUFFIXES if stem.endswith(suffix)), "")
    return stem[: len(stem) - len(suffix)]


def _labels_beside(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in _known_files(folder):
        if _is_label_name(path):
            _add_once(found, _image_stem(path), path)
    for path in _known_files(folder):
        if path.name not in found and (inside := formats.label_in_series(path)):
            found[path.name] = inside
    return found


def _by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        _add_once(found, formats.stem(path), path)
    return found


def _add_once(found: dict[str, Path], stem: str, path: Path) -> None:
    if stem in found:
        raise Refused(
            f"{path}: lies beside {found[stem].name}, and both would be the case '{stem}'; remove or rename one"
        )
    found[stem] = path


def _label_of_file(image: Path, label_path: Path | None, needed: bool) -> Path | None:
    if label_path is not None and label_path.is_file():
        return label_path
    folder = label_path or image.parent
    stem = formats.stem(image)
    apart = folder.resolve() != image.parent.resolve()
    labels_here = _by_stem(_known_files(folder)) if apart else _labels_beside(folder)
    if label_path is None and stem not in labels_here and (inside := formats.label_in_series(image)):
        return inside
    if needed and stem not in labels_here:
        raise Refused(f"{image}: no label for it in {folder}; give its label file with --labels")
    return labels_here.get(stem)


def _refuse_unpaired(images: Mapping[str, object], label_files: Mapping[str, object], label_needed: bool) -> None:
    for what, missing in (
        ("no label", images.keys() - label_files.keys() if label_needed else ()),
        ("no image", label_files.keys() - images.keys()),
    ):
        if missing:
            count = f"{len(missing)} of {len(images.keys() | label_files.keys())} cases have {what}"
            raise Refused(f"{count}: {first_names(missing)}; every image needs a label of the same stem")
