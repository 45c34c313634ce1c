"""The Audit's look at the images: every pair, or as many as the time allows, spread over the cohort."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.audit.budget import Effort
from ..engine.audit.change import case_windows, measure_change
from ..engine.audit.cohort import Samples, slices_of, volume_of
from ..engine.case import Case
from ..engine.errors import Cancelled, MedUnlearnableError
from ..engine.record import Record
from ..files.audit_report import Example, example_of
from ..files.pairs import Pair
from ..files.volume import PRIVATE_MODE, read_json, write_json
from .audit_progress import AuditProgress
from .events import EventWriter

_SHARE_OF_TIME = 0.3  # of the budget; what is left is for attackers
_FEWEST_PAIRS = 4  # looked at in any time: with fewer there is no split by case
_ORDER_SEED = 0  # an audit looks at the same pairs again
_EXAMPLES = 3  # cases shown as pictures
_LOOKED_AT_FILE = "looked_at.json"


class ImageComparison:
    """Measures pairs one by one; of each only figures, what attackers see and perhaps a picture stay in memory."""

    def __init__(
        self, pairs: Sequence[Pair], effort: Effort, folder: Path, events: EventWriter, progress: AuditProgress
    ) -> None:
        self.changes: list[dict[str, Any]] = []  # JSON of each `CaseChange`
        self.problems: list[dict[str, str]] = []  # case, error
        self.slices: list[Samples] = []
        self.volumes: list[Samples] = []
        self.examples: list[Example] = []
        self._pairs = pairs
        self._effort = effort
        self._looked_at = folder / _LOOKED_AT_FILE
        self._events = events
        self._progress = progress

    @property
    def not_looked_at(self) -> int:
        return len(self._pairs) - len(self.changes) - len(self.problems)

    def run(self, budget_seconds: float) -> None:
        """In random order while there is time, in the end sorted as given. A resumed audit looks at the same pairs."""
        end = time.monotonic() + _SHARE_OF_TIME * budget_seconds
        order = np.random.default_rng(_ORDER_SEED).permutation(len(self._pairs)).tolist()
        before = read_json(self._looked_at)["pairs"] if self._looked_at.exists() else None
        wanted = order if before is None else order[:before]
        for done, number in enumerate(wanted):
            if before is None and done >= _FEWEST_PAIRS and time.monotonic() > end:
                break
            self._progress.begin("quality", done, len(wanted))
            self._look_at(self._pairs[number])
        write_json(self._looked_at, {"pairs": len(self._pairs) - self.not_looked_at}, mode=PRIVATE_MODE)
        place = {pair.clean.id: number for number, pair in enumerate(self._pairs)}
        self.changes.sort(key=lambda change: place[change["case"]])
        for samples in (self.slices, self.volumes):
            samples.sort(key=lambda sample: place[sample.case])

    def _look_at(self, pair: Pair) -> None:
        try:
            clean, protected, record = pair.load()
            change = measure_change(clean, protected, record)
            if len(self.examples) < _EXAMPLES:
                self.examples.append(example_of(clean, protected, change.window))
            self._pick_samples(clean, protected, record)
        except Cancelled:
            raise
        except MedUnlearnableError as error:
            self._add_problem(pair, str(error))
            return
        self.changes.append(change.to_json())
        self._events.write("case", case=pair.clean.id, psnr_db=change.psnr_db, checks=change.checks)

    def _add_problem(self, pair: Pair, error: str) -> None:
        names = (path.name for path in (*pair.clean.inputs, *pair.protected.inputs))
        named = error if any(name in error for name in names) else f"{pair.clean.id}: {error}"
        self.problems.append({"case": pair.clean.id, "error": named})
        self._events.write("case", case=pair.clean.id, error=named)

    def _pick_samples(self, clean: Case, protected: Case, record: Record | None) -> None:
        """None of a case without labels or classes, and none beyond the images that attackers take."""
        if not clean.segments and clean.classes is None:
            return
        windows = case_windows(clean, record)
        wanted = self._effort.images - sum(len(slices.targets) for slices in self.slices)
        if wanted > 0:
            most = min(wanted, max(1, self._effort.images // len(self._pairs)))
            self.slices.append(slices_of(clean, protected, windows, most, self._effort.side))
        if len(self.volumes) < self._effort.volumes:
            volume = volume_of(clean, protected, windows, self._effort.volume_side)
            self.volumes += [] if volume is None else [volume]
