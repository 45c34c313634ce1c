"""The logic of the module: the same in the Slicer panel, in the Python console, and on slicer-core without Slicer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..engine.certificate.verify import Verdict
from ..engine.errors import Refused, UsageError
from ..files.cases import find_cases
from ..files.certificates import Sealer
from ..files.labeled_cases import find_labeled_cases
from ..files.logo import logo_of
from ..jobs.job import Job
from .audit import AuditPair, SceneAudit
from .certificates import restore_node, sealer_of, verify_node
from .interrupted import interrupted_job
from .protect_job import FolderJob, Outcome, ProtectJob
from .scene_case import SceneCase

__all__ = [
    "OPTIONS",
    "AuditPair",
    "FolderJob",
    "MedUnlearnableLogic",
    "Outcome",
    "ProtectJob",
    "SceneAudit",
    "SceneCase",
]

#: What `protect` and its like take beside the cases; the panel shows a control for each that it knows.
OPTIONS = frozenset(
    {"profile", "epsilon", "window", "seed", "device", "state", "saveState", "region", "classNames"}
    | {"logo", "logos", "mode", "lesions", "placement", "models", "trustModels"}
    | {"key", "passphrase", "recipient"}
)
#: Those that go to the method, by its own names.
_PARAMETERS = {
    **{name: name for name in ("region", "logo", "logos", "mode", "lesions", "placement", "models")},
    "trustModels": "trust_models",
}


class MedUnlearnableLogic:
    """Protects volumes of the scene. Inputs are never changed; results are new nodes."""

    def protect(
        self,
        volumeNode: Any,
        segmentationNode: Any = None,
        method: str = "UMed",
        segmentIDs: Sequence[str] | None = None,
        label: str | None = None,
        lesionROIs: Sequence[Any] = (),
        **options: Any,
    ) -> Any:
        """Protects one volume and returns the new volume node.

        Options as on the command line: profile, epsilon (in 1/255 of the window), window ("auto", "ct", "mr" or
        "LO,HI"), seed, device, state and saveState (paths); SALM: region and classNames (all classes, in their order).
        MedLocker: logo (a text, or the path of a PNG), logos (1 to 3), mode ("translucent", "sealed"), lesions
        ("avoid", "off", "inside"), placement ("column", "slice", "volume"), models (descriptions), trustModels.
        With `key`, a key file, and its `passphrase` the result is signed and can be restored exactly; `recipient`:
        public keys, or their files, of who may restore it besides.
        `label`: the class of the volume, for SALM and MedLocker. `lesionROIs`: markups ROIs that MedLocker keeps free.
        Raises Refused with one sentence when it cannot be done.
        """
        case = SceneCase(volumeNode, segmentationNode, segmentIDs, label, lesionROIs)
        return self.protectCases([case], method, **options)[0]

    def protectCases(self, cases: Sequence[SceneCase], method: str = "UMed", **options: Any) -> list[Any]:
        """Protects the cases as one data set, and returns the new volume nodes; options as of `protect`."""
        return self.startProtect(cases, method, **options).wait()

    def startProtect(self, cases: Sequence[SceneCase], method: str = "UMed", **options: Any) -> ProtectJob:
        """Starts protecting the cases as one data set and returns at once; see `ProtectJob`."""
        if not cases:
            raise Refused("there is no case to protect; give at least one volume")
        sealer = _sealer_of(options)
        return ProtectJob(cases, method, _job_options(options), sealer)

    def startProtectFolder(
        self,
        images: Path | str,
        labels: Path | str | None,
        out: Path | str,
        method: str = "UMed",
        classes: Path | str | None = None,
        **options: Any,
    ) -> FolderJob:
        """Starts protecting a folder of files into the new folder `out`, as the command line does.

        `classes`: for SALM and MedLocker a CSV, or a folder for each class.
        """
        sealer = _sealer_of(options)
        given = _job_options(options)
        class_names = given.pop("class_names", None)
        where = Path(images), Path(labels) if labels else None
        if method.lower() == "salm":
            needs_segments = options.get("region", "all") != "all"
            cases, _ = find_labeled_cases(*where, Path(classes) if classes else None, class_names, needs_segments)
        elif classes:
            cases, _ = find_labeled_cases(*where, Path(classes), class_names, segments_needed=labels is not None)
        elif method.lower() == "medlocker":
            cases = find_cases(*where, label_needed=labels is not None)
        else:
            cases = find_cases(*where)
        folder = Path(out)
        private = folder.with_name(f"{folder.name}-private")
        return FolderJob(Job(method.lower(), tuple(cases), folder, private, **given), sealer=sealer)

    def resumeFolder(self, out: Path | str, **options: Any) -> FolderJob:
        """Goes on with the run that was interrupted in the folder `out`, with the settings it was started with.

        Options: key, passphrase and recipient, if its images are signed; they are kept nowhere.
        """
        job, sealer = interrupted_job(Path(out)), _sealer_of(options)
        if job.key is not None and sealer is None:
            raise Refused(f"{out}: this run signs its images; give the key it was started with")
        return FolderJob(job, resume=True, sealer=sealer)

    def verify(self, volumeNode: Any) -> Verdict:
        """Whether a result is as it was signed, and by whom: `label`, `sentence`, changed `slices`."""
        return verify_node(volumeNode)

    def restore(self, volumeNode: Any, key: Path | str, passphrase: str = "") -> Any:
        """The exact original of a signed result as a new volume node, for who holds the key."""
        return restore_node(volumeNode, key, passphrase)

    def audit(
        self,
        volumeNode: Any,
        protectedNode: Any,
        segmentationNode: Any = None,
        budget: str = "10m",
        reportFolder: Path | str | None = None,
        **options: Any,
    ) -> Any:
        """Measures what protection did and trains attackers for `budget` ("90s", "10m", "2h"); returns a table node.

        Rows are conditions with their verdicts, or the images where nothing can be attacked (no PyTorch, no segments).
        Learning curves and bars become plot charts; report.html lies in `reportFolder` and shows the originals.
        Options: segmentIDs, device, weights (a file, for a pretrained start).
        """
        case = SceneCase(volumeNode, segmentationNode, options.pop("segmentIDs", None))
        return self.startAudit([AuditPair(case, protectedNode)], budget, reportFolder, **options).wait().table

    def startAudit(
        self, pairs: Sequence[AuditPair], budget: str = "10m", reportFolder: Path | str | None = None, **options: Any
    ) -> SceneAudit:
        """Starts an audit of cases and their protected copies as one data set, and returns at once."""
        return SceneAudit.of_nodes(pairs, Path(reportFolder) if reportFolder else None, budget, **options)


def _sealer_of(options: dict[str, Any]) -> Sealer | None:
    """Takes key, passphrase and recipient out of the options: a job must not hold them."""
    key, passphrase = options.pop("key", None), options.pop("passphrase", "")
    return sealer_of(key, passphrase, options.pop("recipient", []))


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
    for name, own in (("saveState", "save_state"), ("classNames", "class_names")):
        if name in given:
            given[own] = given.pop(name)
    if "logo" in given:
        given["logo"] = logo_of(given["logo"])
    if "models" in given:
        given["models"] = [str(Path(path).resolve()) for path in given["models"]]
    given["parameters"] = {own: given.pop(name) for name, own in _PARAMETERS.items() if name in given}
    return {name: Path(value) if name in ("state", "save_state") else value for name, value in given.items()}
