"""The logic of the module: the same in the Slicer panel, in the Python console, and on slicer-core without Slicer."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engine.errors import Cancelled, MedUnlearnableError, Refused, UsageError
from ..engine.record import Record
from ..files import formats
from ..files.cases import CaseFiles
from ..files.outputs import RECORD_ENDING
from ..files.volume import read_json
from ..jobs.events import Event
from ..jobs.job import Job
from ..jobs.runner import RunningJob, refuse_before_start
from . import segments, volumes

_ERRORS: dict[int, Callable[[str], MedUnlearnableError]] = {2: UsageError, 130: Cancelled}


@dataclass(frozen=True)
class SceneCase:
    """A volume with the segments that say where it may change. `segmentIDs` None: all of them."""

    volumeNode: Any
    segmentationNode: Any
    segmentIDs: Sequence[str] | None = None


class ProtectJob:
    """A running protection of nodes. Poll it from a timer, or wait; the nodes appear when it has ended."""

    def __init__(self, cases: Sequence[SceneCase], method: str, options: dict[str, Any]) -> None:
        self._cases = {f"case{number:04d}": case for number, case in enumerate(cases)}
        self._folder = Path(tempfile.mkdtemp(prefix="medunlearnable-", dir=_temporary_path()))
        self.lastEvent: Event | None = None
        try:
            self._running = self._start(method, options)
        except BaseException:
            shutil.rmtree(self._folder)
            raise

    def poll(self) -> list[Event]:
        """New events; never blocks."""
        events = self._running.poll()
        self.lastEvent = events[-1] if events else self.lastEvent
        return events

    def isRunning(self) -> bool:
        return self._running.result is None

    def cancel(self) -> None:
        self._running.cancel()

    def wait(self, onEvent: Callable[[Event], None] | None = None) -> list[Any]:
        """Waits for the end, with the application kept alive, and returns the new volume nodes."""
        self._running.wait(onEvent, pause=_pump_events())
        return self.results()

    def results(self) -> list[Any]:
        """The new volume nodes, one for each case; made at the first call. Raises what the worker was stopped by."""
        result = self._running.result
        if result is None:
            raise MedUnlearnableError("the job is still running; wait for it or cancel it")
        try:
            if result["exit_code"] != 0:
                raise _ERRORS.get(result["exit_code"], Refused)(self._in_node_names(result["message"]))
            return [self._add_result(case_id, case) for case_id, case in self._cases.items()]
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, method: str, options: dict[str, Any]) -> RunningJob:
        files = []
        for case_id, case in self._cases.items():
            image, label = self._folder / "in" / f"{case_id}.nrrd", self._folder / "in" / f"{case_id}.seg.nrrd"
            volumes.export(case.volumeNode, image)
            segments.export(case.segmentationNode, case.segmentIDs, case.volumeNode, label)
            files.append(CaseFiles(case_id, image, label, volumes.modality_of(case.volumeNode)))
        out, private, job_folder = (self._folder / name for name in ("out", "private", "job"))
        job = Job(method.lower(), tuple(files), out, private, **options)
        refuse_before_start(job)
        job_folder.mkdir()
        return RunningJob(job, job_folder)

    def _add_result(self, case_id: str, case: SceneCase) -> Any:
        if case.volumeNode.GetScene() is None:
            raise Refused("the input volume was removed from the scene during the run; its result has no place to go")
        record = Record.from_json(read_json(self._folder / "out" / f"{case_id}{RECORD_ENDING}"))
        if record.state != "protected":
            reason = " ".join(record.warnings)
            raise Refused(f"volume '{case.volumeNode.GetName()}' was not changed: {reason}")
        stored = formats.read(self._folder / "out" / f"{case_id}.nrrd")
        return volumes.add_protected(case.volumeNode, stored.array, record)

    def _in_node_names(self, message: str) -> str:
        """The worker knows case ids and temporary files; the user knows node names."""
        for case_id, case in self._cases.items():
            for name in (str(self._folder / "in" / f"{case_id}.nrrd"), case_id):
                message = message.replace(name, f"volume '{case.volumeNode.GetName()}'")
        return message


class MedUnlearnableLogic:
    """Protects volumes of the scene. Inputs are never changed; results are new nodes."""

    def protect(
        self,
        volumeNode: Any,
        segmentationNode: Any,
        method: str = "UMed",
        segmentIDs: Sequence[str] | None = None,
        **options: Any,
    ) -> Any:
        """Protects one volume and returns the new volume node.

        Options as on the command line: profile, epsilon (in 1/255 of the window), window ("auto", "ct", "mr" or
        "LO,HI"), seed, device, state and saveState (paths). Raises Refused with one sentence when it cannot be done.
        """
        return self.startProtect([SceneCase(volumeNode, segmentationNode, segmentIDs)], method, **options).wait()[0]

    def startProtect(self, cases: Sequence[SceneCase], method: str = "UMed", **options: Any) -> ProtectJob:
        """Starts protecting the cases as one data set and returns at once; see `ProtectJob`."""
        unknown = set(options) - {"profile", "epsilon", "window", "seed", "device", "state", "saveState"}
        if unknown:
            raise UsageError(
                f"option {sorted(unknown)[0]} is unknown; see the documentation of MedUnlearnableLogic.protect"
            )
        if not cases:
            raise Refused("there is no case to protect; give at least one volume")
        if "epsilon" in options and options["epsilon"] is not None:
            options["epsilon"] /= 255
        if "saveState" in options:
            options["save_state"] = options.pop("saveState")
        for name in ("state", "save_state"):
            if options.get(name) is not None:
                options[name] = Path(options[name])
        return ProtectJob(cases, method, options)


def _temporary_path() -> str | None:
    """Slicer's own temporary folder, which the user can set to a disk with room."""
    import slicer

    application = getattr(slicer, "app", None)
    return application.temporaryPath if application is not None else None


def _pump_events() -> Callable[[], None] | None:
    """Keeps Slicer's windows alive during a wait; without the application there is nothing to keep alive."""
    import slicer

    application = getattr(slicer, "app", None)
    if application is None:
        return None

    def pump() -> None:
        import time

        application.processEvents()
        time.sleep(0.02)

    return pump
