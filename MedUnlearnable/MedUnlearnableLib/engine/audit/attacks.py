"""Runs cells until the time is used, and says which were left out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import Cancelled, MedUnlearnableError
from ..progress import Progress
from .budget import FEWEST_STEPS, Effort, Row, fits, rows
from .cells import Cell, CellResult, Pretrained, Training
from .cohort import Cohort
from .conditions import ARMS, PROTECTED, Condition

_SEGMENTATION_BATCH, _CLASSES_BATCH, _VOLUMES_BATCH = 16, 64, 2
_VOLUMES_WIDTH = 8  # of networks for volumes, whatever the effort: a CPU has no time for more
_NARROWEST = 8
_ENOUGH_STEPS = 300  # a wide network trained for less shows less than a narrow one
_PROBE_STEPS = 12
_TESTS_OF_A_RUN = 3  # a run tests so many times longer than the probe with its single test, about
_VOLUMES_CURVE_POINTS = 2  # testing on volumes takes long


class Kept(Protocol):
    """What outlives a kill: results by key, and the steps for each pace, so that a resumed run has the same."""

    def result(self, key: str) -> CellResult | None: ...

    def keep_result(self, key: str, cell: Cell, result: CellResult) -> None: ...

    def steps(self, pace: str) -> int | None: ...

    def keep_steps(self, pace: str, steps: int) -> None: ...


class KeptInMemory:
    """For those who need no restart."""

    def __init__(self) -> None:
        self._results: dict[str, CellResult] = {}
        self._steps: dict[str, int] = {}

    def result(self, key: str) -> CellResult | None:
        return self._results.get(key)

    def keep_result(self, key: str, cell: Cell, result: CellResult) -> None:
        self._results[key] = result

    def steps(self, pace: str) -> int | None:
        return self._steps.get(pace)

    def keep_steps(self, pace: str, steps: int) -> None:
        self._steps[pace] = steps


@dataclass
class ConditionResults:
    """What was run of one condition: results by arm, in the order of their seeds. `problem`: why there are none."""

    condition: Condition
    by_arm: dict[str, list[CellResult]] = field(default_factory=lambda: {arm: [] for arm in ARMS})
    problem: str = ""

    @property
    def seeds(self) -> int:
        return min(len(results) for results in self.by_arm.values())


class Attacks:
    """The attack test of one cohort. `results` fills while it runs."""

    def __init__(
        self,
        cohort: Cohort,
        conditions: Sequence[Condition],
        effort: Effort,
        kept: Kept,
        device: str = "cpu",
        pretrained: Pretrained | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.results = {condition.name: ConditionResults(condition) for condition in conditions}
        self.width = effort.width  # of the usual network, narrower where the machine is slow
        self._cohort = cohort
        self._effort = effort
        self._kept = kept
        self._device = device
        self._pretrained = pretrained
        self._progress = progress or Progress()
        self.spent = 0.0  # seconds, with those of the attackers that an earlier run has kept
        self._counted: set[str] = set()  # keys of results whose seconds are in `spent`
        self._seconds: dict[str, list[float]] = {}  # of finished cells, by cost class

    def run(self, budget_seconds: float, spent_seconds: float = 0.0) -> None:
        """The first condition is always run; without it there is no verdict. Results kept before count as spent."""
        self.spent = spent_seconds
        self._choose_width()
        for row in rows([result.condition for result in self.results.values()], self._effort.small):
            result = self.results[row.condition.name]
            if result.problem:
                continue
            is_first = row.condition == self._usual and row.seed == 0
            try:
                if is_first or fits(self._needed(row), budget_seconds - self.spent):
                    self._run_row(row, result)
            except Cancelled:
                raise
            except MedUnlearnableError as error:
                if is_first:
                    raise
                result.problem = str(error)

    @property
    def left_out(self) -> list[str]:
        """Names of the conditions there was no time for."""
        return [name for name, result in self.results.items() if not result.seeds and not result.problem]

    @property
    def _usual(self) -> Condition:
        return next(iter(self.results.values())).condition

    def _choose_width(self) -> None:
        while self.width > _NARROWEST and self._training(self._usual).steps < _ENOUGH_STEPS:
            self.width //= 2

    def _run_row(self, row: Row, result: ConditionResults) -> None:
        for cell in self._cells(row):
            result.by_arm[cell.arm].append(self._result_of(cell))

    def _cells(self, row: Row) -> list[Cell]:
        return [Cell(row.condition, arm, row.seed) for arm in ARMS]

    def _needed(self, row: Row) -> float:
        """Seconds for what is not kept of a row."""
        steps = self._kept.steps(self._pace(row.condition))
        if steps is None or self._is_too_slow(row.condition, steps):  # not worth a probe before it is known to fit
            return len(ARMS) * self._effort.fit_seconds
        training = self._training(row.condition)
        missing = [cell for cell in self._cells(row) if self._kept.result(self._key(cell, training)) is None]
        return len(missing) * self._seconds_a_cell(row.condition)

    def _result_of(self, cell: Cell) -> CellResult:
        training = self._training(cell.condition)
        key = self._key(cell, training)
        result = self._kept.result(key)
        if result is None:
            result = cell.run(self._cohort, training, self._pretrained, self._progress)
            self._kept.keep_result(key, cell, result)
        if key not in self._counted:  # the clean row of a share of clean cases is that of the usual attacker
            self._counted.add(key)
            self.spent += result.seconds
        self._seconds.setdefault(cell.condition.cost_class, []).append(result.seconds)
        return result

    def _key(self, cell: Cell, training: Training) -> str:
        return cell.key(self._cohort, training, self._pretrained)

    def _seconds_a_cell(self, condition: Condition) -> float:
        finished = self._seconds.get(condition.cost_class)
        return statistics.mean(finished) if finished else self._effort.fit_seconds

    def _training(self, condition: Condition) -> Training:
        """Raises `MedUnlearnableError` where too few steps fit; the usual attacker takes those few, for want of any."""
        pace = self._pace(condition)
        steps = self._kept.steps(pace)
        if steps is None:
            steps = self._steps_that_fit(condition)
            self._kept.keep_steps(pace, steps)
        if self._is_too_slow(condition, steps):
            raise MedUnlearnableError(
                f"this attacker is too slow here: {steps} training steps fit into its share of the budget, and "
                f"{FEWEST_STEPS} are the fewest that show anything"
            )
        return self._of_steps(condition, max(steps, FEWEST_STEPS))

    def _is_too_slow(self, condition: Condition, steps: int) -> bool:
        return steps < FEWEST_STEPS and condition != self._usual

    def _pace(self, condition: Condition) -> str:
        """What the time of a step, and how much of it there is, depends on."""
        effort = f"width {self._width(condition)}, {self._effort.fit_seconds:g} s"
        data = self._cohort.shown_to(condition).digest[:16]
        return f"{condition.cost_class}, {effort}, {self._device}, data {data}"

    def _of_steps(self, condition: Condition, steps: int, **changes: int) -> Training:
        batch_size = _SEGMENTATION_BATCH if self._cohort.is_segmentation else _CLASSES_BATCH
        if condition.volumes:
            batch_size, changes = _VOLUMES_BATCH, {"curve_points": _VOLUMES_CURVE_POINTS, **changes}
        return Training(steps, self._width(condition), batch_size, self._device, **changes)

    def _width(self, condition: Condition) -> int:
        if condition.pretrained and self._pretrained is not None:
            return self._pretrained.width
        return _VOLUMES_WIDTH if condition.volumes else self.width

    def _steps_that_fit(self, condition: Condition) -> int:
        """By the pace of a few steps. One step goes before: what is loaded and compiled once is no part of the pace."""
        clock = _StepClock(self._progress)
        for steps in (1, _PROBE_STEPS):
            probe = self._of_steps(condition, steps, curve_points=1)
            seconds = Cell(condition, PROTECTED, 0).run(self._cohort, probe, self._pretrained, clock).seconds
            self.spent += seconds
        pace = clock.seconds_a_step
        other = max(0.0, seconds - _PROBE_STEPS * pace) * _TESTS_OF_A_RUN
        return self._effort.steps(pace, other)


class _StepClock(Progress):
    """Measures the time between steps."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._times: list[float] = []

    def step(self, stage: str, done: int, total: int) -> None:
        self._progress.step("probe", done, total)
        self._times.append(time.monotonic())

    @property
    def seconds_a_step(self) -> float:
        return statistics.median(later - now for now, later in zip(self._times, self._times[1:]))
