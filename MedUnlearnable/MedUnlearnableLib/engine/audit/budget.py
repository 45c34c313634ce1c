"""What is run in the time there is: effort by budget, rows in the order of what they tell, steps by measured speed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..errors import UsageError
from .conditions import Condition

#: Seeds a verdict needs; the luck of one training is not covered by an interval over cases.
SEEDS = 3
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_SMALL_BELOW = 30 * 60.0
_SMALL_FIT_SECONDS = 40.0
_SHARE_OF_A_FIT = 1 / 15, 1 / 50  # of the budget: small, large
_CORE_CONDITIONS = 3  # those that get all seeds before the others are begun, in a large run
FEWEST_STEPS = 40  # an attacker of fewer shows nothing


@dataclass(frozen=True)
class Effort:
    """How much goes into each attacker."""

    small: bool  # quick looks: their verdict is "indicative only"
    fit_seconds: float  # of one attacker
    most_steps: int
    width: int
    images: int  # of all cases together
    side: int  # pixels, of a segmentation's crop
    volumes: int
    volume_side: int  # voxels

    @classmethod
    def of(cls, budget_seconds: float) -> Effort:
        if budget_seconds < _SMALL_BELOW:
            seconds = min(_SMALL_FIT_SECONDS, budget_seconds * _SHARE_OF_A_FIT[0])
            return cls(True, seconds, most_steps=1000, width=8, images=600, side=96, volumes=40, volume_side=32)
        seconds = budget_seconds * _SHARE_OF_A_FIT[1]
        return cls(False, seconds, most_steps=1500, width=16, images=2000, side=128, volumes=200, volume_side=48)

    def steps(self, seconds_a_step: float, other_seconds: float) -> int:
        """As many as fit into `fit_seconds`; may be too few to show anything."""
        return max(0, min(self.most_steps, int((self.fit_seconds - other_seconds) / seconds_a_step)))


@dataclass(frozen=True)
class Row:
    """All arms of a condition with one seed: what can be compared."""

    condition: Condition
    seed: int


def parse_budget(text: str) -> float:
    """Seconds of `90s`, `10m` or `2h`. Raises `UsageError`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if match is None or float(match[1]) <= 0:
        raise UsageError(f"--budget {text} is no time; give a number with s, m or h, such as 10m")
    return float(match[1]) * _SECONDS[match[2]]


def rows(conditions: Sequence[Condition], small: bool) -> Iterator[Row]:
    """Most informative first. Small: every condition once before a second seed; large: first all seeds of the core,
    whose verdicts are then more than indicative, then every other condition once."""
    groups = [conditions] if small else [conditions[:_CORE_CONDITIONS], conditions[_CORE_CONDITIONS:]]
    for group in groups:
        for seed in range(SEEDS):
            yield from (Row(condition, seed) for condition in group)


def fits(needed_seconds: float, left_seconds: float) -> bool:
    """Whether a row is begun: rather half a row over the time than a row less; what is kept needs none."""
    return needed_seconds == 0 or left_seconds >= needed_seconds / 2
