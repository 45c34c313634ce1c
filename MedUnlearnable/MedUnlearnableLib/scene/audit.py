"""Audits of nodes and of folders: polled by the panel, waited for in the console; results become nodes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..engine.audit.budget import parse_budget
from ..engine.errors import MedUnlearnableError, Refused
from ..files.cases import CaseFiles
from ..files.pairs import Pair, find_pairs
from ..files.volume import read_json, write_atomically
from ..jobs.audit_job import RESULTS_FILE, AuditJob, RunningAudit, holds_audit, start_audit
from ..jobs.events import Event
from . import segments, volumes
from .audit_nodes import AuditNodes, add_nodes
from .class_labels import has_label, with_classes
from .scene_case import SceneCase
from .waiting import error_of, new_temporary_folder, wait_until_ended, was_stopped


@dataclass(frozen=True)
class AuditPair:
    """A case of the scene, and the volume node that protection made of it."""

    case: SceneCase
    protectedNode: Any


class SceneAudit:
    """A running audit. Poll it from a timer, or wait; nodes appear when it has ended.

    The report lies in `reportFolder`. Nodes may be deleted and the scene closed while it runs.
    """

    def __init__(self, job: AuditJob, copies: Path | None = None, resume: bool = False) -> None:
        self._copies = copies  # of the nodes, gone with the run
        self._running: RunningAudit = start_audit(job, resume)

    @classmethod
    def of_nodes(
        cls,
        pairs: Sequence[AuditPair],
        out: Path | None,
        budget: str,
        device: str = "auto",
        weights: Path | None = None,
    ) -> SceneAudit:
        """`out` None: a new folder in Slicer's temporary folder, which stays until the user removes it."""
        if not pairs:
            raise Refused("there is nothing to audit; choose a volume and its protected copy")
        seconds = parse_budget(budget)
        copies = new_temporary_folder()
        try:
            files = tuple(_exported(pairs, copies))
            folder = out or copies.with_name(f"{copies.name}-report")
            job = AuditJob(files, folder, seconds, device=device, weights=weights)
            return cls(job, copies)
        except BaseException:
            shutil.rmtree(copies, ignore_errors=True)
            raise

    @classmethod
    def of_folders(
        cls,
        clean: Path,
        protected: Path,
        labels: Path | None,
        classes: Path | None,
        out: Path,
        budget: str,
        device: str = "auto",
        weights: Path | None = None,
    ) -> SceneAudit:
        """As the command line does. A folder with an interrupted audit is gone on with."""
        found = find_pairs(clean, protected, labels, classes)
        job = AuditJob.of(found, out, parse_budget(budget), device=device, weights=weights)
        return cls(job, resume=holds_audit(out))

    @property
    def reportFolder(self) -> Path:
        return self._running.job.out

    @property
    def report(self) -> Path | None:
        """The HTML page, once it is there."""
        return self._running.report if self._running.report.exists() else None

    @property
    def result(self) -> Event | None:
        """The last event: exit_code and message. None while it runs."""
        return self._running.result

    def isRunning(self) -> bool:
        return self.result is None

    def poll(self) -> list[Event]:
        """New events; never blocks."""
        events = self._running.poll()
        if not self.isRunning():
            self._forget_copies()
        return events

    def cancel(self) -> None:
        self._running.cancel()

    def discard(self) -> None:
        """Ends the worker: for the end of the application."""
        self._running.end()
        self._forget_copies()

    def wait(self, onEvent: Callable[[Event], None] | None = None) -> AuditNodes:
        """Waits for the end, with the application kept alive, and returns the nodes of the results.

        Raises Cancelled, or what the audit was stopped by. Findings in the files stop nothing: the table names them.
        """
        wait_until_ended(self, onEvent)
        return self.nodes()

    def results(self) -> dict[str, Any]:
        """What stands in report.json. Raises what the audit was stopped by, if there is no report."""
        if self.result is None:
            raise MedUnlearnableError("the audit is still running; wait for it or cancel it")
        if self.report is None or was_stopped(self.result["exit_code"]):
            raise error_of(self.result["exit_code"], self.result["message"])
        return read_json(self.reportFolder / RESULTS_FILE)

    def nodes(self) -> AuditNodes:
        """Adds the nodes of the results to the scene."""
        return add_nodes(self.results(), self.report)

    def _forget_copies(self) -> None:
        if self._copies is not None:
            shutil.rmtree(self._copies, ignore_errors=True)


def _exported(pairs: Sequence[AuditPair], folder: Path) -> list[Pair]:
    """Files of all nodes. A case is called by the name of its volume."""
    names = _unique_names([pair.case.volumeNode.GetName() for pair in pairs])
    cases = dict(zip(names, (pair.case for pair in pairs)))
    clean = [
        _export_case(folder / f"clean{number:04d}", name, case) for number, (name, case) in enumerate(cases.items())
    ]
    if has_label(cases.values()) and any(case.segmentationNode is None for case in cases.values()):
        clean = with_classes(clean, cases, None, None)
    return [
        _export_pair(folder / f"protected{n:04d}", c, pair.protectedNode)
        for n, (c, pair) in enumerate(zip(clean, pairs))
    ]


def _export_case(stem: Path, name: str, case: SceneCase) -> CaseFiles:
    image, label = stem.with_suffix(".nrrd"), None
    volumes.export(case.volumeNode, image)
    if case.segmentationNode is not None:
        label = stem.with_suffix(".seg.nrrd")
        segments.export(case.segmentationNode, case.segmentIDs, case.volumeNode, label)
    return CaseFiles(name, image, label, volumes.modality_of(case.volumeNode))


def _export_pair(stem: Path, clean: CaseFiles, protected: Any) -> Pair:
    if protected is None:
        raise Refused(f"the protected copy of '{clean.id}' is missing; choose it")
    image = stem.with_suffix(".nrrd")
    volumes.export(protected, image)
    record, node = None, protected.GetNodeReference(volumes.RECORD_REFERENCE)
    if node is not None:
        record = stem.with_suffix(".json")
        write_atomically(record, lambda file: file.write(node.GetText().encode()))
    return Pair(clean, replace(clean, image=image, label=None, classes=None), record)


def _unique_names(names: Sequence[str]) -> list[str]:
    """Two volumes of one name are two cases."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return unique


def headline_of(results: Mapping[str, Any]) -> str:
    """The verdict in one sentence."""
    attack = results["attack"]
    if attack is None:
        return f"The protection was not tested: {results['why_no_attack']}."
    only = "Indicative only. " if attack["summary"]["indicative_only"] else ""
    return f"{only}{attack['summary']['headline']}"
