"""The cases of a run whose images have class labels, from wherever these are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..engine.errors import Refused
from .cases import CaseFiles, find_cases, load_case
from .classes import ClassTable, class_folders, from_csv, from_folders, from_segments


def find_labeled_cases(
    images: Path,
    label_path: Path | None,
    classes: Path | None,
    class_names: Sequence[str] | None = None,
    segments_needed: bool = False,
) -> tuple[list[CaseFiles], ClassTable]:
    """The cases with their classes, and the table these come from, to be shown.

    `classes`: a CSV, or a folder `root/<label>/<case>`, which may be `images` itself; None: the segments of each slice
    are its class. Segmentations (`label_path`, or beside the images) are needed for that and where `segments_needed`.
    """
    if classes is not None and not classes.exists():
        raise Refused(f"{classes}: there is no such file or folder; check --classes")
    needed = segments_needed or classes is None
    if classes is not None and classes.is_dir() and classes.resolve() == images.resolve():
        cases = [case for folder in class_folders(images) for case in find_cases(folder, label_path, needed)]
        _refuse_same_id(cases)
    else:
        cases = find_cases(images, label_path, needed)
    file_names = {case.id: case.image.name for case in cases}
    if classes is None:
        table = from_segments(((case.id, load_case(case)[1].segments) for case in cases), class_names)
    elif classes.is_dir():
        table = from_folders(classes, file_names, class_names)
    else:
        table = from_csv(classes, file_names, class_names)
    return [replace(case, classes=table.cases[case.id]) for case in cases], table


def _refuse_same_id(cases: Sequence[CaseFiles]) -> None:
    found: dict[str, CaseFiles] = {}
    for case in cases:
        if case.id in found:
            raise Refused(f"{case.image} and {found[case.id].image} would be one case '{case.id}'; rename one of them")
        found[case.id] = case
