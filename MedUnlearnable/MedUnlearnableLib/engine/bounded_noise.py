"""What UMed and SALM have in common: noise within a budget, which is a share of the intensity window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from numpy.typing import NDArray

from .case import Case
from .quality import Quality
from .record import Record
from .streams import RandomStreams
from .window import FEW_LEVELS, Windows
from .window_rules import WindowSetting, windows_of


class NoiseParams(Protocol):
    """The choices of a run, as far as budgets and records need them."""

    @property
    def profile(self) -> str: ...

    @property
    def window(self) -> WindowSetting: ...

    @property
    def budget_share(self) -> float: ...

    def to_json(self) -> dict[str, Any]: ...


Params = TypeVar("Params", bound=NoiseParams)


class BoundedNoise(Generic[Params]):
    """Windows, budgets and records of a method; `_ct_window_hu` is what its `fit` merges over the cohort."""

    name: ClassVar[str]

    def __init__(self, params: Params, streams: RandomStreams) -> None:
        self.params = params
        self.streams = streams
        self._ct_window_hu: tuple[float, float] | None = None

    def windows(self, case: Case) -> Windows:
        """The window of each channel, after `fit`."""
        return windows_of(case, self.params.window, self._ct_window_hu)

    def budget_physical(self, case: Case) -> float:
        """The largest change of a voxel in physical units, after `fit`. Refuses what `protect` refuses."""
        budgets = self._budgets(self.windows(case))
        return max(budget * abs(part.units.slope) for part, budget in zip(case.of_one_meaning(), budgets))

    def _budgets(self, windows: Windows) -> list[float]:
        """The largest change in each channel, stored units. Refuses a budget below one level."""
        return [window.budget(self.params.budget_share) for window in windows]

    def _record(
        self,
        case: Case,
        windows: Windows,
        budgets: Sequence[float],
        quality: Quality,
        image: NDArray[Any],
        seconds: float,
        warnings: Sequence[str],
    ) -> Record:
        return Record.of(
            case,
            image,
            windows,
            budgets,
            quality,
            method=self.name,
            profile=self.params.profile,
            parameters=self.params.to_json(),
            seed_id=self.streams.seed_id,
            seconds=seconds,
            warnings=warnings,
        )


def advice_on_budgets(windows: Windows, budgets: Sequence[float]) -> Iterator[str]:
    """A sentence for each channel whose budget is small."""
    for window, budget in zip(windows, budgets):
        if window.quantum and budget / window.quantum < FEW_LEVELS:
            yield f"the budget is a single step of {window.quantum:g} stored units; a larger --epsilon protects better"
