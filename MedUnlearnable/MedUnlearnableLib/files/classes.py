"""Which class each case shows: from a CSV, from a folder for each class, or from the segments of its slices.

A CSV has a header, `case,label` or `case,slice,label` (slices count from 0 along k). Cases are named by their id or
file name. `a|b` stands for two labels of one sample; where any sample has two, an empty label stands for none.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.case import Classes
from ..engine.errors import Refused
from . import formats
from .volume import read_json

#: Fewer samples of a class teach a network little, and protect as little.
FEW_SAMPLES = 8
#: A segment of fewer voxels in a slice does not make the class of the slice.
LEAST_SEGMENT_VOXELS = 10
_HEADERS = (["case", "label"], ["case", "slice", "label"])
_NO_SEGMENT = "none"
_BETWEEN_LABELS = "|"


@dataclass(frozen=True)
class CaseClasses:
    """What a case shows, in places of `names`, the classes of the whole run; of the case, or of single slices."""

    names: tuple[str, ...]
    of_case: tuple[int, ...] | None = None
    of_slices: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    several: bool = False

    def for_image(self, depth: int) -> Classes:
        """As the engine wants it, of an image of so many slices. Refuses a slice that the image does not have."""
        if self.of_case is not None:
            return Classes(self.names, (self.of_case,), self.several)
        beyond = [k for k in self.of_slices if not 0 <= k < depth]
        if beyond:
            raise Refused(f"slice {beyond[0]} has a class label, but the image has the slices 0 to {depth - 1}")
        return Classes(self.names, tuple(self.of_slices.get(k) for k in range(depth)), self.several)

    def to_json(self) -> dict[str, Any]:
        of_slices = {str(k): list(shown) for k, shown in self.of_slices.items()}
        of_case = None if self.of_case is None else list(self.of_case)
        return {"names": list(self.names), "of_case": of_case, "of_slices": of_slices, "several": self.several}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CaseClasses:
        of_case = None if data["of_case"] is None else tuple(data["of_case"])
        of_slices = {int(k): tuple(shown) for k, shown in data["of_slices"].items()}
        return cls(tuple(data["names"]), of_case, of_slices, data["several"])


@dataclass(frozen=True)
class ClassTable:
    """The classes of all cases of a run, as resolved; shown before the run."""

    source: str  # where the labels come from
    names: tuple[str, ...]
    cases: Mapping[str, CaseClasses]

    @property
    def samples(self) -> dict[str, int]:
        """How many cases, or labeled slices, show each class."""
        shown = Counter(place for case in self.cases.values() for sample in _samples(case) for place in sample)
        return {name: shown[place] for place, name in enumerate(self.names)}

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each class of too few samples."""
        return tuple(
            f"class '{name}' has {count} {'sample' if count == 1 else 'samples'}; with fewer than {FEW_SAMPLES}, a "
            "class is protected poorly"
            for name, count in self.samples.items()
            if count < FEW_SAMPLES
        )

    def lines(self) -> list[str]:
        """The table, to be read."""
        width = max(map(len, self.names))
        rows = [f"  {name:{width}}  {count}" for name, count in self.samples.items()]
        return [f"classes of {len(self.cases)} cases, from {self.source}:", *rows]


def from_csv(path: Path, file_names: Mapping[str, str], class_names: Sequence[str] | None = None) -> ClassTable:
    """The classes of the cases, whose file names are given by id.

    `class_names`: all classes in their order; None: those of the table, sorted. Refuses a table that does not fit.
    """
    header, rows = _rows(path)
    by_name = {name: case_id for case_id, name in file_names.items()} | {case_id: case_id for case_id in file_names}
    labels: dict[str, dict[int | None, str]] = {}
    for line, row in rows:
        if len(row) != len(header):
            raise Refused(f"{path}, line {line}: {len(row)} values, but the header has {len(header)}")
        values = dict(zip(header, row))
        if values["case"] not in by_name:
            raise Refused(f"{path}, line {line}: there is no image of a case '{values['case']}'; check its name")
        of_case = labels.setdefault(by_name[values["case"]], {})
        place = _slice_number(values["slice"], f"{path}, line {line}") if "slice" in values else None
        if place in of_case:
            raise Refused(f"{path}, line {line}: '{values['case']}' is there twice; keep one of the two lines")
        of_case[place] = values["label"]
    return _table(path.name, labels, file_names, class_names)


def from_folders(root: Path, file_names: Mapping[str, str], class_names: Sequence[str] | None = None) -> ClassTable:
    """The class of each case is the folder `root/<label>/` that holds a file of its name or stem."""
    labels: dict[str, dict[int | None, str]] = {}
    for folder in class_folders(root):
        for path in folder.iterdir():
            case_id = next((c for c in (path.name, formats.stem(path)) if c in file_names), None)
            if case_id is None:
                continue
            if case_id in labels:
                raise Refused(f"{path}: the case '{case_id}' lies in two folders; keep one of the two files")
            labels[case_id] = {None: folder.name}
    return _table(f"the folders of {root.name}", labels, file_names, class_names)


def class_folders(root: Path) -> list[Path]:
    """The folders in `root`, one for each class. Refuses a root without any."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise Refused(f"{root}: the folder holds no folders of classes; give a CSV, or root/<label>/<case>")
    return folders


def from_segments(
    layers_by_case: Iterable[tuple[str, Sequence[NDArray[np.integer]]]], class_names: Sequence[str] | None = None
) -> ClassTable:
    """The class of each slice is the segment with most voxels in it, `none` where there are too few.

    Layers are [D, H, W] of label values. `class_names` rename the classes, `none` first.
    """
    areas = {case_id: list(_areas(layers)) for case_id, layers in layers_by_case}
    segments = sorted({segment for of_slices in areas.values() for area in of_slices for segment in area})
    own = (_NO_SEGMENT, *(f"segment {value}" if layer == 0 else f"layer {layer}, {value}" for layer, value in segments))
    names = _named(own, class_names, "the segments make", exactly=True)
    cases = {}
    for case_id, of_slices in areas.items():
        largest = [max(area, key=area.__getitem__, default=None) for area in of_slices]
        shown = {k: (0 if segment is None else 1 + segments.index(segment),) for k, segment in enumerate(largest)}
        cases[case_id] = CaseClasses(names, of_slices=shown)
    return ClassTable("the segments of each slice", names, cases)


def of_labels(labels: Mapping[str, str], class_names: Sequence[str] | None = None) -> ClassTable:
    """The classes of cases whose labels are at hand, by case id; `a|b` as in a CSV."""
    single: dict[str, dict[int | None, str]] = {case_id: {None: label} for case_id, label in labels.items()}
    return _table("the nodes", single, dict.fromkeys(labels, ""), class_names)


def names_in_state(path: Path) -> tuple[str, ...] | None:
    """The classes that a saved state was made for; None where it says nothing of classes, or is no state."""
    names = read_json(path).get("class_names")
    return tuple(names) if names else None


def _rows(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The header and the lines with their numbers, without empty ones."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            found = [(line, [value.strip() for value in row]) for line, row in enumerate(csv.reader(file), start=1)]
    except UnicodeDecodeError:
        raise Refused(f"{path}: this is not text in UTF-8; save the table as CSV UTF-8") from None
    filled = [(line, row) for line, row in found if any(row)]
    header = [value.lower() for value in filled[0][1]] if filled else []
    if header not in _HEADERS:
        raise Refused(f"{path}: the first line must be `case,label` or `case,slice,label`, not `{','.join(header)}`")
    return header, iter(filled[1:])


def _slice_number(text: str, where: str) -> int:
    if not text.isdecimal():
        raise Refused(f"{where}: '{text}' is no number of a slice; slices count from 0")
    return int(text)


def _table(
    source: str,
    labels: Mapping[str, Mapping[int | None, str]],
    cases: Iterable[str],
    class_names: Sequence[str] | None,
) -> ClassTable:
    """Checks the labels against the cases and the class names, and numbers them."""
    missing = sorted(set(cases) - set(labels))
    if missing:
        raise Refused(
            f"{source}: {len(missing)} of {len(set(cases) | set(labels))} cases have no class label, the first: "
            f"'{missing[0]}'; add it, or leave the image out"
        )
    split = {case_id: {place: _split(label) for place, label in of_case.items()} for case_id, of_case in labels.items()}
    every = [parts for of_case in split.values() for parts in of_case.values()]
    several = any(len(parts) > 1 for parts in every)
    empty = next((case_id for case_id, of_case in split.items() if not all(of_case.values())), None)
    if empty is not None and not several:
        raise Refused(f"{source}: the label of '{empty}' is empty; write it, or leave the case out")
    names = _named(sorted({part for parts in every for part in parts}), class_names, f"{source} has")
    number = {name: place for place, name in enumerate(names)}
    found = {}
    for case_id, of_case in split.items():
        shown = {place: tuple(sorted(number[part] for part in parts)) for place, parts in of_case.items()}
        of_slices = {place: numbers for place, numbers in shown.items() if place is not None}
        found[case_id] = CaseClasses(names, shown.get(None), of_slices, several)
    return ClassTable(source, names, found)


def _split(label: str) -> tuple[str, ...]:
    parts = [part.strip() for part in label.split(_BETWEEN_LABELS)]
    return tuple(part for part in dict.fromkeys(parts) if part)


def _named(
    own: Sequence[str], class_names: Sequence[str] | None, subject: str, exactly: bool = False
) -> tuple[str, ...]:
    """The classes in the order that was asked for. Refuses a single class: nothing tells it apart."""
    names = tuple(own if class_names is None else class_names)
    if len(set(names)) != len(names):
        raise Refused(f"--class-names {','.join(names)} names a class twice")
    if exactly and len(names) != len(own):
        raise Refused(f"--class-names names {len(names)} classes, but {subject} {len(own)}: {', '.join(own)}")
    unknown = () if exactly else [name for name in own if name not in names]
    if unknown:
        raise Refused(f"{subject} the class '{unknown[0]}', which --class-names leaves out; name all classes")
    if len(names) < 2:
        raise Refused(
            f"{subject} one class only, so there is nothing to tell apart; give cases of two classes, or name all "
            "classes with --class-names"
        )
    return names


def _samples(case: CaseClasses) -> list[tuple[int, ...]]:
    return [case.of_case] if case.of_case is not None else list(case.of_slices.values())


def _areas(layers: Sequence[NDArray[np.integer]]) -> Iterator[dict[tuple[int, int], int]]:
    """Of each slice the voxels of every segment (layer, value) that has enough of them."""
    for k in range(len(layers[0])):
        area: dict[tuple[int, int], int] = {}
        for number, layer in enumerate(layers):
            values, counts = np.unique(layer[k][layer[k] != 0], return_counts=True)
            area |= {(number, int(v)): int(c) for v, c in zip(values, counts) if c >= LEAST_SEGMENT_VOXELS}
        yield area
