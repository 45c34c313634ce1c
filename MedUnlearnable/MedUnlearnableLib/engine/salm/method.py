"""The method SALM: which pixels of a case change, and how, by profile.

instant    the pattern of the class (see patterns.py) on the pixels with the largest gradient of the image itself
standard   the same pattern on the most even parts of the image, where rotated and resized copies still show it; one
           class, the one that is most often given wrongly anyway (see fallback.py), gets its pattern faint and on
           edges. A network then tells this class by the missing of all others, and takes clean images for it.
paper      error-minimizing noise under a mask by the gradient of a surrogate (see minmin.py)
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bounded_noise import BoundedNoise, advice_on_budgets
from ..case import Case, CaseSource, Classes
from ..errors import Refused
from ..method import State, Workspace
from ..progress import Progress
from ..quality import Quality, measure
from ..record import Protected
from ..streams import RandomStreams
from ..window import Windows
from ..window_rules import HuHistogram
from .fallback import coarse, fallback_class
from .minmin import Cohort, MinMin, Sample, Surrogates
from .params import SALMParams
from .patterns import ClassPatterns
from .region import evenness, gradient_magnitude, largest, sample_count, segment_region, within_windows

METHOD = "SALM"
_STATE_FORMAT = "medunlearnable-salm-state/1"
_AIR_HU = -500.0  # voxels below are no part of a CT window
_FAINT = 0.2  # share of the budget that the faint pattern takes


@dataclass(frozen=True)
class _Learned:
    """What `paper` keeps of its training."""

    cohort: Cohort
    rounds: int
    arrays: dict[str, NDArray[Any]]  # weights of the surrogates, and noise of the classes where they share it


class SALM(BoundedNoise[SALMParams]):
    """A sparse perturbation for a classification cohort.

    `fit` looks at the cohort (all profiles: class names and CT window; paper: makes the noise), `protect` does one
    case. What `protect` gives depends on the case, the state and the seed alone, never on the order of cases.
    """

    name = METHOD

    def __init__(self, params: SALMParams, streams: RandomStreams) -> None:
        super().__init__(params, streams)
        self._names: tuple[str, ...] = ()
        self._faint_class: int | None = None
        self._learned: _Learned | None = None

    def fit(self, cases: CaseSource, workspace: Workspace | None = None) -> None:
        """Takes the class names, merges the CT window, finds the class to keep faint, and for `paper` makes the noise.

        A case that cannot be read is left to `protect`, which says what is wrong with it. Raises `Refused` when no case
        has a label, and for `paper` when all show one class.
        """
        workspace = workspace or Workspace()
        if not workspace.team.leads:
            return  # the others are given what the leader has learned; noise lies where all can read it
        self._look_at(cases, workspace.progress)
        if self.params.profile == "paper":
            self._learned = self._train(cases, workspace)

    def protect(self, case: Case, workspace: Workspace | None = None) -> Protected:
        """One protected case. Refuses a case without classes, a constant image, and a budget below one level."""
        workspace = workspace or Workspace()
        started = time.perf_counter()
        classes = self._classes_of(case)
        case.refuse_constant()
        windows = self.windows(case)
        budgets = self._budgets(windows)  # refuses here, before any work
        image = self._perturbed(case, classes, windows, workspace)
        quality = measure(case.image, image, windows, workspace.progress)
        seconds, advice = time.perf_counter() - started, _advice(case, windows, budgets, quality)
        return Protected(case, image, self._record(case, windows, budgets, quality, image, seconds, advice))

    def state(self) -> State:
        """What `protect` needs for new cases: parameters, key, class names, CT window; for `paper` the surrogates."""
        header = {
            "format": _STATE_FORMAT,
            "profile": self.params.profile,
            "seed": self.streams.seed.hex(),
            "ct_window_hu": self._ct_window_hu,
            "class_names": self._names,
            "faint_class": self._faint_class,
            "params": self.params.to_json(),
        }
        if self._learned is None:
            return State(header)
        cohort = self._learned.cohort
        learned = {
            "rounds": self._learned.rounds,
            "channels": cohort.channels,
            "classes": cohort.classes,
            "several": cohort.several,
            "samples": [[sample.id, sample.sides, sample.start, sample.shown] for sample in cohort.samples],
        }
        return State({**header, "learned": learned}, self._learned.arrays)

    @classmethod
    def from_state(cls, state: State, **changes: Any) -> SALM:
        """The method as it was saved; `changes` replace single parameters (the key and what was learned stay)."""
        state.refuse_other_format(_STATE_FORMAT, METHOD)
        header = state.header
        params = replace(SALMParams.from_json(header["params"]), **changes)
        method = cls(params, RandomStreams(bytes.fromhex(header["seed"])))
        limits, learned = header["ct_window_hu"], header.get("learned")
        method._ct_window_hu = (limits[0], limits[1]) if limits else None
        method._names = tuple(header["class_names"])
        method._faint_class = header["faint_class"]
        if learned:
            samples = [
                Sample(name, tuple(sides), start, tuple(shown)) for name, sides, start, shown in learned["samples"]
            ]
            cohort = Cohort(tuple(samples), learned["channels"], learned["classes"], learned["several"])
            method._learned = _Learned(cohort, learned["rounds"], dict(state.arrays))
        return method

    def _look_at(self, cases: CaseSource, progress: Progress) -> None:
        """One pass over the cohort: names and CT window, and for `standard` the class to keep faint."""
        histogram = HuHistogram()
        samples: dict[str, list[tuple[NDArray[np.float32], int]]] = {}
        shown: set[tuple[int, ...]] = set()
        for number, case_id in enumerate(cases.ids):
            progress.step("window", number, len(cases.ids))
            case = _readable(cases, case_id)
            if case is None or case.classes is None:
                continue
            self._names = self._names or case.classes.names
            shown |= {entry for entry in case.classes.shown if entry is not None}
            if self.params.profile == "standard":
                samples[case_id] = list(_coarse_samples(case, case.classes))
            for part in case.of_one_meaning() if self.params.window.rule in ("auto", "ct") else ():
                for plane in part.image.reshape(-1, *part.image.shape[-2:]) if self._is_ct(part) else ():
                    histogram.add(plane[plane * part.units.slope + part.units.intercept > _AIR_HU], part.units)
        if not self._names:
            raise Refused("no case has a class label; give them with --classes")
        if len(shown) == 1 and self.params.profile == "paper":
            raise Refused("all cases show the same class; profile paper learns from several, give --profile instant")
        if histogram.counts.any():
            self._ct_window_hu = histogram.window_hu()
        if self.params.profile == "standard":
            self._faint_class = self._fallback_class([samples.get(case_id, []) for case_id in sorted(cases.ids)])

    def _is_ct(self, part: Case) -> bool:
        return self.params.window.rule_for(part) == "ct"

    def _fallback_class(self, samples: Sequence[Sequence[tuple[NDArray[np.float32], int]]]) -> int:
        """From the coarse samples of each case; drawn by the key where the cases are too few."""
        found = [(*sample, number) for number, of_case in enumerate(samples) for sample in of_case]
        told = fallback_class(*map(np.array, zip(*found))) if found else None
        return int(self.streams.generator("faint class").integers(len(self._names))) if told is None else told

    def _classes_of(self, case: Case) -> Classes:
        if case.classes is None:
            raise Refused("there is no class label for this case; add it to --classes")
        if self._names and case.classes.names != self._names:
            raise Refused(
                f"the classes of this case are {', '.join(case.classes.names)}, but those of the run "
                f"{', '.join(self._names)}; give the same --class-names in the same order"
            )
        if len(case.classes.names) < 2:
            raise Refused("there is one class only, so there is nothing to tell apart; name all with --class-names")
        depth = case.shape_kji[0]
        if len(case.classes.shown) not in (1, depth):
            raise Refused(f"{len(case.classes.shown)} slices have a class label, but the image has {depth} slices")
        return case.classes

    def _allowed(self, case: Case, windows: Windows) -> NDArray[np.bool_]:
        """[D, H, W], slice by slice so that memory stays small."""
        region = segment_region(case, self.params.region)
        slices = [region[k] & within_windows(case.image[:, k], windows) for k in range(case.shape_kji[0])]
        return np.stack(slices)

    def _perturbed(self, case: Case, classes: Classes, windows: Windows, workspace: Workspace) -> NDArray[Any]:
        allowed = self._allowed(case, windows)
        image = case.image.copy()
        deltas = self._noise if self.params.profile == "paper" else self._patterns
        for place, delta in deltas(case, classes, windows, allowed, workspace):
            changes = np.broadcast_to(delta, case.image[:, place].shape)
            for before, after, change, window in zip(case.image, image, changes, windows):
                after[place] = window.write_back(before[place], change, allowed[place], self.params.budget_share)
        return image

    def _patterns(
        self,
        case: Case,
        classes: Classes,
        windows: Windows,
        allowed: NDArray[np.bool_],
        workspace: Workspace,
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Of each slice with a label its number and the noise [1, H, W], the same in all channels."""
        patterns = ClassPatterns.draw(len(classes.names), self.streams.generator("patterns"), self._faint_class)
        depth, height, width = case.shape_kji
        for k in range(depth):
            workspace.progress.step("protect", k, depth)
            shown = classes.of_slice(k)
            if shown is None:
                continue
            faint = shown == (self._faint_class,)
            score_of = gradient_magnitude if faint or self.params.profile == "instant" else evenness
            score = score_of(_normalized(case, k, windows))
            mask = largest(score, allowed[k], sample_count(allowed[k], self.params.mask_share))
            epsilon = np.float32(self._faint_share(windows) if faint else self.params.budget_share)
            yield k, (epsilon * patterns.of_classes(shown, (height, width)) * mask)[np.newaxis]

    def _faint_share(self, windows: Windows) -> float:
        """The budget of the faint pattern, a fraction of the window; a step of any stored grid at least."""
        steps = ((window.quantum or 0.0) / window.width for window in windows)
        return max(_FAINT * self.params.budget_share, *steps)

    def _noise(
        self,
        case: Case,
        classes: Classes,
        windows: Windows,
        allowed: NDArray[np.bool_],
        workspace: Workspace,
    ) -> Iterator[tuple[int | slice, NDArray[np.float32]]]:
        """Of each sample with a label its place along k and the noise [C, H, W] or [C, D, H, W]."""
        if self._learned is None:
            raise Refused("profile paper protects with what it learned on a cohort; fit it, or give its --state")
        learned = self._learned
        known = learned.cohort.by_id
        trained = MinMin(self.params, learned.cohort, self.streams)
        made_here = trained.is_marked(workspace)
        surrogates: Surrogates | None = None
        units = list(_units(case, classes, self.params.min_min.unit))
        for number, (sample_id, place, shown) in enumerate(units):
            workspace.progress.step("protect", number, len(units))
            sample = known.get(sample_id)
            sides = allowed[place].shape
            if self.params.min_min.noise == "class":
                yield place, trained.in_epsilon(trained.of_class(learned.arrays, shown, sides)) * allowed[place]
            elif made_here and sample is not None and (sample.sides, sample.shown) == (sides, shown):
                stored = trained.noise(learned.rounds, workspace)[:, sample.span]
                yield place, trained.in_epsilon(stored).reshape(-1, *sides)
            else:
                surrogates = surrogates or self._saved_surrogates(learned, workspace)
                new = Sample(sample_id, sides, 0, shown)
                yield place, trained.optimize_new(surrogates, _normalized(case, place, windows), allowed[place], new)

    def _saved_surrogates(self, learned: _Learned, workspace: Workspace) -> Surrogates:
        surrogates = Surrogates(self.params, learned.cohort, self.streams, workspace.device)
        surrogates.take_up(learned.arrays)
        return surrogates

    def _train(self, cases: CaseSource, workspace: Workspace) -> _Learned:
        """Lays the cohort out in arrays of the workspace, and makes the noise."""
        cohort = self._cohort(cases, workspace.progress)
        images, allowed = cohort.images(workspace), cohort.allowed(workspace)
        for number, case_id in enumerate(cases.ids):
            workspace.progress.step("cohort", number, len(cases.ids))
            case = _readable(cases, case_id)
            if case is None or case.classes is None:
                continue
            windows = self.windows(case)
            free = self._allowed(case, windows)
            for sample_id, place, _ in _units(case, case.classes, self.params.min_min.unit):
                span = cohort.by_id[sample_id].span
                images[:, span] = _normalized(case, place, windows).reshape(cohort.channels, -1)
                allowed[span] = free[place].ravel()
        training = MinMin(self.params, cohort, self.streams)
        arrays, rounds = training.fit(workspace)
        return _Learned(cohort, rounds, arrays)

    def _cohort(self, cases: CaseSource, progress: Progress) -> Cohort:
        """Every sample of the cohort, sorted by id: what comes out does not depend on the order of the cases."""
        found: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        channels: set[int] = set()
        several = False
        for number, case_id in enumerate(cases.ids):
            progress.step("cohort", number, len(cases.ids))
            case = _readable(cases, case_id)
            if case is None or case.classes is None:
                continue
            channels.add(case.image.shape[0])
            several |= case.classes.several
            for sample_id, place, shown in _units(case, case.classes, self.params.min_min.unit):
                found[sample_id] = (case.image[0][place].shape, shown)
        if len(channels) > 1:
            raise Refused("some images are gray and some are in color; protect them in runs of their own")
        samples, start = [], 0
        for sample_id, (sides, shown) in sorted(found.items()):
            samples.append(Sample(sample_id, sides, start, shown))
            start = samples[-1].span.stop
        return Cohort(tuple(samples), channels.pop(), len(self._names), several)


def _readable(cases: CaseSource, case_id: str) -> Case | None:
    try:
        return cases.load(case_id)
    except (Refused, MemoryError):
        return None


def _coarse_samples(case: Case, classes: Classes) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Up to three slices of a case that show a single class, as `fallback_class` takes them."""
    depth = case.shape_kji[0]
    for k in sorted({depth // 4, depth // 2, 3 * depth // 4}):
        shown = classes.of_slice(k)
        if shown is not None and len(shown) == 1:
            yield coarse(case.image[:, k].astype(np.float32)), shown[0]


def _units(case: Case, classes: Classes, unit: str) -> Iterator[tuple[str, int | slice, tuple[int, ...]]]:
    """Of each labeled sample of a case its id, its place along k, and the classes it shows."""
    if unit == "volume":
        if len(classes.shown) > 1:
            raise Refused("slices have labels of their own, so the samples are slices, not whole volumes")
        shown = classes.of_slice(0)
        if shown is not None:
            yield case.id, slice(None), shown
        return
    for k in range(case.shape_kji[0]):
        shown = classes.of_slice(k)
        if shown is not None:
            yield f"{case.id}/{k}", k, shown


def _normalized(case: Case, place: int | slice, windows: Windows) -> NDArray[np.float32]:
    """[C, *sides] in [0, 1]; NaN becomes 0, and is never changed."""
    return np.nan_to_num(np.stack([window.normalize(channel[place]) for window, channel in zip(windows, case.image)]))


def _advice(case: Case, windows: Windows, budgets: Sequence[float], quality: Quality) -> tuple[str, ...]:
    """What the user may want to change or know, one sentence each."""
    assert case.classes is not None
    unlabeled = sum(case.classes.of_slice(k) is None for k in range(case.shape_kji[0]))
    advice = []
    if unlabeled:
        advice.append(
            f"{unlabeled} of {case.shape_kji[0]} slices have no class label and stay as they are: a clean copy weakens "
            "the protection of the others"
        )
    elif not quality.share_changed:
        advice.append("no voxel of the region lies in the window, so nothing was changed; check --window and --region")
    return tuple(dict.fromkeys([*advice, *advice_on_budgets(windows, budgets)]))
