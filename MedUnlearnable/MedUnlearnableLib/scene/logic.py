"""The logic of the module: the same in the Slicer panel, in the Python console, and on slicer-core without Slicer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..engine.errors import Refused, UsageError
from ..files.cases import find_cases
from ..jobs.job import Job
from .interrupted import interrupted_job
from .protect_job import FolderJob, Outcome, ProtectJob, SceneCase

__all__ = ["OPTIONS", "FolderJob", "MedUnlearnableLogic", "Outcome", "ProtectJob", "SceneCase"]

#: What `protect` and its like take beside the cases; the panel shows a control for each that it knows.
OPTIONS = frozenset({"profile", "epsilon", "window", "seed", "device", "state", "saveState"})


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
        if not cases:
            raise Refused("there is no case to protect; give at least one volume")
        return ProtectJob(cases, method, _job_options(options))

    def startProtectFolder(
        self, images: Path | str, labels: Path | str | None, out: Path | str, method: str = "UMed", **options: Any
    ) -> FolderJob:
        """Starts protecting a folder of files into the new folder `out`, as the command line does."""
        cases = find_cases(Path(images), Path(labels) if labels else None)
        folder = Path(out)
        private = folder.with_name(f"{folder.name}-private")
        return FolderJob(Job(method.lower(), tuple(cases), folder, private, **_job_options(options)))

    def resumeFolder(self, out: Path | str) -> FolderJob:
        """Goes on with the run that was interrupted in the folder `out`, with the settings it was started with."""
        return FolderJob(interrupted_job(Path(out)), resume=True)


def _job_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options in the words of `Job`: epsilon as a fraction, paths as paths."""
    unknown = set(options) - OPTIONS
    if unknown:
        raise UsageError(
            f"option {sorted(unknown)[0]} is unknown; see the documentation of MedUnlearnableLogic.protect"
        )
    given = {name: value for name, value in options.items() if value is not None}
    if "epsilon" in given:
        given["epsilon"] /= 255
    if "saveState" in given:
        given["save_state"] = given.pop("saveState")
    return {name: Path(value) if name in ("state", "save_state") else value for name, value in given.items()}
