"""Running protections, of nodes and of folders: polled by the panel, waited for in the console."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engine.errors import MedUnlearnableError
from ..engine.record import Record
from ..files import formats
from ..files.cases import CaseFiles
from ..files.certificates import Sealer
from ..files.outputs import MANIFEST, RECORD_ENDING
from ..files.volume import read_json
from ..jobs.events import Event
from ..jobs.job import Job
from ..jobs.runner import RunningJob, start
from . import certificates, segments, volumes
from .class_labels import has_label, with_classes
from .lesion_boxes import boxes_of
from .scene_case import SceneCase
from .waiting import error_of, new_temporary_folder, wait_until_ended


@dataclass(frozen=True)
class Outcome:
    """What became of one case: a new node with its record, or the sentence why there is none."""

    name: str  # of the input node, as it was at the start, or the id of the case in a folder
    volumeNode: Any | None = None
    record: Record | None = None
    error: str = ""


class ProtectJob:
    """A running protection of nodes. Poll it from a timer, or wait; the nodes appear when it has ended.

    The job holds a copy of all it needs: nodes may be deleted and the scene closed while it runs.
    """

    def __init__(
        self, cases: Sequence[SceneCase], method: str, options: dict[str, Any], sealer: Sealer | None = None
    ) -> None:
        self._sealer = sealer
        self._cases = {f"case{number:04d}": case for number, case in enumerate(cases)}
        self._sources = {case_id: volumes.Source.of(case.volumeNode) for case_id, case in self._cases.items()}
        self._errors: dict[str, str] = {}
        self._folder = new_temporary_folder()
        self._outcomes: list[Outcome] | None = None
        try:
            self._running = self._start(method, options)
        except BaseException:
            shutil.rmtree(self._folder)
            raise

    def poll(self) -> list[Event]:
        """New events, with nodes called by their names; never blocks."""
        return [self._translated(event) for event in _with_forecast_in_log(self._running.poll())]

    def isRunning(self) -> bool:
        return self._running.result is None

    @property
    def result(self) -> Event | None:
        """The last event: exit_code and message. None while the job runs."""
        return None if self._running.result is None else self._translated(self._running.result)

    def cancel(self) -> None:
        self._running.cancel()

    def wait(self, onEvent: Callable[[Event], None] | None = None) -> list[Any]:
        """Waits for the end, with the application kept alive, and returns the new volume nodes."""
        wait_until_ended(self, onEvent)
        return self.results()

    def results(self) -> list[Any]:
        """The new volume nodes, one for each case. Raises what the job, or its first failed case, was stopped by."""
        outcomes = self.outcomes()
        assert self.result is not None
        error = next((outcome.error for outcome in outcomes if outcome.error), "")
        if self.result["exit_code"] != 0 or error:
            raise error_of(self.result["exit_code"], self.result["message"] or error)
        return [outcome.volumeNode for outcome in outcomes]

    def outcomes(self) -> list[Outcome]:
        """What became of each case. The first call adds the nodes of all finished cases to the scene."""
        if self.isRunning():
            raise MedUnlearnableError("the job is still running; wait for it or cancel it")
        if self._outcomes is None:
            try:
                self._outcomes = [self._outcome(case_id) for case_id in self._cases]
            finally:
                shutil.rmtree(self._folder, ignore_errors=True)
        return self._outcomes

    def discard(self) -> None:
        """Ends the worker and forgets the results: for the end of the application."""
        self.cancel()
        self._running.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, method: str, options: dict[str, Any]) -> RunningJob:
        files = []
        for case_id, case in self._cases.items():
            image, label = self._folder / "in" / f"{case_id}.nrrd", None
            volumes.export(case.volumeNode, image)
            if case.segmentationNode is not None:
                label = self._folder / "in" / f"{case_id}.seg.nrrd"
                segments.export(case.segmentationNode, case.segmentIDs, case.volumeNode, label)
            files.append(CaseFiles(case_id, image, label, volumes.modality_of(case.volumeNode)))
        class_names = options.pop("class_names", None)
        if method.lower() == "salm" or (method.lower() == "medlocker" and has_label(self._cases.values())):
            files = with_classes(files, self._cases, class_names, options.get("state"))
        boxes = {case_id: boxes_of(case.lesionROIs, case.volumeNode) for case_id, case in self._cases.items()}
        if any(boxes.values()):
            options["parameters"] = {**options["parameters"], "boxes": {k: rows for k, rows in boxes.items() if rows}}
        out, private = self._folder / "out", self._folder / "private"
        return start(Job(method.lower(), tuple(files), out, private, **options), sealer=self._sealer)

    def _outcome(self, case_id: str) -> Outcome:
        source = self._sources[case_id]
        record_path = self._folder / "out" / f"{case_id}{RECORD_ENDING}"
        if not record_path.exists():
            assert self.result is not None
            return Outcome(source.name, error=self._errors.get(case_id) or self.result["message"])
        record = Record.from_json(read_json(record_path))
        if record.state != "protected":
            return Outcome(source.name, error=f"volume '{source.name}' was not changed: {record.warnings[0]}")
        stored = formats.read(self._folder / "out" / f"{case_id}.nrrd")
        assert stored.geometry is not None
        node = volumes.add_protected(source, stored.array, stored.geometry, record)
        certificates.attach(node, stored.path)
        return Outcome(source.name, node, record)

    def _translated(self, event: Event) -> Event:
        """The worker knows case ids and temporary files; the user knows node names."""
        event = dict(event)
        for key in ("message", "error"):
            if key in event:
                event[key] = self._in_node_names(event[key])
        if event.get("case"):
            if "error" in event:
                self._errors[event["case"]] = event["error"]
            event["case"] = self._sources[event["case"]].name
        return event

    def _in_node_names(self, message: str) -> str:
        for case_id, source in self._sources.items():
            for ending in (".seg.nrrd", ".nrrd"):
                message = message.replace(str(self._folder / "in" / f"{case_id}{ending}"), f"volume '{source.name}'")
            message = message.replace(case_id, f"volume '{source.name}'")
        return message


class FolderJob:
    """A running protection of a folder on disk; what it writes stays there. The same calls as `ProtectJob`."""

    def __init__(self, job: Job, resume: bool = False, sealer: Sealer | None = None) -> None:
        self._running = start(job, resume, sealer=sealer)

    @property
    def outputFolder(self) -> Path:
        """May be handed out."""
        return self._running.job.out

    @property
    def privateFolder(self) -> Path:
        """Holds the key of the run; stays with the owner."""
        return self._running.job.private

    def poll(self) -> list[Event]:
        return _with_forecast_in_log(self._running.poll())

    def isRunning(self) -> bool:
        return self._running.result is None

    @property
    def result(self) -> Event | None:
        return self._running.result

    def cancel(self) -> None:
        self._running.cancel()

    def discard(self) -> None:
        """Ends the worker; finished cases stay in the folder."""
        self._running.end()

    def outcomes(self) -> list[Outcome]:
        """The cases that the manifest of the finished run names."""
        if not self._running.finished_any:
            return []
        entries = read_json(self.outputFolder / MANIFEST)["cases"]
        return [self._outcome(entry) for entry in entries]

    def _outcome(self, entry: dict[str, Any]) -> Outcome:
        if "record" not in entry:
            return Outcome(entry["id"], error=entry["error"])
        record = Record.from_json(read_json(self.outputFolder / entry["record"]))
        return Outcome(entry["id"], record=record, error="" if record.state == "protected" else record.warnings[0])


def _with_forecast_in_log(events: list[Event]) -> list[Event]:
    """Slicer shows its log in the Python console, so who waits there sees the forecast too."""
    for event in events:
        if event["event"] == "forecast":
            logging.info("MedUnlearnable: %s", event["message"])
    return events
