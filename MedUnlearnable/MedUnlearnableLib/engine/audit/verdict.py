"""What may be concluded from an attack test. The rules are ours, strict on the owner's side of every doubt.

Scores are the mean over seeds, by test case. What an attacker loses is told as a share of what it can do on clean data:

    lost = (clean - protected) / (clean - floor)    floor: DSC 0, or the chance of guessing a class
    caused = (label_free - protected) / (clean - floor)    what the noise costs beyond noise that knows no label

Both get an interval over cases; the smaller lower limit decides:

    holds          at least 0.5
    weakened       at least 0.1
    does not hold  below
    cannot tell    a row is missing; the attacker on clean data is hardly better than a trivial answer; it did not even
                   learn its own training images; or the label-free control alone takes half, so that nothing is
                   known of the labels' part

"Indicative only" is what rests on fewer than three seeds or too few test cases, and every verdict of a quick audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..scores import Interval
from .attacks import ConditionResults
from .budget import SEEDS
from .cells import CellResult
from .conditions import CLEAN, LABEL_FREE, PROTECTED

HOLDS, WEAKENED, FAILS, UNKNOWN = "holds", "weakened", "does not hold", "cannot tell"
HOLDS_FROM, WEAKENED_FROM = 0.5, 0.1
FEWEST_TEST_CASES = 20
_LEAST_ABOVE_TRIVIAL = 0.1  # an attacker below cannot do the task
_CONTROL_TAKES_TOO_MUCH = 0.5
_LEARNED = 0.5  # of what it learns of clean training images
_DRAWS = 5000


@dataclass(frozen=True)
class Verdict:
    """One condition: the word, why where it cannot be told, and the figures. Scores by arm are means over seeds."""

    condition: str
    word: str
    reason: str
    seeds: int
    steps: int
    cases: int  # scored test cases
    scores: dict[str, float]
    spread: dict[str, float]  # standard deviation over seeds
    lost: Interval | None
    caused: Interval | None
    control: Interval | None  # what the label-free control loses

    @property
    def indicative_only(self) -> bool:
        return self.seeds < SEEDS or self.cases < FEWEST_TEST_CASES

    @property
    def wording(self) -> str:
        """The word with what it is worth."""
        return f"{self.word} (indicative)" if self.indicative_only and self.word != UNKNOWN else self.word

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "wording": self.wording}


def judge(results: ConditionResults, floor: float, trivial: float, random: np.random.Generator) -> Verdict:
    """The verdict on one condition. `floor`, `trivial`: see `Cohort`."""
    name = results.condition.name
    if results.problem or not results.seeds:
        reason = results.problem or "not tested; the time was used up"
        return Verdict(name, UNKNOWN, reason, 0, 0, 0, {}, {}, None, None, None)
    tables = {arm: _table(cells[: results.seeds]) for arm, cells in results.by_arm.items()}
    learns = float(np.nanmean(tables[CLEAN])) >= trivial + _LEAST_ABOVE_TRIVIAL
    lost, caused, control = _intervals(tables, floor, random) if learns else (None, None, None)
    reason = _why_unknown(results, tables, floor, control)
    return Verdict(
        condition=name,
        word=UNKNOWN if reason or lost is None or caused is None else _word(min(lost.low, caused.low)),
        reason=reason,
        seeds=results.seeds,
        steps=results.by_arm[PROTECTED][0].steps,
        cases=int(np.count_nonzero(~np.isnan(tables[CLEAN]).all(axis=0))),
        scores={arm: float(np.nanmean(table)) for arm, table in tables.items()},
        spread={arm: float(np.nanstd(np.nanmean(table, axis=1))) for arm, table in tables.items()},
        lost=lost,
        caused=caused,
        control=control,
    )


def reservations(usual: Verdict, by_case: bool, small: bool) -> list[str]:
    """Why all of an audit is "indicative only"; empty when it is more. `usual`: of the attacker nothing helps."""
    reasons = []
    if small:
        reasons.append("the attackers are small and train for a short time")
    if 0 < usual.seeds < SEEDS:
        reasons.append(f"{usual.condition} was done with {usual.seeds} of {SEEDS} seeds")
    if not by_case:
        reasons.append("training and test slices come from the same volumes, held apart as slabs only")
    elif usual.seeds and usual.cases < FEWEST_TEST_CASES:
        reasons.append(f"there are {usual.cases} test cases, fewer than {FEWEST_TEST_CASES}")
    return reasons


def share_of_clean(
    more: NDArray[np.float64],
    less: NDArray[np.float64],
    clean: NDArray[np.float64],
    floor: float,
    random: np.random.Generator,
) -> Interval:
    """mean(more - less) / (mean(clean) - floor) over cases, with its 95 % percentile bootstrap interval.

    All are [cases], of the same cases in one order; numerator and denominator are drawn together.
    """
    picked = random.integers(len(clean), size=(_DRAWS, len(clean)))
    above = np.maximum(clean[picked].mean(axis=1) - floor, 1e-6)
    drawn = (more - less)[picked].mean(axis=1) / above
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float((more - less).mean() / max(clean.mean() - floor, 1e-6)), float(low), float(high))


def _table(cells: Sequence[CellResult]) -> NDArray[np.float64]:
    """Scores [seeds, cases]."""
    return np.array([cell.score_by_case for cell in cells], float)


def _intervals(
    tables: dict[str, NDArray[np.float64]], floor: float, random: np.random.Generator
) -> tuple[Interval, Interval, Interval]:
    clean, protected, label_free = (tables[arm].mean(axis=0) for arm in (CLEAN, PROTECTED, LABEL_FREE))
    scored = ~np.isnan(clean + protected + label_free)
    clean, protected, label_free = clean[scored], protected[scored], label_free[scored]
    return (
        share_of_clean(clean, protected, clean, floor, random),
        share_of_clean(label_free, protected, clean, floor, random),
        share_of_clean(clean, label_free, clean, floor, random),
    )


def _why_unknown(
    results: ConditionResults, tables: dict[str, NDArray[np.float64]], floor: float, control: Interval | None
) -> str:
    if control is None:
        score = np.nanmean(tables[CLEAN])
        return (
            f"this attacker is hardly better than a trivial answer on clean data, too ({score:.2f}): it shows nothing"
        )
    learned = {arm: np.nanmean([cell.train_score for cell in cells]) for arm, cells in results.by_arm.items()}
    if learned[PROTECTED] - floor < _LEARNED * (learned[CLEAN] - floor):
        return "this attacker did not learn its own training images in the time, so its low score proves nothing"
    if control.mean >= _CONTROL_TAKES_TOO_MUCH:
        return (
            f"the same noise without knowledge of labels takes {control.mean:.0%} of this attacker's score, so what "
            "the labels add cannot be seen"
        )
    return ""


def _word(lower_limit: float) -> str:
    if lower_limit >= HOLDS_FROM:
        return HOLDS
    return WEAKENED if lower_limit >= WEAKENED_FROM else FAILS
