"""UMed: contour- and texture-aware perturbation of segmentation data sets (Lin et al., arXiv 2403.14250).

Profile `instant` is ours: no training. It keeps UMed's idea of where and how much (contour band, interior bounded by
texture) and replaces the trained generators by a checkerboard, the pixel Nyquist frequency, whose sign is the key.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from .carrier import Carrier
from .case import Case, CaseSource
from .errors import Refused, UsageError
from .masks import Radius, Slab, contour_and_interior, contour_radius, local_binary_texture, slabs_around
from .method import State, Workspace
from .progress import Progress
from .quality import Quality, measure
from .record import Protected, Record, voxels_sha256
from .streams import RandomStreams
from .window import FEW_LEVELS, IntensityWindow
from .window_rules import HuHistogram, WindowSetting, units_of, window_of

METHOD = "UMed"
PROFILES = ("instant",)
#: Default budget by profile, a fraction of the window.
DEFAULT_EPSILON = {"instant": 3 / 255}
#: Smallest texture bound, as a share of epsilon. 0 would leave smooth tissue unprotected.
TEXTURE_FLOOR = 0.5
#: Below the noise of a routine CT (about 10 to 15 HU) a change hides; above it, it can be seen.
VISIBLE_HU = 10.0
_STATE_FORMAT = "medunlearnable-umed-state/1"


@dataclass(frozen=True)
class UMedParams:
    """epsilon: fraction of the window; contour_mm: half-width of the contour band, None = three finest pixels."""

    profile: str = "instant"
    epsilon: float | None = None  # None: the profile's default
    window: WindowSetting = field(default_factory=WindowSetting)
    contour_mm: float | None = None
    texture_floor: float = TEXTURE_FLOOR

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise UsageError(
                f"--profile {self.profile} is unknown; this version of UMed has: auto, {', '.join(PROFILES)}"
            )
        if self.epsilon is None:
            object.__setattr__(self, "epsilon", DEFAULT_EPSILON[self.profile])
        if not 0 < self.budget_share <= 1:
            raise UsageError(
                f"--epsilon {self.budget_share * 255:g} is out of range; give a number above 0, at most 255"
            )

    @property
    def budget_share(self) -> float:
        """epsilon, filled in."""
        assert self.epsilon is not None
        return self.epsilon


class UMed:
    """Contour and texture noise for a segmentation cohort.

    `fit` looks at the cohort (instant: only where a CT window must be merged), `protect` does one case. What `protect`
    gives depends on the case, the state and the seed alone, never on the order of cases.
    """

    def __init__(self, params: UMedParams, streams: RandomStreams) -> None:
        self.params = params
        self.streams = streams
        self._ct_window_hu: tuple[float, float] | None = None

    def fit(self, cases: CaseSource, workspace: Workspace | None = None) -> None:
        """Merges the CT window over the cohort; other windows need no look at the cohort.

        A case that cannot be read is left to `protect`, which says what is wrong with it.
        """
        progress = (workspace or Workspace()).progress
        histogram = HuHistogram()
        if self.params.window.rule not in ("auto", "ct"):
            return
        for number, case_id in enumerate(cases.ids):
            progress.step("window", number, len(cases.ids))
            try:
                case = cases.load(case_id)
            except (Refused, MemoryError):
                continue
            if self.params.window.rule_for(case) == "ct":
                for region in self._regions(case):
                    progress.step("window", number, len(cases.ids))
                    histogram.add(region, case.units)
        if histogram.counts.any():
            self._ct_window_hu = histogram.window_hu()

    def protect(self, case: Case, workspace: Workspace | None = None) -> Protected:
        """One protected case. Refuses NaN or Inf under the mask, a constant image, and a budget below one level."""
        progress = (workspace or Workspace()).progress
        started = time.perf_counter()
        if not case.segments:
            raise Refused("there is no segmentation, and UMed needs one; give the labels")
        if not case.has_foreground:
            return self._unchanged(case)
        if all(channel.min() == channel.max() for channel in case.image):
            raise Refused("the image is constant, so there is nothing to protect; leave it out")
        window = window_of(case, self.params.window, self._ct_window_hu)
        budget = window.budget(self.params.budget_share)  # refuses here, before any work
        image = self._perturbed(case, window, progress)
        quality = measure(case.image, image, window, progress)
        record = self._record(case, window, budget, quality, image, time.perf_counter() - started)
        return Protected(case, image, record)

    def budget_physical(self, case: Case) -> float:
        """The largest change of a voxel in physical units, after `fit`. Refuses what `protect` refuses."""
        window = window_of(case, self.params.window, self._ct_window_hu)
        return window.budget(self.params.budget_share) * abs(case.units.slope)

    def state(self) -> State:
        """What `protect` needs for new cases: parameters, key and CT window."""
        return State(
            {
                "format": _STATE_FORMAT,
                "profile": self.params.profile,
                "seed": self.streams.seed.hex(),
                "ct_window_hu": self._ct_window_hu,
                "params": {**asdict(self.params), "window": str(self.params.window)},
            }
        )

    @classmethod
    def from_state(cls, state: State, **changes: Any) -> UMed:
        """The method as it was saved; `changes` replace single parameters (the key and the CT window stay)."""
        state.refuse_other_format(_STATE_FORMAT, METHOD)
        header = state.header
        saved = {**header["params"], "window": WindowSetting.parse(header["params"]["window"])}
        method = cls(replace(UMedParams(**saved), **changes), RandomStreams(bytes.fromhex(header["seed"])))
        limits = header["ct_window_hu"]
        method._ct_window_hu = (limits[0], limits[1]) if limits else None
        return method

    def _radius(self, case: Case) -> Radius:
        return contour_radius(case.geometry.spacing_kji, case.shape_kji, self.params.contour_mm)

    def _regions(self, case: Case) -> Iterator[NDArray[Any]]:
        """Stored values under segments and contour, slab by slab."""
        radius = self._radius(case)
        for slab in slabs_around(case.segments, radius) if case.segments else ():
            contour, interior = contour_and_interior([layer[slab.halo] for layer in case.segments], radius)
            region = (contour | interior)[slab.inner]
            yield from (channel[slab.core][region] for channel in case.image)

    def _perturbed(self, case: Case, window: IntensityWindow, progress: Progress) -> NDArray[Any]:
        radius = self._radius(case)
        carrier = Carrier.draw(self.streams.generator("carrier"))
        slabs = list(slabs_around(case.segments, radius))
        image = case.image.copy()
        for number, slab in enumerate(slabs):
            progress.step("protect", number, len(slabs))
            bound = self._bound(case, window, slab, radius)
            delta = bound * carrier.pattern(slab.core, case.geometry.spacing_kji, case.shape_kji)
            for before, after in zip(case.image, image):
                _refuse_not_finite(before[slab.core], bound)
                after[slab.core] = window.write_back(before[slab.core], delta, bound > 0, self.params.budget_share)
        return image

    def _bound(self, case: Case, window: IntensityWindow, slab: Slab, radius: Radius) -> NDArray[np.float32]:
        """Largest |delta| per voxel of the slab's core: epsilon on the contour, epsilon * texture in the interior."""
        contour, interior = contour_and_interior([layer[slab.halo] for layer in case.segments], radius)
        gray = np.mean([window.normalize(channel[slab.halo]) for channel in case.image], axis=0)
        texture = np.maximum(local_binary_texture(gray), np.float32(self.params.texture_floor))
        bound = np.where(contour, np.float32(1), np.where(interior, texture, np.float32(0)))
        return np.float32(self.params.budget_share) * bound[slab.inner]

    def _unchanged(self, case: Case) -> Protected:
        warning = (
            "no segment holds a voxel, so the case stays as it is: a clean copy weakens the protection of the others"
        )
        nothing = Quality(psnr_db=None, ssim=1.0, max_change=0.0, share_changed=0.0)
        record = self._record(case, None, 0.0, nothing, case.image, 0.0, (warning,))
        return Protected(case, case.image, replace(record, state="unchanged"))

    def _record(
        self,
        case: Case,
        window: IntensityWindow | None,
        budget: float,
        quality: Quality,
        image: NDArray[Any],
        seconds: float,
        warnings: tuple[str, ...] = (),
    ) -> Record:
        if window is not None:
            warnings += _advice(case, window, budget, quality)
        return Record(
            case=case.id,
            state="protected" if quality.share_changed else "unchanged",
            method=METHOD,
            profile=self.params.profile,
            version=__version__,
            parameters={**asdict(self.params), "window": str(self.params.window)},
            seed_id=self.streams.seed_id,
            window=(window.lo, window.hi) if window else (0.0, 0.0),
            units=units_of(case),
            budget=budget,
            psnr_db=quality.psnr_db,
            ssim=quality.ssim,
            max_change=quality.max_change,
            max_change_physical=quality.max_change * abs(case.units.slope),
            share_changed=quality.share_changed,
            voxels_sha256=voxels_sha256(image),
            seconds=seconds,
            warnings=case.warnings + warnings,
        )


def _advice(case: Case, window: IntensityWindow, budget: float, quality: Quality) -> tuple[str, ...]:
    """What the user may want to change, one sentence each."""
    if not quality.share_changed:
        return ("no voxel under the segments lies in the window, so nothing was changed; check --window",)
    advice = []
    if window.quantum and budget / window.quantum < FEW_LEVELS:
        advice.append(
            f"the budget is a single step of {window.quantum:g} stored units; a larger --epsilon protects better"
        )
    budget_hu = budget * abs(case.units.slope)
    if units_of(case) == "HU" and budget_hu > VISIBLE_HU:
        advice.append(
            f"the budget is {budget_hu:g} HU, because the segments reach from air or fat to bone; such a change can be "
            "seen in a narrow display window: give a narrower --window, or fewer segments"
        )
    return tuple(advice)


def _refuse_not_finite(stored: NDArray[Any], bound: NDArray[np.float32]) -> None:
    if not np.issubdtype(stored.dtype, np.integer) and not np.isfinite(stored[bound > 0]).all():
        raise Refused(
            "a voxel under the segments or their contour is NaN or Inf; repair the image or change the segments"
        )
