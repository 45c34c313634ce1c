"""What a run would do and need, before it writes anything: for `--dry-run`, and for a warning where memory is short."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..engine.case import Case
from ..engine.errors import Refused
from ..engine.forecast import Forecast
from ..engine.method import Method, Workspace
from ..engine.progress import Progress
from ..engine.umed.cost import TrainingCost
from ..engine.umed.plan import free_mb
from ..engine.window_rules import units_of
from ..files.cases import CaseFiles, FileCases
from ..files.size import voxel_bytes
from .events import PARTS_OF_A_CASE
from .job import Job
from .methods import METHODS, choices_of, choose, missing_torch

#: Peak memory of a case: so many times its images and labels, unpacked, and something for the program. Measured on CT
#: of 50 to 300 slices from uncompressed files (Testing/benchmarks/volume_cost.py); packed files are unpacked beside.
_TIMES_ITS_VOXELS = 3.0
_FIXED_MB = 150.0
#: Images with contents are packed by less than this, so small files need no look into their headers, which loads much.
_PACKED_AT_MOST = 10
_CASES_TIMED = 2  # the first one loads what the others find there
_LABELS_SHOWN = 6


@dataclass(frozen=True)
class CasePlan:
    """What would be done with one case: window and levels of each channel, or why nothing can be done."""

    case: str
    size: tuple[int, ...] = ()  # i, j, k
    dtype: str = ""
    labels: tuple[int, ...] = ()
    windows: tuple[tuple[float, float], ...] = ()  # stored units
    levels: tuple[int | None, ...] = ()  # None: true floats, or a method without a budget
    units: str = ""
    error: str = ""


@dataclass(frozen=True)
class RunPlan:
    """seconds: about, without a training; None where a training has to come first. refusal: why it cannot be run."""

    method: str
    profile: str
    why: str
    cases: tuple[CasePlan, ...]
    seconds: float | None
    memory_mb: float
    free_mb: float | None
    warnings: tuple[str, ...]
    training: TrainingCost | None = None  # None also for a method that cannot tell
    forecast: Forecast | None = None
    refusal: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """To be read."""
        yield f"{self.method}, profile {self.profile} ({self.why}); nothing is written"
        yield from (_line(case) for case in self.cases)
        if self.training is not None:
            yield _training_line(self.training)
        if self.forecast is not None:
            yield self.forecast.sentence
        good = sum(not case.error for case in self.cases)
        about = ", after a training" if self.seconds is None else f", about {max(1, round(self.seconds))} s"
        free = "" if self.free_mb is None else f"; {self.free_mb:.0f} MB are free"
        yield f"{good} of {len(self.cases)} cases{about}; the largest takes about {self.memory_mb:.0f} MB{free}"


def plan_of(job: Job) -> RunPlan:
    """Reads every case and looks; writes nothing, and keeps nothing of the iterations that time a training.

    Refuses what the run would refuse, except that a lack of PyTorch is named in `refusal` where the rest can be told.
    """
    started = time.perf_counter()
    method, why = choose(job)
    kind, cases = METHODS[job.method], FileCases(job.cases)
    trains, refusal = kind.trains(method, job), missing_torch(job, method)
    if refusal and not trains:
        raise Refused(refusal)
    looks, training, forecast = method, None, None
    if trains and kind.training_cost is not None:
        training = kind.training_cost(method, cases, Workspace(device="cpu" if refusal else job.device))
    elif trains:  # windows and budgets are those of a profile that needs no training
        looks = _untrained(job, method)
    if training is None and job.state is None:
        looks.fit(cases)
    if trains and not refusal and kind.forecast is not None:
        forecast = kind.forecast(cases, method.streams.generator("forecast"), Progress())
    looked = time.perf_counter() - started
    plans: list[CasePlan] = []
    paces: list[float] = []
    voxels = 0
    for case_id in cases.ids:
        try:
            case = cases.load(case_id)
            voxels += case.image.size
            plans.append(_plan_of(case, looks))
            if not trains and len(paces) < _CASES_TIMED:
                paces.append(_seconds_a_voxel(case, looks))
        except (Refused, MemoryError) as error:
            plans.append(CasePlan(case_id, error=str(error)))
    return RunPlan(
        kind.name,
        method.params.profile,
        why,
        tuple(plans),
        round(looked + min(paces) * voxels, 3) if paces else None,
        round(max(needed_mb(files) for files in job.cases)),
        free_mb("cpu"),
        (*job.warnings, *memory_warnings(job.cases)),
        training,
        forecast,
        refusal,
    )


def _untrained(job: Job, method: Method) -> Method:
    """With the same windows and budgets."""
    epsilon = getattr(method.params, "epsilon", None)
    given = choices_of(job) | ({} if epsilon is None else {"epsilon": epsilon})
    return METHODS[job.method].new("instant", given, method.streams)


def needed_mb(files: CaseFiles) -> float:
    """About the peak memory of a run at this case, from the headers of its files."""
    return _megabytes(sum(voxel_bytes(path) or 0 for path in files.inputs))


def _megabytes(size: int) -> float:
    return _FIXED_MB + _TIMES_ITS_VOXELS * size / 2**20


def memory_warnings(cases: Sequence[CaseFiles]) -> tuple[str, ...]:
    """A sentence that names the largest case, where it may not fit into the memory that is free."""
    free = free_mb("cpu")
    if free is None:
        return ()
    large = [files for files in cases if _megabytes(_PACKED_AT_MOST * _packed_bytes(files)) > free]
    needed, files = max(((needed_mb(files), files.id) for files in large), default=(0.0, ""))
    if needed <= free:
        return ()
    return (
        f"{files}: this case needs about {needed:.0f} MB and {free:.0f} MB are free; close other programs, or use a "
        "computer with more memory",
    )


def _packed_bytes(files: CaseFiles) -> int:
    parts = (part for path in files.inputs for part in (path.iterdir() if path.is_dir() else (path,)))
    return sum(part.stat().st_size for part in parts if part.exists())


def _plan_of(case: Case, method: Method) -> CasePlan:
    windows = method.windows(case)
    epsilon = getattr(method.params, "epsilon", None)
    return CasePlan(
        case.id,
        case.shape_kji[::-1],
        case.image.dtype.name,
        tuple(sorted({int(value) for layer in case.segments for value in np.unique(layer) if value})),
        tuple((window.lo, window.hi) for window in windows),
        tuple(None if epsilon is None else window.levels(epsilon) for window in windows),
        units_of(case),
    )


def _seconds_a_voxel(case: Case, method: Method) -> float:
    """From protecting one case in memory; its writing is added as the share it usually takes."""
    started = time.perf_counter()
    method.protect(case)
    first, last = PARTS_OF_A_CASE["protect"][0], PARTS_OF_A_CASE["quality"][1]
    return (time.perf_counter() - started) / (last - first) / case.image.size


def _training_line(cost: TrainingCost) -> str:
    plan, memory = cost.plan, "memory" if cost.device == "cpu" else "GPU memory"
    patches = f"{plan.iterations} iterations of {plan.batch} patches of {' x '.join(map(str, plan.sides[::-1]))}"
    often = "" if cost.trainings == 1 else f"{cost.trainings} trainings of "
    needs = f"training: {often}{patches}; about {cost.memory_mb:.0f} MB of {memory}"
    if cost.seconds is None:
        return f"{needs}; how long it takes, and a forecast, can be told with PyTorch installed"
    duration = f"{cost.seconds / 60:.0f} min" if cost.seconds >= 120 else f"{max(1.0, cost.seconds):.0f} s"
    return f"{needs}, about {duration}"


def _line(case: CasePlan) -> str:
    if case.error:
        return f"  {case.case}: {case.error}"
    size = " x ".join(map(str, case.size))
    shown = ", ".join(map(str, case.labels[:_LABELS_SHOWN])) + (", ..." if len(case.labels) > _LABELS_SHOWN else "")
    parts = [f"  {case.case}: {size} {case.dtype}", f"labels {shown}" if shown else "no segments"]
    # channels of one file share their window
    for (lo, hi), levels in dict.fromkeys(zip(case.windows, case.levels)):
        steps = "" if levels is None else f", {levels} level{'s' * (levels != 1)}"
        parts.append(f"window [{lo:g}, {hi:g}]{steps}")
    return "; ".join(parts)
