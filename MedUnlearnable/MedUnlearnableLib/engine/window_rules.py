"""Which intensity window an image gets (our choice; nnU-Net clips CT to the same foreground percentiles).

CT        percentiles 0.5-99.5 of segments and contour, merged over the data set, at least 350 HU wide
MR, other percentiles 0.5-99.5 of the non-zero voxels of that image
picture   8 bit: [0, 255]; 16 bit: like MR, because 12-bit content in 16-bit files is common
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .case import Case, Units
from .errors import Refused, UsageError
from .window import IntensityWindow, Windows, stored_quantum

Rule = Literal["ct", "mr", "picture", "fixed"]

PERCENTILES = (0.5, 99.5)
CT_NARROWEST_HU = 350.0
_HU_BINS = (-32768, 32767)


@dataclass(frozen=True)
class WindowSetting:
    """What the user asked for: a rule by name, or two values in physical units."""

    rule: Literal["auto", "ct", "mr", "fixed"] = "auto"
    limits: tuple[float, float] | None = None

    @classmethod
    def parse(cls, text: str) -> WindowSetting:
        """`auto`, `ct`, `mr` or `LO,HI`."""
        if text in ("auto", "ct", "mr"):
            return cls(text)  # type: ignore[arg-type]
        try:
            lo, hi = (float(part) for part in text.split(","))
        except ValueError:
            raise UsageError(f"--window {text} is not one of auto, ct, mr or LO,HI (two numbers)") from None
        if not (math.isfinite(lo) and math.isfinite(hi) and lo < hi):
            raise UsageError(f"--window {text}: the lower limit must be below the upper one")
        return cls("fixed", (lo, hi))

    def __str__(self) -> str:
        return "{:g},{:g}".format(*self.limits) if self.limits else self.rule

    def rule_for(self, case: Case) -> Rule:
        if self.rule != "auto":
            return self.rule
        if case.modality == "picture":
            return "picture" if case.image.dtype == np.uint8 else "mr"
        if case.modality:
            return "ct" if case.modality == "CT" else "mr"
        return "ct" if case.looks_like_ct else "mr"


@dataclass
class HuHistogram:
    """Counts of voxels per HU, merged over cases, so that the CT window needs no voxel kept."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_HU_BINS[1] - _HU_BINS[0] + 1, np.int64))

    def add(self, stored: NDArray[Any], units: Units) -> None:
        physical = stored[np.isfinite(stored)].astype(np.float64) * units.slope + units.intercept
        bins = np.clip(np.rint(physical), *_HU_BINS).astype(np.int64) - _HU_BINS[0]
        self.counts += np.bincount(bins, minlength=len(self.counts))

    def window_hu(self) -> tuple[float, float]:
        """The percentiles, widened around their middle to 350 HU where they lie closer."""
        cumulative = np.cumsum(self.counts)
        if not cumulative[-1]:
            raise Refused("no voxel under any segment has a value, so there is no CT window; give --window LO,HI")
        lo, hi = (
            float(np.searchsorted(cumulative, p / 100 * cumulative[-1], side="left") + _HU_BINS[0]) for p in PERCENTILES
        )
        missing = max(0.0, CT_NARROWEST_HU - (hi - lo))
        return lo - missing / 2, hi + missing / 2


def window_of(case: Case, setting: WindowSetting, ct_window_hu: tuple[float, float] | None) -> IntensityWindow:
    """The window of a case of one meaning, in stored units. `ct_window_hu`: from the data set; needed for CT only."""
    lo, hi = _limits(case, setting, ct_window_hu)
    return IntensityWindow(lo, hi, stored_quantum(case.image), case.limits, case.padding)


def windows_of(case: Case, setting: WindowSetting, ct_window_hu: tuple[float, float] | None) -> Windows:
    """The window of each channel: one for all, or of each its own where channels come from files of their own."""
    if not case.channels:
        return (window_of(case, setting, ct_window_hu),) * len(case.image)
    return tuple(window_of(channel, setting, ct_window_hu) for channel in case.of_one_meaning())


def _limits(case: Case, setting: WindowSetting, ct_window_hu: tuple[float, float] | None) -> tuple[float, float]:
    rule = setting.rule_for(case)
    if rule == "picture":
        return 0.0, 255.0
    if rule == "mr":
        return _percentiles_of_signal(case)
    limits = setting.limits if rule == "fixed" else ct_window_hu
    if limits is None:
        raise Refused("this is a CT image, but the saved state holds no CT window; give --window LO,HI")
    lo, hi = sorted(case.units.to_stored(limit) for limit in limits)
    return lo, hi


def units_of(case: Case) -> str:
    """Name of the physical units: what the source says, HU for what is CT, else empty, as for channels that differ."""
    names = {
        part.units.name or ("HU" if WindowSetting().rule_for(part) == "ct" else "") for part in case.of_one_meaning()
    }
    return names.pop() if len(names) == 1 else ""


def channel_figures(
    case: Case, windows: Windows, budgets: Sequence[float], changes: Sequence[float]
) -> tuple[dict[str, Any], ...]:
    """For the record: what differs from channel to channel, where these come from files of their own."""
    parts = case.of_one_meaning() if case.channels else ()
    return tuple(
        {"window": (window.lo, window.hi), "units": units_of(part), "budget": budget, "max_change": change}
        for part, window, budget, change in zip(parts, windows, budgets, changes)
    )


def _percentiles_of_signal(case: Case) -> tuple[float, float]:
    signal = case.image[(case.image != 0) & np.isfinite(case.image)]
    if case.padding is not None:
        signal = signal[signal != case.padding]
    if not signal.size:
        raise Refused("every voxel is zero or not a number, so there is nothing to protect; leave the image out")
    lo, hi = np.percentile(signal, PERCENTILES, overwrite_input=True)
    return float(lo), float(hi)
