"""Originals and their protected copies, paired by case id, for the Audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engine.case import Case
from ..engine.errors import Refused
from ..engine.record import Record
from .cases import CaseFiles, find_cases, first_names, load_case
from .labeled_cases import find_labeled_cases
from .outputs import RECORD_ENDING
from .volume import read_json


@dataclass(frozen=True)
class Pair:
    """One case twice. `record`: the file beside the protected image, if there is one."""

    clean: CaseFiles
    protected: CaseFiles
    record: Path | None

    def load(self) -> tuple[Case, Case, Record | None]:
        """Reads both images anew. Refuses images of different size, and a damaged record."""
        _, clean = load_case(self.clean)
        _, protected = load_case(self.protected)
        if clean.image.shape != protected.image.shape:
            raise Refused(
                f"{self.protected.image}: has {protected.image.shape[1:]} voxels (k, j, i) and "
                f"{len(protected.image)} channels, but its original {clean.image.shape[1:]} and {len(clean.image)}; "
                "compare it with the image it was made from"
            )
        return clean, protected, None if self.record is None else _read_record(self.record)

    def to_json(self) -> dict[str, Any]:
        record = str(self.record) if self.record else None
        return {"clean": self.clean.to_json(), "protected": self.protected.to_json(), "record": record}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pair:
        record = Path(data["record"]) if data["record"] else None
        return cls(CaseFiles.from_json(data["clean"]), CaseFiles.from_json(data["protected"]), record)


@dataclass(frozen=True)
class Pairs:
    """The pairs in the order of their ids. `unpaired`: ids that have no partner on the other side."""

    pairs: tuple[Pair, ...]
    unpaired: tuple[str, ...] = ()


def find_pairs(clean: Path, protected: Path, labels: Path | None, classes: Path | None) -> Pairs:
    """The originals at `clean` and their copies at `protected`: two files, or two folders with equal stems.

    Labels: as given, or beside the originals, or in the folder `labels` of the protected ones. `classes`: as for SALM.
    Refuses when nothing pairs.
    """
    originals = _originals(clean, protected, labels, classes)
    copies = {case.id: case for case in find_cases(protected, None, label_needed=False)}
    if clean.is_file() and protected.is_file():
        copies = dict(zip((originals[0].id,), copies.values()))
    by_id = {case.id: case for case in originals}
    paired = [_pair(case, copies[case_id]) for case_id, case in sorted(by_id.items()) if case_id in copies]
    if not paired:
        raise Refused(
            f"no image of {clean} has a protected copy of the same stem in {protected}; it holds {first_names(copies)}"
        )
    return Pairs(tuple(paired), tuple(sorted(by_id.keys() ^ copies.keys())))


def _originals(clean: Path, protected: Path, labels: Path | None, classes: Path | None) -> list[CaseFiles]:
    if classes is not None:
        return find_labeled_cases(clean, labels, classes)[0]
    cases = find_cases(clean, labels, label_needed=labels is not None)
    copied = protected / "labels"
    if labels is None and copied.is_dir() and not any(case.label for case in cases):
        return find_cases(clean, copied)
    return cases


def _pair(clean: CaseFiles, protected: CaseFiles) -> Pair:
    """The copy means what its original means; a file format may have no place for it."""
    record = protected.image.with_name(f"{protected.id}{RECORD_ENDING}")
    meant = CaseFiles(
        protected.id,
        protected.image,
        None,
        clean.modality,
        more_channels=protected.more_channels,
        channel_names=clean.channel_names,
    )
    return Pair(clean, meant, record if record.exists() else None)


def _read_record(path: Path) -> Record:
    data = read_json(path)
    try:
        return Record.from_json(data)
    except (KeyError, TypeError):
        raise Refused(f"{path}: the record is damaged; take a copy of it, or remove it to compare without") from None
