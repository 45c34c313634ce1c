"""The method UMed: where a case changes, and how, by profile.

instant    ours: no training. It keeps UMed's idea of where and how much (contour band, interior bounded by texture) and
           replaces the trained generators by a checkerboard, the pixel Nyquist frequency, whose sign is the key
standard   ours: checkerboard or stripes, whichever attackers fall for who are trained on the cohort
           (carrier_search.py), as strong as the tissue hides it, and weaker around the segments
paper      our implementation of the published idea, as far as it is known (joint_training.py)
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bounded_noise import BoundedNoise, advice_on_budgets
from ..carrier import LAYOUTS, Carrier
from ..case import Case, CaseSource
from ..errors import Refused, UsageError
from ..masks import contour_and_interior, slabs_around
from ..method import State, Workspace
from ..progress import Progress
from ..quality import Quality, measure
from ..record import Protected
from ..streams import RandomStreams
from ..window import Windows
from ..window_rules import HuHistogram, units_of, window_of
from .carrier_search import CarrierSearch
from .cohort import Cohort, Survey
from .cost import TrainingCost, training_cost
from .joint_training import JointTraining
from .noise import TrainedNoise
from .params import METHOD, UMedParams
from .plan import SCHEDULES, Plan, free_mb, plan_training
from .region import Setup, region_of, upright
from .samples import take_samples

#: Below the noise of a routine CT (about 10 to 15 HU) a change hides; above it, it can be seen.
VISIBLE_HU = 10.0
_STATE_FORMAT = "medunlearnable-umed-state/4"
_TRAINING_FORMAT = "medunlearnable-umed-training/3"


class UMed(BoundedNoise[UMedParams]):
    """Contour and texture noise for a segmentation cohort.

    `fit` looks at the cohort (instant: only where a CT window must be merged), `protect` does one case. What `protect`
    gives depends on the case, the state and the seed alone, never on the order of cases.
    """

    name = METHOD

    def __init__(self, params: UMedParams, streams: RandomStreams) -> None:
        super().__init__(params, streams)
        self._layout: str | None = None  # of the carrier, where attackers chose it
        self._noise: TrainedNoise | None = None

    def fit(self, cases: CaseSource, workspace: Workspace | None = None) -> None:
        """Merges the CT window over the cohort; lets attackers choose the carrier, or trains generators, by profile.

        A case that cannot be read is left to `protect`, which says what is wrong with it. A training that was
        interrupted goes on from what the workspace kept. Raises `Refused` where the cohort is too small to train on.
        """
        workspace = workspace or Workspace()
        if self.params.trained:
            self._train(cases, workspace)
        elif self.params.window.rule in ("auto", "ct"):
            self._look_at(cases, None, workspace.progress)

    def training_cost(self, cases: CaseSource, workspace: Workspace) -> TrainingCost:
        """What the training of `fit` would take; merges the CT window as `fit` does. Refuses what `fit` refuses."""
        cohort, plan = self._planned(cases, workspace)
        return training_cost(cohort, plan, self.params, workspace.device)

    def protect(self, case: Case, workspace: Workspace | None = None) -> Protected:
        """One protected case. Refuses NaN or Inf under the mask, a constant image, and a budget below one level."""
        workspace = workspace or Workspace()
        started = time.perf_counter()
        if not case.segments:
            raise Refused("there is no segmentation, and UMed needs one; give the labels")
        if not case.has_foreground:
            return self._unchanged(case)
        case.refuse_constant()
        windows = self.windows(case)
        budgets = self._budgets(windows)  # refuses here, before any work
        image = self._perturbed(case, windows, workspace)
        quality = measure(case.image, image, windows, workspace.progress)
        seconds, advice = time.perf_counter() - started, _advice(case, windows, budgets, quality)
        return Protected(case, image, self._record(case, windows, budgets, quality, image, seconds, advice))

    def state(self) -> State:
        """What `protect` needs for new cases: parameters, key, CT window, and what was learned."""
        header: dict[str, Any] = {
            "format": _STATE_FORMAT,
            "profile": self.params.profile,
            "seed": self.streams.seed.hex(),
            "ct_window_hu": self._ct_window_hu,
            "params": self.params.to_json(),
            "layout": self._layout,
        }
        noise = self._noise
        if noise is None:
            return State(header)
        sizes = {"dimensions": noise.dimensions, "channels": noise.channels, "width": noise.width}
        return State({**header, "generators": sizes}, noise.weights)

    @classmethod
    def from_state(cls, state: State, **changes: Any) -> UMed:
        """The method as it was saved; `changes` replace single parameters (the key and what was learned stay)."""
        state.refuse_other_format(_STATE_FORMAT, METHOD)
        header = state.header
        params = replace(UMedParams.from_json(header["params"]), **changes)
        method = cls(params, RandomStreams(bytes.fromhex(header["seed"])))
        limits, sizes = header["ct_window_hu"], header.get("generators")
        method._ct_window_hu = (limits[0], limits[1]) if limits else None
        method._layout = header["layout"]
        if sizes:
            method._noise = TrainedNoise(**sizes, weights=state.arrays)
        return method

    def _setup(self) -> Setup:
        carrier = Carrier.draw(self.streams.generator("carrier"))
        if self._layout is not None:
            carrier = Carrier(carrier.sign, **LAYOUTS[self._layout])
        return Setup(self.params, self._ct_window_hu, carrier)

    def _look_at(self, cases: CaseSource, survey: Survey | None, progress: Progress) -> None:
        """One pass over the cohort: the CT window, and what `survey` wants to know."""
        histogram = HuHistogram()
        for number, case_id in enumerate(cases.ids):
            progress.step("window", number, len(cases.ids))
            try:
                case = cases.load(case_id)
                parts = [(part, self.params.window.rule_for(part)) for part in case.of_one_meaning()]
                for part, rule in parts if survey else ():
                    if rule != "ct":
                        window_of(part, self.params.window, None).budget(self.params.budget_share)
            except (Refused, MemoryError):
                if survey:
                    survey.skip()
                continue
            for part in (part for part, rule in parts if rule == "ct"):
                for region in self._regions(part):
                    progress.step("window", number, len(cases.ids))
                    histogram.add(region, part.units)
            if survey and case.has_foreground:
                survey.add(upright(case))
            elif survey:
                survey.skip()
        if histogram.counts.any():
            self._ct_window_hu = histogram.window_hu()

    def _regions(self, case: Case) -> Iterator[NDArray[Any]]:
        """Stored values under segments and contour, slab by slab."""
        radius = self._setup().radius(case)
        for slab in slabs_around(case.segments, radius) if case.segments else ():
            contour, interior = contour_and_interior([layer[slab.halo] for layer in case.segments], radius)
            region = (contour | interior)[slab.inner]
            yield from (channel[slab.core][region] for channel in case.image)

    def _planned(self, cases: CaseSource, workspace: Workspace) -> tuple[Cohort, Plan]:
        """From a look at all cases, which also merges the CT window."""
        survey = Survey()
        self._look_at(cases, survey, workspace.progress)
        cohort = survey.cohort(SCHEDULES[self.params.profile].as_volumes)
        return cohort, plan_training(cohort, self.params, workspace.device, free_mb(workspace.device))

    def _train(self, cases: CaseSource, workspace: Workspace) -> None:
        kept = workspace.kept()
        if kept is None:
            cohort, plan = self._planned(cases, workspace)
        else:
            kept.refuse_other_format(_TRAINING_FORMAT, METHOD)
            limits = kept.header["ct_window_hu"]
            self._ct_window_hu = (limits[0], limits[1]) if limits else None
            cohort, plan = Cohort.from_json(kept.header["cohort"]), Plan.from_json(kept.header["plan"])
        training = self._training(cohort, plan, workspace)
        if kept is not None:
            training.load(kept)
        if not training.is_over:
            samples = take_samples(
                cases, cohort, plan, self._setup(), self.streams.generator("umed samples"), workspace
            )
            header = {
                "format": _TRAINING_FORMAT,
                "ct_window_hu": self._ct_window_hu,
                "cohort": cohort.to_json(),
                "plan": plan.to_json(),
            }
            if kept is None and workspace.team.size > 1:  # what the others begin with
                workspace.keep(training.state().below(header))
            with workspace.team.together(workspace.device):
                training.run(samples, workspace, header)
        if isinstance(training, CarrierSearch):
            self._layout = training.layout
        else:
            self._noise = training.noise()

    def _training(self, cohort: Cohort, plan: Plan, workspace: Workspace) -> CarrierSearch | JointTraining:
        share, device, team = self.params.budget_share, workspace.device, workspace.team
        if self.params.profile == "standard":
            return CarrierSearch(plan, share, device, team)
        return JointTraining(cohort, plan, share, self.streams, device, team)

    def _perturbed(self, case: Case, windows: Windows, workspace: Workspace) -> NDArray[Any]:
        image = case.image.copy()
        case, after = upright(case), upright(replace(case, image=image)).image
        setup, share, noise = self._setup(), self.params.budget_share, self._noise
        if self.params.trained and self._layout is None and noise is None:
            raise UsageError(f"profile {self.params.profile} needs `fit`, or a saved state, before `protect`")
        radius = setup.radius(case)
        slabs = list(slabs_around(case.segments, radius) if noise is None else noise.slabs(case, radius))
        scale = None if noise is None else noise.scale(case, windows)
        for number, slab in enumerate(slabs):
            workspace.progress.step("protect", number, len(slabs))
            region = region_of(case, windows, slab, radius)
            pattern: NDArray[Any]
            if noise is None or scale is None:
                texture = region.hides_stripes(self.params)[slab.inner] if setup.carrier.has_stripes else 1.0
                pattern = setup.carrier.pattern(slab.core, case.geometry.spacing_kji, case.shape_kji, texture)
            else:
                pattern = noise.of(case, region, scale, workspace.device)
            bound = np.float32(share) * region.bound(self.params)[slab.inner]
            deltas = np.broadcast_to(bound * pattern, (len(after), *bound.shape))
            for stored, changed, delta, window in zip(case.image, after, deltas, windows):
                _refuse_not_finite(stored[slab.core], bound)
                changed[slab.core] = window.write_back(stored[slab.core], delta, bound > 0, share)
        return image

    def _unchanged(self, case: Case) -> Protected:
        warning = (
            "no segment holds a voxel, so the case stays as it is: a clean copy weakens the protection of the others"
        )
        nothing = Quality(psnr_db=None, ssim=1.0, max_change=0.0, share_changed=0.0)
        return Protected(case, case.image, self._record(case, (), [], nothing, case.image, 0.0, (warning,)))


def _advice(case: Case, windows: Windows, budgets: Sequence[float], quality: Quality) -> tuple[str, ...]:
    """What the user may want to change, one sentence each."""
    if not quality.share_changed:
        return ("no voxel under the segments lies in the window, so nothing was changed; check --window",)
    advice = list(advice_on_budgets(windows, budgets))
    for part, budget in zip(case.of_one_meaning(), budgets):
        budget_hu = budget * abs(part.units.slope)
        if units_of(part) == "HU" and budget_hu > VISIBLE_HU:
            advice.append(
                f"the budget is {budget_hu:g} HU, because the segments reach from air or fat to bone; such a change "
                "can be seen in a narrow display window: give a narrower --window, or fewer segments"
            )
    return tuple(dict.fromkeys(advice))


def _refuse_not_finite(stored: NDArray[Any], bound: NDArray[np.float32]) -> None:
    if not np.issubdtype(stored.dtype, np.integer) and not np.isfinite(stored[bound > 0]).all():
        raise Refused(
            "a voxel under the segments or their contour is NaN or Inf; repair the image or change the segments"
        )
