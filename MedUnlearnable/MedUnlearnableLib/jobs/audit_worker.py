"""The Audit's worker: `python -m MedUnlearnableLib.jobs.audit_worker FOLDER` does FOLDER/audit.json.

Events: `progress` (stage, done, total, elapsed_s, budget_s), `case` (case, psnr_db and checks, or error), `cell`
(condition, arm, seed, score, seconds), `finished`.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
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
from ..engine.audit.cohort import CLASS_SIDE, Cohort, assemble
from ..engine.audit.conditions import class_conditions, has_monai, segmentation_conditions
from ..engine.audit.summary import LIMITS, summarize
from ..engine.audit.verdict import judge, reservations
from ..engine.errors import Cancelled, MedUnlearnableError, Refused
from ..engine.training import nan_to_none
from ..files.audit_report import write_report
from ..files.volume import PRIVATE_MODE, read_json, write_json
from ..files.weights import read_weights
from .audit_images import ImageComparison
from .audit_job import CELLS_FOLDER, REPORT_FILE, RESULTS_FILE, AuditJob
from .audit_progress import AuditProgress
from .events import EventWriter

_FORMAT = "medunlearnable-audit/1"
_CONTROL_SEED = 0  # of the control and the intervals: an audit repeats its figures
_NO_TARGETS = (
    "there are neither labels nor classes, so there is nothing an attacker could learn; give --labels or --classes"
)
_NO_TORCH = "PyTorch is not installed, so nothing was attacked; install it to see whether the protection holds"


def main(folder: Path) -> int:
    """Does the audit; whatever happens, the last event says how it ended."""
    events = EventWriter(folder)
    try:
        os.set_blocking(0, False)
        job = AuditJob.read(folder)
        code, message = Audit(job, folder, events, AuditProgress(folder, events, job.budget_seconds)).run()
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
    """First the images are compared, then attacked, if there is something to attack; then the report is written."""

    def __init__(self, job: AuditJob, folder: Path, events: EventWriter, progress: AuditProgress) -> None:
        self.job = job
        self.effort = Effort.of(job.budget_seconds)
        self.images = ImageComparison(job.pairs, self.effort, folder, events, progress)
        self._progress = progress
        self._kept = KeptInFolder(job.out / CELLS_FOLDER, events)
        self._why_no_volumes = ""

    def run(self) -> tuple[int, str]:
        self.images.run(self.job.budget_seconds)
        if not self.images.changes:
            raise Refused(self.images.problems[0]["error"])
        try:
            attack, why_not = self._attack(), ""
        except _NothingToAttack as reason:
            attack, why_not = None, str(reason)
        results = nan_to_none(self._results(attack, why_not))
        write_json(self.job.out / RESULTS_FILE, results)
        write_report(self.job.out / REPORT_FILE, results, self.images.examples)
        findings = [problem["error"] for problem in self.images.problems] + _failed_checks(self.images.changes)
        if findings:
            return 1, f"{len(findings)} findings in the files, the first: {findings[0]}"
        return 0, attack["summary"]["headline"] if attack else why_not

    def _attack(self) -> dict[str, Any]:
        """The attack part of the results."""
        cohort = self._cohort()
        pretrained = read_weights(self.job.weights) if self.job.weights else None
        choose = segmentation_conditions if cohort.is_segmentation else class_conditions
        conditions = choose(pretrained is not None, cohort.volumes is not None)
        device = _device(self.job.device)
        attacks = Attacks(cohort, conditions, self.effort, self._kept, device, pretrained, self._progress)
        attacks.run(self.job.budget_seconds, self._progress.elapsed)
        return self._concluded(cohort, attacks, device)

    def _cohort(self) -> Cohort:
        if not self.images.slices:
            raise _NothingToAttack(_NO_TARGETS)
        if importlib.util.find_spec("torch") is None:
            raise _NothingToAttack(_NO_TORCH)
        try:
            volumes = self._volumes()
            return assemble(self.images.slices, np.random.default_rng(_CONTROL_SEED), volumes)
        except Refused as error:
            raise _NothingToAttack(str(error)) from None
        finally:
            self.images.slices.clear()

    def _volumes(self) -> Cohort | None:
        """For attackers that see volumes; None where there are none, or too few."""
        try:
            return assemble(self.images.volumes, np.random.default_rng(_CONTROL_SEED)) if self.images.volumes else None
        except Refused as error:
            self._why_no_volumes = str(error)
            return None
        finally:
            self.images.volumes.clear()

    def _concluded(self, cohort: Cohort, attacks: Attacks, device: str) -> dict[str, Any]:
        random = np.random.default_rng(_CONTROL_SEED)
        verdicts = []
        for result in attacks.results.values():
            seen = cohort.shown_to(result.condition)
            verdicts.append(judge(result, seen.floor, seen.trivial, random))
        doubts = reservations(verdicts[0], cohort.by_case, self.effort.small)
        summary = summarize(verdicts, doubts, attacks.left_out, self._unseen(cohort))
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
            "volumes": None if cohort.volumes is None else _counts(cohort.volumes),
            "device": device,
            "effort": asdict(self.effort),
            "width": attacks.width,
            "spent_seconds": round(attacks.spent, 1),
            "summary": summary.to_json(),
            "verdicts": [verdict.to_json() for verdict in verdicts if verdict.condition not in attacks.left_out],
            "cells": {
                name: [cell.to_json() for cells in result.by_arm.values() for cell in cells]
                for name, result in attacks.results.items()
                if result.seeds
            },
        }

    def _unseen(self, cohort: Cohort) -> list[str]:
        """What no attacker saw of these images, and who else could not come."""
        unseen = []
        most = self.effort.side if cohort.is_segmentation else CLASS_SIDE
        if max(cohort.clean.shape[2:]) >= most:
            unseen.append(f"more than {most} pixels a side of a slice: larger ones are cropped or reduced")
        if cohort.volumes is not None and max(cohort.volumes.clean.shape[2:]) >= self.effort.volume_side:
            unseen.append(
                f"more than {self.effort.volume_side} voxels a side of a volume: larger ones are cropped or reduced"
            )
        elif self._why_no_volumes:
            unseen.append(f"a network for volumes: {self._why_no_volumes}")
        return unseen if has_monai() else [*unseen, "networks of MONAI, which is not installed"]

    def _results(self, attack: dict[str, Any] | None, why_no_attack: str) -> dict[str, Any]:
        with_earlier = attack["spent_seconds"] if attack else 0.0  # of a resumed audit this process is a part
        return {
            "format": _FORMAT,
            "software": f"MedUnlearnable {__version__}",
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "budget_seconds": self.job.budget_seconds,
            "seconds": max(round(self._progress.elapsed, 1), with_earlier),
            "pairs": len(self.job.pairs),
            "not_looked_at": self.images.not_looked_at,
            "unpaired": list(self.job.unpaired),
            "problems": self.images.problems,
            "changes": self.images.changes,
            "attack": attack,
            "why_no_attack": why_no_attack,
            "limits": list(LIMITS),
        }


class _NothingToAttack(Exception):
    """Why there is no attack part; the images are reported all the same."""


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


def _counts(volumes: Cohort) -> dict[str, Any]:
    train, test = int(volumes.train.sum()), int(volumes.test.sum())
    return {"train": train, "test": test, "voxels": list(volumes.clean.shape[2:])}


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
