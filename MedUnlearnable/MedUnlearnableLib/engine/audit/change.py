"""What protection did to one case: figures, a histogram, what stands in a report of the ROI, and what must be equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..case import Case
from ..masks import contour_and_interior, contour_radius
from ..quality import Quality, measure
from ..record import Record, voxels_sha256
from ..salm.region import segment_region
from ..window import IntensityWindow
from ..window_rules import HuHistogram, WindowSetting, windows_of
from .texture import texture_features

HISTOGRAM_BINS = 64
_BUDGET_SLACK = 1e-6  # of the budget: stored floats are rounded


@dataclass(frozen=True)
class RegionStatistics:
    """What stands in a clinical or radiomics report of a region: physical units, mm^3, texture over the window."""

    volume_mm3: float
    mean: float
    sd: float
    texture: dict[str, float]


@dataclass(frozen=True)
class CaseChange:
    """Before and after. Stored units unless said otherwise; None where there is nothing to measure it by."""

    case: str
    psnr_db: float | None  # None: nothing changed
    ssim: float
    max_change: float
    change_999: float  # 99.9th percentile of |out - in| over all voxels
    share_changed_inside: float | None  # of the voxels under a segment
    share_changed_outside: float | None
    window: tuple[float, float]
    histogram_before: list[int]  # HISTOGRAM_BINS equal bins over the window, the outer ones with all beyond
    histogram_after: list[int]
    region_before: RegionStatistics | None
    region_after: RegionStatistics | None
    checks: dict[str, bool | None]  # None: could not be checked
    record: dict[str, Any] | None  # method, profile and budget, from the record beside the file

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def measure_change(before: Case, after: Case, record: Record | None) -> CaseChange:
    """Compares two cases of one shape, as they were read from their files; `before` has the segments.

    Histogram and region are those of the first channel where channels have meanings of their own.
    """
    windows = case_windows(before, record)
    quality = measure(before.image, after.image, windows)
    region = _region(before.segments)
    changed = np.any(before.image != after.image, axis=0)
    one, other, window = before.of_one_meaning()[0], after.of_one_meaning()[0], windows[0]
    return CaseChange(
        case=before.id,
        psnr_db=quality.psnr_db,
        ssim=quality.ssim,
        max_change=quality.max_change,
        change_999=_high_percentile(before.image, after.image, 0.999),
        share_changed_inside=None if region is None else _share(changed, region),
        share_changed_outside=None if region is None else _share(changed, ~region),
        window=(window.lo, window.hi),
        histogram_before=_histogram(one.image, window),
        histogram_after=_histogram(other.image, window),
        region_before=_statistics(one, one, region, window),
        region_after=_statistics(one, other, region, window),
        checks=_checks(before, after, changed, quality, record),
        record=None if record is None else {n: getattr(record, n) for n in ("method", "profile", "budget", "version")},
    )


def case_windows(case: Case, record: Record | None) -> tuple[IntensityWindow, ...]:
    """The window of each channel: the record's; without one, or of an unchanged case, by the rules for this case."""
    if record is not None and record.window[1] > record.window[0]:
        limits = [channel["window"] for channel in record.channels] or [record.window] * len(case.image)
        return tuple(IntensityWindow(lo, hi, quantum=None) for lo, hi in limits)
    histogram = HuHistogram()
    region = _region(case.segments)
    part = case.of_one_meaning()[0]
    histogram.add(part.image if region is None or not region.any() else part.image[:, region], part.units)
    return windows_of(case, WindowSetting(), histogram.window_hu())


def _region(segments: Sequence[NDArray[np.integer]]) -> NDArray[np.bool_] | None:
    """Voxels under any segment; None where there is no segmentation."""
    return np.any([layer != 0 for layer in segments], axis=0) if segments else None


def _share(changed: NDArray[np.bool_], where: NDArray[np.bool_]) -> float | None:
    return float(changed[where].mean()) if where.any() else None


def _high_percentile(before: NDArray[Any], after: NDArray[Any], share: float) -> float:
    """The value that `share` of all |out - in| do not exceed. Unchanged voxels are counted, not kept."""
    changes = [_changes(b, a) for one, two in zip(before, after) for b, a in zip(one, two)]
    changed = np.sort(np.concatenate(changes))
    rank = int(np.ceil(share * before.size)) - 1 - (before.size - len(changed))
    return float(changed[rank]) if rank >= 0 else 0.0


def _changes(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float64]:
    differs = before != after
    change = np.abs(after[differs].astype(np.float64) - before[differs])
    return change[np.isfinite(change)]


def _histogram(image: NDArray[Any], window: IntensityWindow) -> list[int]:
    counts = np.zeros(HISTOGRAM_BINS, np.int64)
    for plane in image.reshape(-1, *image.shape[-2:]):  # plane by plane: a volume may be large
        fraction = window.normalize(plane[np.isfinite(plane)])
        bins = np.minimum((fraction * HISTOGRAM_BINS).astype(np.int64), HISTOGRAM_BINS - 1)
        counts += np.bincount(bins, minlength=HISTOGRAM_BINS)
    return [int(count) for count in counts]


def _statistics(
    reference: Case, case: Case, region: NDArray[np.bool_] | None, window: IntensityWindow
) -> RegionStatistics | None:
    """Of the channels' mean; slope and intercept are those of the original, whose meaning must be kept."""
    if region is None or not region.any():
        return None
    box = tuple(slice(index.min(), index.max() + 1) for index in np.nonzero(region))
    mask, part = region[box], case.image[(slice(None), *box)]
    physical = part.mean(axis=0, dtype=np.float64)[mask] * reference.units.slope + reference.units.intercept
    return RegionStatistics(
        volume_mm3=float(mask.sum() * np.prod(case.geometry.spacing_kji)),
        mean=float(physical.mean()),
        sd=float(physical.std()),
        texture=texture_features(window.normalize(part).mean(axis=0), mask),
    )


def _checks(
    before: Case, after: Case, changed: NDArray[np.bool_], quality: Quality, record: Record | None
) -> dict[str, bool | None]:
    """After both files were read again."""
    return {
        "dtype": before.image.dtype == after.image.dtype,
        "geometry": np.array_equal(before.geometry.ijk_to_ras, after.geometry.ijk_to_ras),
        "units": before.units == after.units,
        "outside_mask": _outside_is_identical(before, changed, record),
        "budget": None if record is None else _within_budget(quality, record),
        "record": None if record is None else record.voxels_sha256 == voxels_sha256(after.image),
    }


def _within_budget(quality: Quality, record: Record) -> bool:
    """Each channel by its own budget, where channels have windows of their own."""
    budgets = [channel["budget"] for channel in record.channels] or [record.budget] * len(quality.channel_changes)
    return all(change <= budget * (1 + _BUDGET_SLACK) for change, budget in zip(quality.channel_changes, budgets))


def _outside_is_identical(before: Case, changed: NDArray[np.bool_], record: Record | None) -> bool | None:
    """Whether nothing changed but what the record's method may change; None where it may change any voxel."""
    if record is None or not before.has_foreground:
        return None
    if record.method == "UMed":
        radius = contour_radius(before.geometry.spacing_kji, before.shape_kji, record.parameters.get("contour_mm"))
        allowed = np.logical_or(*contour_and_interior(before.segments, radius))
    elif record.parameters.get("region", "all") != "all":
        allowed = segment_region(before, record.parameters["region"])
    else:
        return None
    return not changed[~allowed].any()
