"""The Audit's worker: `python -m MedUnlearnableLib.jobs.audit_worker FOLDER` does FOLDER/audit.json.

Events: `progress` (stage, number, of, done, total), `case` (case, psnr_db or error), `cell` (condition, arm, seed,
score, seconds), `warning`, `finished`.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..engine.audit.attacks import Attacks
from ..engine.audit.budget import Effort
from ..engine.audit.cells import Cell, CellResult
from ..engine.audit.change import case_windows, measure_change
from ..engine.audit.cohort import Cohort, Slices, assemble, slices_of
from ..engine.audit.conditions import class_conditions, segmentation_conditions
from ..engine.audit.summary import LIMITS, summarize
from ..engine.audit.verdict import judge, reservations
from ..engine.errors import Cancelled, MedUnlearnableError, Refused
from ..engine.progress import Progress
from ..engine.training import nan_to_none
from ..files.audit_report import Example, example_of, write_report
from ..files.pairs import Pair
from ..files.volume import PRIVATE_MODE, read_json, write_json
from ..files.weights import read_weights
from .audit_job import CELLS_FOLDER, REPORT_FILE, RESULTS_FILE, AuditJob
from .events import CANCEL_FILE, EventWriter
from .process import starter_is_gone

_FORMAT = "medunlearnable-audit/1"
_SECONDS_BETWEEN = 0.1
_EXAMPLES = 3  # cases shown as pictures
_CONTROL_SEED = 0  # of the control and the intervals: an audit repeats its figures
_NO_TORCH = "PyTorch is not installed, so nothing was attacked; install it to see whether the protection holds"
_NO_TARGETS = (
    "there are neither labels nor classes, so there is nothing an attacker could learn; give --labels or --classes"
)


def main(folder: Path) -> int:
    """Does the audit; whatever happens, the last event says how it ended."""
    events = EventWriter(folder)
    try:
        os.set_blocking(0, False)
        job = AuditJob.read(folder)
        code, message = Audit(job, events, AuditProgress(folder, events)).run()
    except Cancelled as error:
        code, message = error.exit_code, "cancelled; finished attackers are kept, go on with --resume"
    except MedUnlearnableError as error:
        code, message = error.exit_code, str(error)
    except MemoryError:
        code, message = 1, "the memory does not suffice for these images; close other programs or audit fewer cases"
    except OSError as error:
        code, message = 1, f"{error.filename}: {error.strerror}; check the folder and the disk"
    events.write("finished", exit_code=code, message=message)
    return code


class Audit:
    """First every pair is measured, then the attack test, if there is something to attack; then the report."""

    def __init__(self, job: AuditJob, events: EventWriter, progress: AuditProgress) -> None:
        self.job = job
        self.events = events
        self.progress = progress
        self.effort = Effort.of(job.budget_seconds)
        self._changes: list[dict[str, Any]] = []
        self._problems: list[dict[str, str]] = []
        self._slices: list[Slices] = []
        self._examples: list[Example] = []
        self._why_no_attack = "" if importlib.util.find_spec("torch") else _NO_TORCH
        self._shown = set(np.linspace(0, len(job.pairs) - 1, _EXAMPLES).astype(int).tolist())
        self._began = time.monotonic()

    def run(self) -> tuple[int, str]:
        for number, pair in enumerate(self.job.pairs):
            self.progress.begin("quality", number, len(self.job.pairs))
            self._measure(number, pair)
        if not self._changes:
            raise Refused(self._problems[0]["error"])
        attack = self._attack()
        results = nan_to_none(self._results(attack))
        write_json(self.job.out / RESULTS_FILE, results)
        write_report(self.job.out / REPORT_FILE, results, self._examples)
        failed = _failed_checks(self._changes)
        if self._problems or failed:
            first = self._problems[0]["error"] if self._problems else failed[0]
            return 1, f"{len(self._problems) + len(failed)} findings in the files, the first: {first}"
        return 0, attack["summary"]["headline"] if attack else self._why_no_attack

    def _measure(self, number: int, pair: Pair) -> None:
        """One pair to its end; the next begins with nothing of it in memory but its slices."""
        try:
            clean, protected, record = pair.load()
            change = measure_change(clean, protected, record)
            if number in self._shown:
                self._examples.append(example_of(clean, protected, change.window))
            self._pick_slices(clean, protected, record)
        except Cancelled:
            raise
        except MedUnlearnableError as error:
            self._add_problem(pair, str(error))
            return
        self._changes.append(change.to_json())
        self.events.write("case", case=pair.clean.id, psnr_db=change.psnr_db, checks=change.checks)

    def _add_problem(self, pair: Pair, error: str) -> None:
        names = (path.name for path in (*pair.clean.inputs, *pair.protected.inputs))
        named = error if any(name in error for name in names) else f"{pair.clean.id}: {error}"
        self._problems.append({"case": pair.clean.id, "error": named})
        self.events.write("case", case=pair.clean.id, error=named)

    def _pick_slices(self, clean: Any, protected: Any, record: Any) -> None:
        if self._why_no_attack:
            return
        if not clean.segments and clean.classes is None:
            self._why_no_attack = _NO_TARGETS
            return
        most = max(1, self.effort.images // len(self.job.pairs))
        try:
            windows = case_windows(clean, record)
            self._slices.append(slices_of(clean, protected, windows, most, self.effort.side))
        except Refused as error:
            self._why_no_attack = str(error)

    def _attack(self) -> dict[str, Any] | None:
        """The attack part of the results; None, with the reason kept, where there can be none."""
        if self._why_no_attack:
            return None
        try:
            cohort = assemble(self._slices, np.random.default_rng(_CONTROL_SEED))
        except Refused as error:
            self._why_no_attack = str(error)
            return None
        self._slices.clear()
        pretrained = read_weights(self.job.weights) if self.job.weights else None
        choose = segmentation_conditions if cohort.is_segmentation else class_conditions
        kept = KeptInFolder(self.job.out / CELLS_FOLDER, self.events)
        device = _device(self.job.device)
        attacks = Attacks(cohort, choose(pretrained is not None), self.effort, kept, device, pretrained, self.progress)
        attacks.run(self.job.budget_seconds, time.monotonic() - self._began)
        return self._concluded(cohort, attacks, device)

    def _concluded(self, cohort: Cohort, attacks: Attacks, device: str) -> dict[str, Any]:
        random = np.random.default_rng(_CONTROL_SEED)
        verdicts = [judge(result, cohort.floor, cohort.trivial, random) for result in attacks.results.values()]
        doubts = reservations(verdicts, cohort.test_cases, cohort.by_case, self.effort.small)
        summary = summarize(verdicts, doubts, attacks.left_out)
        return {
            "task": "segmentation" if cohort.is_segmentation else "classes",
            "score": "DSC" if cohort.is_segmentation else "balanced accuracy",
            "floor": cohort.floor,
            "trivial": cohort.trivial,
            "split": "by case, in blocks of neighbors" if cohort.by_case else "by contiguous slabs of each volume",
            "train_images": int(cohort.train.sum()),
            "test_images": int(cohort.test.sum()),
            "test_cases": cohort.test_cases,
            "image_pixels": list(cohort.clean.shape[2:]),
            "device": device,
            "effort": asdict(self.effort),
            "summary": summary.to_json(),
            "verdicts": [verdict.to_json() for verdict in verdicts if verdict.condition not in attacks.left_out],
            "cells": {
                name: [cell.to_json() for cells in result.by_arm.values() for cell in cells]
                for name, result in attacks.results.items()
                if result.seeds
            },
        }

    def _results(self, attack: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "software": f"MedUnlearnable {__version__}",
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "budget_seconds": self.job.budget_seconds,
            "seconds": round(time.monotonic() - self._began, 1),
            "pairs": len(self.job.pairs),
            "unpaired": list(self.job.unpaired),
            "problems": self._problems,
            "changes": self._changes,
            "attack": attack,
            "why_no_attack": self._why_no_attack,
            "limits": list(LIMITS),
        }


class AuditProgress(Progress):
    """Writes progress events, and stops the work when the cancel file appears or the starter is gone."""

    def __init__(self, folder: Path, events: EventWriter) -> None:
        self._cancel = folder / CANCEL_FILE
        self._events = events
        self._last = 0.0

    def begin(self, stage: str, number: int, of: int) -> None:
        self._last = 0.0
        self.step(stage, number, of)

    def step(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN:
            return
        self._last = now
        if starter_is_gone() or self._cancel.exists():
            raise Cancelled
        self._events.write("progress", stage=stage, done=done, total=total)


class KeptInFolder:
    """One file a cell, and one for the steps that were found to fit. Tells of each cell that is new."""

    def __init__(self, folder: Path, events: EventWriter) -> None:
        self._folder = folder
        self._steps_file = folder / "steps.json"
        self._events = events

    def result(self, key: str) -> CellResult | None:
        path = self._folder / f"{key}.json"
        return CellResult.from_json(read_json(path)["result"]) if path.exists() else None

    def keep_result(self, key: str, cell: Cell, result: CellResult) -> None:
        described = {"condition": asdict(cell.condition), "result": result.to_json()}
        write_json(self._folder / f"{key}.json", described, mode=PRIVATE_MODE)
        told = {"arm": result.arm, "seed": result.seed, "score": result.score, "seconds": round(result.seconds, 1)}
        self._events.write("cell", condition=cell.condition.name, **nan_to_none(told))

    def steps(self, pace: str) -> int | None:
        return read_json(self._steps_file).get(pace) if self._steps_file.exists() else None

    def keep_steps(self, pace: str, steps: int) -> None:
        known = read_json(self._steps_file) if self._steps_file.exists() else {}
        write_json(self._steps_file, {**known, pace: steps}, mode=PRIVATE_MODE)


def _device(asked: str) -> str:
    if asked != "auto":
        return asked
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _failed_checks(changes: Sequence[dict[str, Any]]) -> list[str]:
    """One sentence for each check that did not pass."""
    return [
        f"{change['case']}: the check '{name}' failed"
        for change in changes
        for name, passed in change["checks"].items()
        if passed is False
    ]


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sys.exit(main(Path(sys.argv[1])))
