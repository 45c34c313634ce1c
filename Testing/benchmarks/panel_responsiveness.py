"""How the panel feels: in the test host (real scene, Qt, worker; not Slicer), with two sizes of CT, and with 200 cases.

Bars: panel's own work per tick below 50 ms, export and loading apart; opening with 200 cases within 1 s.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from common import save
from slicer_test_utilities.host import running_application
from slicer_test_utilities.scripted_module import ScriptedModule, running_module

MODULE = Path(__file__).resolve().parents[2] / "MedUnlearnable" / "MedUnlearnable.py"
SHAPES = ((60, 256, 256), (150, 512, 512))
CASES = 200
TICK_MS = 20


class Stopwatch:
    """Takes the place of a method of an object and measures each call."""

    def __init__(self, owner: Any, name: str) -> None:
        self.started: list[float] = []
        self.seconds: list[float] = []
        self._call: Callable[..., Any] = getattr(owner, name)
        setattr(owner, name, self)

    def __call__(self, *arguments: Any) -> None:
        self.started.append(time.perf_counter())
        self._call(*arguments)
        self.seconds.append(time.perf_counter() - self.started[-1])


class Watch:
    """The application's clock and the panel's own work during one run."""

    def __init__(self, panel: Any) -> None:
        import qt

        self._panel = panel
        self.events = Stopwatch(panel, "_show_event")
        self.finish = Stopwatch(panel, "_finish")
        panel._timer.disconnect("timeout()", panel._poll)
        self.polls = Stopwatch(panel, "_poll")
        panel._timer.connect("timeout()", self.polls)
        self.ticks = [time.perf_counter()]
        self._clock = qt.QTimer()
        self._clock.setInterval(TICK_MS)
        self._clock.connect("timeout()", self._tick)
        self._clock.start()

    def _tick(self) -> None:
        self.ticks.append(time.perf_counter())

    def live(self, application: Any) -> None:
        """Until the run is over."""
        while self._panel.keeper.run is not None:
            application.processEvents()
            time.sleep(0.001)
        self._clock.stop()

    @property
    def largest_interval(self) -> float:
        """Between ticks, from the click to the loading of the result, which is reported apart."""
        end = self.finish.started[0]
        ticks = [*(tick for tick in self.ticks if tick < end), end]
        return max(later - earlier for earlier, later in pairwise(ticks))

    @property
    def largest_work(self) -> float:
        """Of the panel in one of its ticks, without the loading in the last one."""
        return max(*self.polls.seconds[:-1], self.polls.seconds[-1] - self.finish.seconds[0])


def measure_job(shape: tuple[int, int, int]) -> dict[str, float]:
    """One click on Protect, to the end of the run."""
    from MedUnlearnableLib.files.samples import synthetic_ct
    from MedUnlearnableLib.scene.sample_nodes import add_sample

    with running_application() as application, running_module(MODULE) as module:
        add_sample("CT", synthetic_ct(shape))
        module.ui.addAllButton.click()
        clicked = time.perf_counter()
        module.ui.protectButton.click()
        export = time.perf_counter() - clicked
        watch = Watch(module.widget.panel)
        watch.live(application)
        return {
            "slices": shape[0],
            "rows": shape[1],
            "export_s": export,
            "first_progress_s": watch.events.started[0] - clicked,
            "largest_interval_s": watch.largest_interval,
            "largest_work_s": watch.largest_work,
            "loading_s": watch.finish.seconds[0],
            "total_s": time.perf_counter() - clicked,
        }


def measure_opening(cases: int) -> dict[str, float]:
    """A scene with many cases in its parameter node: making and entering the panel."""
    import numpy as np
    from MedUnlearnableLib.engine.case import Geometry
    from MedUnlearnableLib.scene.sample_nodes import add_nodes

    with running_application():
        labels = np.zeros((4, 16, 16), np.uint8)
        labels[1:3, 4:12, 4:12] = 1
        for number in range(cases):
            image = np.random.default_rng(number).integers(0, 1000, (1, *labels.shape)).astype(np.int16)
            add_nodes(f"patient {number:03}", image, Geometry.of_spacing((1.0, 1.0, 1.0)), [labels], {1: "organ"})
        with running_module(MODULE) as module:
            started = time.perf_counter()
            module.ui.addAllButton.click()
            adding = time.perf_counter() - started
        again = ScriptedModule(MODULE)
        started = time.perf_counter()
        again.setup()
        again.enter()
        opening = time.perf_counter() - started
        shown = again.ui.casesTable.rowCount
        again.close()
    return {"cases": shown, "adding_s": adding, "opening_s": opening}


def main() -> None:
    rows: list[dict[str, float]] = []
    print("seconds    export  first progress  largest interval  work per tick  loading  total")
    for shape in SHAPES:
        row = measure_job(shape)
        rows.append(row)
        print(
            f"{shape[0]:3}x{shape[1]}^2 {row['export_s']:8.2f}{row['first_progress_s']:16.2f}"
            f"{row['largest_interval_s']:18.3f}{row['largest_work_s']:15.4f}{row['loading_s']:9.2f}{row['total_s']:7.2f}"
        )
    row = measure_opening(CASES)
    rows.append(row)
    print(f"{row['cases']} cases: opened in {row['opening_s']:.2f} s, added in {row['adding_s']:.2f} s")
    save("panel_responsiveness", rows)


if __name__ == "__main__":
    main()
