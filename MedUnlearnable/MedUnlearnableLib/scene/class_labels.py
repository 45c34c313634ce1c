"""The class of each case of the scene: given with it, an attribute of its volume, or its segments slice by slice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..engine.errors import Refused
from ..files.cases import CaseFiles, load_case
from ..files.classes import from_segments, names_in_state, of_labels
from .sample_nodes import LABEL_ATTRIBUTE
from .scene_case import SceneCase


def with_classes(
    files: Sequence[CaseFiles],
    cases: Mapping[str, SceneCase],
    class_names: Sequence[str] | None,
    state: Path | None,
) -> list[CaseFiles]:
    """The exported cases with their classes. Where no case has a label, the segments of each slice are its class.

    `class_names`: all classes in their order; None: those of the saved state, if there is one, else of the cases.
    """
    names = class_names or (names_in_state(state) if state else None)
    labels = {case_id: _label_of(case) for case_id, case in cases.items()}
    if not any(labels.values()) and all(case.label is not None for case in files):
        table = from_segments(((case.id, load_case(case)[1].segments) for case in files), names)
    else:
        for case_id, label in labels.items():
            if not label:
                raise Refused(
                    f"volume '{cases[case_id].volumeNode.GetName()}' has no class label; give it as `label`, or set "
                    f"the attribute {LABEL_ATTRIBUTE} of the volume"
                )
        table = of_labels({case_id: label for case_id, label in labels.items() if label}, names)
    return [replace(case, classes=table.cases[case.id]) for case in files]


def has_label(cases: Iterable[SceneCase]) -> bool:
    """Whether any case says of itself which class it shows."""
    return any(_label_of(case) for case in cases)


def _label_of(case: SceneCase) -> str | None:
    return case.label or case.volumeNode.GetAttribute(LABEL_ATTRIBUTE)
