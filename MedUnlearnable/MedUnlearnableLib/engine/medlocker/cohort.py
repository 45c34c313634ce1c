"""Labeled slices of a cohort: what target models are trained on, and what they are tested on before they are used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..case import Case, CaseSource
from ..errors import Refused
from ..method import Workspace
from ..streams import RandomStreams
from .params import MedLockerParams
from .spots import known_boxes, planes_of, scored_slices, slabs, windows_of_case
from .targets import TargetModel

#: One case in so many is kept from training, to test the models on.
HELD_OUT = 5
#: More do not make a small network better, and have to be held in memory.
MOST_PLANES = 4000
_BATCH = 64


@dataclass(frozen=True)
class LabeledPlanes:
    """planes [N, C, h, w] in [0, 1], the class of each by name, and the case it is from."""

    planes: NDArray[np.float32]
    labels: tuple[str, ...]
    cases: tuple[str, ...]
    names: tuple[str, ...]  # all classes

    def of_cases(self, wanted: Iterable[str]) -> LabeledPlanes:
        known = set(wanted)
        picked = [index for index, case in enumerate(self.cases) if case in known]
        return LabeledPlanes(
            self.planes[picked], tuple(self.labels[i] for i in picked), tuple(self.cases[i] for i in picked), self.names
        )


def label_of(case: Case, slices: Sequence[int]) -> str | None:
    """The class that most of the slices show; None without labels, or where a slice may show several."""
    if case.classes is None or case.classes.several:
        return None
    shown = [case.classes.of_slice(number) for number in slices]
    counts = Counter(one[0] for one in shown if one)
    return case.classes.names[counts.most_common(1)[0][0]] if counts else None


def labeled_planes(
    cases: CaseSource, params: MedLockerParams, size: tuple[int, int], streams: RandomStreams, workspace: Workspace
) -> LabeledPlanes | None:
    """The slices of labeled cases that a mark would be judged on; None if no case has a label.

    Of cohorts that are too large to be held, cases that the key picks.
    """
    planes: list[NDArray[np.float32]] = []
    labels: list[str] = []
    origins: list[str] = []
    names: tuple[str, ...] = ()
    order = streams.generator("labeled cases").permutation(len(cases.ids))
    for number, case_id in enumerate(cases.ids[index] for index in order):
        if len(labels) >= MOST_PLANES:
            break
        workspace.progress.step("read labeled cases", number, len(cases.ids))
        try:
            case = cases.load(case_id)
            windows = windows_of_case(case, params.window)
        except (Refused, MemoryError):
            continue  # `protect` says what is wrong with it
        for slab in slabs(case, known_boxes(case, params), params):
            slices = [k for k in scored_slices(slab) if label_of(case, [k]) is not None]
            if slices and case.classes is not None:
                names = case.classes.names
                planes.append(planes_of(case.image, slices, windows, size))
                labels += [label_of(case, [k]) or "" for k in slices]
                origins += [case_id] * len(slices)
    if not planes:
        return None
    if len({one.shape[1] for one in planes}) > 1:
        raise Refused("some labeled images are gray and some are colored; protect them in two runs")
    return LabeledPlanes(np.concatenate(planes), tuple(labels), tuple(origins), names)


def split(data: LabeledPlanes, streams: RandomStreams) -> tuple[LabeledPlanes, LabeledPlanes]:
    """Cases to train on, and every fifth case, as the key has it, to test on."""
    cases = list(dict.fromkeys(data.cases))
    order = streams.generator("held out cases").permutation(len(cases))
    held_out = {cases[index] for index in order[: len(cases) // HELD_OUT]}
    return data.of_cases(set(cases) - held_out), data.of_cases(held_out)


def accuracy(model: TargetModel, data: LabeledPlanes, device: str) -> float:
    """Share of the planes that the model names rightly."""
    truth = np.array([model.class_number(label) for label in data.labels])
    return float((predictions(model, data.planes, device).argmax(axis=1) == truth).mean())


def predictions(model: TargetModel, planes: NDArray[np.float32], device: str) -> NDArray[np.float32]:
    """Logits [N, classes]."""
    import torch

    with torch.no_grad():
        parts = [model(part.to(device)).float().cpu() for part in torch.from_numpy(planes).split(_BATCH)]
    return torch.cat(parts).numpy()
