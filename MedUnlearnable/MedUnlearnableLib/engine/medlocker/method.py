"""The method: target models and a search for the cohort, then one case at a time, confirmed on what is written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..case import Case, CaseSource
from ..errors import Refused
from ..method import State, Workspace
from ..quality import measure
from ..record import Protected, Record
from ..streams import RandomStreams
from ..window import Windows
from .candidates import Site
from .cohort import label_of, predictions
from .gradcam import looked_at
from .lesions import Box, boxes_of_plane
from .marking import MarkedSpot, marked_image, overlap_voxels, secrets_of
from .params import METHOD, MedLockerParams
from .pool import TargetPool
from .search import Found, SearchSettings, search
from .spots import Spot, known_boxes, planes_of, scored_slices, slabs, spots_of, windows_of_case
from .targets import TargetModel

_STATE_FORMAT = "medunlearnable-medlocker/1"
_SPOTS_AT_ONCE = 32
#: A model that is hardly better than always naming the most frequent class says nothing about a mark.
_BETTER_THAN_CHANCE = 0.1

Boxes = dict[int, list[Box]]


@dataclass(frozen=True)
class _Layout:
    """A case before the search."""

    case: Case
    windows: Windows
    boxes: Boxes
    spots: list[Spot]
    warnings: list[str]


class MedLocker:
    """A visible mark for classification data.

    `fit` loads or trains the target models, checks their clean accuracy and searches the marks of all cases, many at
    once; `protect` puts them into one case. A case that `fit` did not see is searched then.
    """

    def __init__(self, params: MedLockerParams, streams: RandomStreams, targets: Sequence[TargetModel] = ()) -> None:
        """`targets`: models that are there already, such as `TargetModel.of_scores`; a state does not keep them."""
        self.params = params
        self.streams = streams
        self.pool = TargetPool(params, streams, targets)
        self._found: dict[str, Found] = {}  # by name of the spot

    def fit(self, cases: CaseSource, workspace: Workspace | None = None) -> None:
        """Target models first, and what they can do; then the marks of all cases.

        A case that cannot be read is left to `protect`, which says what is wrong with it. Raises Refused where there
        is neither a model nor a labeled case to train one on.
        """
        if self.params.profile == "instant":
            return
        workspace = workspace or Workspace()
        if (kept := workspace.kept()) is not None:
            self._take_up(kept)
        self.pool.prepare(cases, workspace, lambda: workspace.keep(self.state()))
        waiting: list[Site] = []
        for number, case_id in enumerate(cases.ids):
            workspace.progress.step("place marks", number, len(cases.ids))
            try:
                layout = self._layout(cases.load(case_id), workspace.device)
            except (Refused, MemoryError):
                continue
            waiting += [site for site in self._sites(layout, workspace.device) if site.name not in self._found]
            if len(waiting) >= _SPOTS_AT_ONCE:
                self._search(waiting, workspace)
                waiting = []
                workspace.keep(self.state())
        self._search(waiting, workspace)

    def protect(self, case: Case, workspace: Workspace | None = None) -> Protected:
        """One marked case. Refuses a constant image and one whose lesions leave no room for a logo."""
        workspace = workspace or Workspace()
        started = time.perf_counter()
        case.refuse_constant()
        if self.params.profile == "instant":
            layout = self._layout(case, "")
            image, marked, report = self._random(layout)
        else:
            self.pool.load(workspace.device)
            layout = self._layout(case, workspace.device)
            image, marked, report = self._optimized(layout, workspace)
        report["lesion_overlap_voxels"] = overlap_voxels(marked, layout.boxes, case.shape_kji[1:])
        record = self._record(layout, image, report, workspace)
        record = replace(record, seconds=time.perf_counter() - started)
        return Protected(case, image, record, secrets={"marks": secrets_of(marked)})

    def windows(self, case: Case) -> Windows:
        """The window of each channel, by which the logo's brightness is chosen."""
        return windows_of_case(case, self.params.window)

    def state(self) -> State:
        """Parameters, key, target models that were trained, and the marks that were found."""
        header = {
            "format": _STATE_FORMAT,
            "profile": self.params.profile,
            "seed": self.streams.seed.hex(),
            "params": self.params.to_json(),
            "pool": self.pool.header(),
            "found": {name: found.to_json() for name, found in self._found.items()},
        }
        return State(header, self.pool.arrays())

    @classmethod
    def from_state(cls, state: State, **changes: Any) -> MedLocker:
        """The method as it was saved; `changes` replace single parameters. Given models are loaded when needed."""
        state.refuse_other_format(_STATE_FORMAT, METHOD)
        params = replace(MedLockerParams.from_json(state.header["params"]), **changes)
        method = cls(params, RandomStreams(bytes.fromhex(state.header["seed"])))
        method._take_up(state)
        return method

    def _take_up(self, state: State) -> None:
        self.pool.take_up(state.header["pool"], dict(state.arrays))
        self._found = {name: Found.from_json(data) for name, data in state.header["found"].items()}

    def _layout(self, case: Case, device: str) -> _Layout:
        windows = self.windows(case)
        boxes, warnings = self._boxes(case, windows, device)
        spots, missing = spots_of(case, windows, boxes, self.params, self.streams)
        return _Layout(case, windows, boxes or {}, spots, warnings + missing)

    def _boxes(self, case: Case, windows: Windows, device: str) -> tuple[Boxes | None, list[str]]:
        """What is to be kept free, and what the owner has to know of it."""
        boxes = known_boxes(case, self.params)
        if self.params.lesions == "off":
            return boxes, ["lesions are not kept free: a mark may hide one"]
        if self.params.lesions == "inside":
            return boxes, ["the marks stand on the lesions, which cannot be judged any more"]
        if boxes is not None:
            return boxes, []
        boxes = None if self.params.profile == "instant" else self._looked_at(case, windows, device)
        if boxes is None:
            return None, ["no lesion is known of this case, so a mark may hide one; give segments or boxes"]
        return boxes, ["lesions are guessed from where the model looks (Grad-CAM); give segments or boxes instead"]

    def _looked_at(self, case: Case, windows: Windows, device: str) -> Boxes | None:
        """Boxes around what the first model looks at; slices between those it looked at get the boxes of the next."""
        model, shape = self.pool.models[0], case.shape_kji[1:]
        found: Boxes = {}
        for slab in slabs(case, None, self.params):
            slices = scored_slices(slab)
            planes = planes_of(case.image, slices, windows, self.pool.size)
            label = label_of(case, slices)
            number = int(predictions(model, planes, device).mean(axis=0).argmax())
            masks = looked_at(model, planes, number if label is None else model.class_number(label), device)
            if masks is None:
                return None
            scale = (planes.shape[2] / shape[0], planes.shape[3] / shape[1])
            for k in slab:
                mask = masks[int(np.argmin(np.abs(np.array(slices) - k)))]
                found[k] = [_stored(box, scale) for box in boxes_of_plane([mask], 0.0, (1.0, 1.0))]
        return found

    def _sites(self, layout: _Layout, device: str) -> list[Site]:
        sites = []
        for spot in layout.spots:
            site = spot.site(layout.case, layout.windows, 0, self.pool.size)
            label = label_of(layout.case, spot.scored)
            model = self.pool.models[0]
            number = (
                int(predictions(model, site.planes, device).mean(axis=0).argmax())
                if label is None
                else model.class_number(label)
            )
            sites.append(replace(site, label=number))
        return sites

    def _search(self, sites: Sequence[Site], workspace: Workspace) -> None:
        if sites:
            settings = SearchSettings(logos=self.params.logos)
            found = search(sites, self.pool.models, settings, self.streams, workspace.device, workspace.progress)
            self._found |= {site.name: one for site, one in zip(sites, found)}

    def _random(self, layout: _Layout) -> tuple[NDArray[Any], list[MarkedSpot], dict[str, Any]]:
        random = self.streams.generator(f"places {layout.case.id}")
        marked = [(spot, spot.random_marks(random, SearchSettings().opacity)) for spot in layout.spots]
        layout.warnings.append("the place of the mark is random, not optimized: profile instant knows no model")
        return marked_image(layout.case, marked, layout.windows, self.params.mode, self.streams), marked, {}

    def _optimized(
        self, layout: _Layout, workspace: Workspace
    ) -> tuple[NDArray[Any], list[MarkedSpot], dict[str, Any]]:
        """The marks that were found, confirmed on the integers that are written: else the next rung of the ladder."""
        sites = self._sites(layout, workspace.device)
        self._search([site for site in sites if site.name not in self._found], workspace)
        found = [self._found[site.name] for site in sites]
        rungs = [0] * len(sites)
        forwards = [one.forwards for one in found]
        while True:
            marked = [(spot, one.ladder[rung]) for spot, one, rung in zip(layout.spots, found, rungs)]
            image = marked_image(layout.case, marked, layout.windows, self.params.mode, self.streams)
            wrong = self._misleads(layout, image, sites, workspace.device)
            forwards = [count + len(self.pool.models) for count in forwards]
            lost = [n for n, one in enumerate(found) if not wrong[n] and rungs[n] + 1 < len(one.ladder)]
            if not lost:
                break
            for number in lost:
                rungs[number] += 1
        layout.warnings.extend(self._advice(sum(wrong), len(wrong)))
        report = {
            "spots": len(wrong),
            "misled_spots": sum(wrong),
            "wrong_before": sum(one.clean_margin < 0 for one in found),
            "forwards": sum(forwards),
            "clean_accuracy": self.pool.accuracy,
            "models": [model.sha256 for model in self.pool.models],
        }
        return image, marked, report

    def _misleads(self, layout: _Layout, image: NDArray[Any], sites: list[Site], device: str) -> list[bool]:
        """Whether every model names another class for each spot, seen through its true preprocessing."""
        windows = self.windows(replace(layout.case, image=image))
        wrong = []
        for spot, site in zip(layout.spots, sites):
            planes = planes_of(image, spot.scored, windows, self.pool.size)
            named = [predictions(model, planes, device).mean(axis=0).argmax() for model in self.pool.models]
            wrong.append(all(int(name) != site.label for name in named))
        return wrong

    def _advice(self, misled: int, spots: int) -> list[str]:
        advice = []
        if misled < spots:
            advice.append(f"the models still name the right class for {spots - misled} of {spots} places of marks")
        if not self.pool.accuracy:
            advice.append("no case has a label, so nobody knows what the models are worth on clean images")
        for name, share in self.pool.accuracy.items():
            if share < self.pool.chance + _BETTER_THAN_CHANCE:
                advice.append(
                    f"the model {name} names {share:.0%} of clean images rightly, always the most frequent class "
                    f"{self.pool.chance:.0%}: that it fails says little"
                )
        return advice

    def _record(self, layout: _Layout, image: NDArray[Any], report: dict[str, Any], workspace: Workspace) -> Record:
        case, windows = layout.case, layout.windows
        quality = measure(case.image, image, windows, workspace.progress)
        return Record.of(
            case,
            image,
            windows,
            quality.channel_changes,  # a visible mark has no budget
            quality,
            method=METHOD,
            profile=self.params.profile,
            parameters={**self.params.public, **report},
            seed_id=self.streams.seed_id,
            seconds=0.0,
            warnings=layout.warnings,
            burned_in=True,
        )


def _stored(box: Box, scale: tuple[float, float]) -> Box:
    """A box in pixels of the model as one in stored pixels that covers it."""
    x0, y0, x1, y1 = box
    return int(x0 / scale[1]), int(y0 / scale[0]), -int(-x1 // scale[1]), -int(-y1 // scale[0])
