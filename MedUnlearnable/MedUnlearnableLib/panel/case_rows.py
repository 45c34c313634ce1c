"""One row of the cases: what it says, whether it can be protected, and what the scene offers for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
import slicer.util
from slicer.i18n import tr as _

from ..scene.interrupted import Interrupted, interrupted_run
from ..scene.scene_case import SceneCase
from .method_forms import MethodForm
from .parameters import CaseRow


@dataclass(frozen=True)
class Row:
    """A `CaseRow` as it was read: each access to a field of the pack reads the parameter node, too slow for tables."""

    volume: Any
    segmentation: Any
    segmentIDs: tuple[str, ...]
    label: str
    imagesFolder: str
    labelsFolder: str
    classesPath: str
    outputFolder: str
    interrupted: Interrupted | None  # a run in the output folder that can go on

    @classmethod
    def of(cls, pack: CaseRow) -> Row:
        folders = pack.imagesFolder, pack.labelsFolder, pack.classesPath, pack.outputFolder
        nodes = _in_scene(pack.volume), _in_scene(pack.segmentation)
        interrupted = interrupted_run(Path(pack.outputFolder)) if pack.outputFolder else None
        return cls(*nodes, tuple(pack.segmentIDs), pack.label, *folders, interrupted)

    @property
    def image_text(self) -> str:
        if self.imagesFolder:
            return _("folder {name}").format(name=self.imagesFolder)
        return self.volume.GetName() if self.volume is not None else _("(volume missing)")

    @property
    def segments_text(self) -> str:
        if self.interrupted is not None:
            return going_on(self.interrupted)
        if self.imagesFolder:
            return _("labels in {name}").format(name=self.labelsFolder) if self.labelsFolder else _("(none)")
        if self.segmentation is None:
            return _("(none)")
        there = self.segmentation.GetSegmentation()
        names = [there.GetSegment(i).GetName() if there.GetSegment(i) else _("(missing)") for i in self.segmentIDs]
        return f"{self.segmentation.GetName()}: {', '.join(names) if names else _('all')}"

    def problem(self, form: MethodForm) -> str:
        """Why it cannot be protected, as far as can be seen without looking at voxels; empty if it can."""
        if self.imagesFolder:
            return ""
        if self.volume is None:
            return _("the volume is missing; choose one or remove the row.")
        if self.volume.GetImageData() is None:
            return _("'{name}' holds no image; load it again or choose another.").format(name=self.volume.GetName())
        if self.segmentation is None and form.needs_segments:
            return _("choose the segmentation of '{name}'.").format(name=self.volume.GetName())
        if form.needs_labels and self.segmentation is None and not self.label:
            return _("give the label of '{name}', below the table.").format(name=self.volume.GetName())
        if self.segmentation is not None and not all_segments(self.segmentation):
            return _("'{name}' holds no segment; draw one.").format(name=self.segmentation.GetName())
        return ""

    @property
    def scene_case(self) -> SceneCase:
        return SceneCase(self.volume, self.segmentation, list(self.segmentIDs) or None, self.label or None)


def reason_not_to_start(rows: list[Row], form: MethodForm) -> str:
    """One sentence; empty when all rows can be protected."""
    if not rows:
        return _("Add a volume or a folder to protect.")
    for number, row in enumerate(rows, start=1):
        problem = row.problem(form)
        if problem:
            return _("Row {number}: {problem}").format(number=number, problem=problem)
    return ""


def going_on(run: Interrupted) -> str:
    return _("goes on, with its own settings: {finished} of {total} cases are done").format(
        finished=run.finished, total=run.total
    )


def _in_scene(node: Any) -> Any:
    """None for a node that is just being removed: the parameter node still refers to it while the scene tells."""
    return node if node is not None and slicer.mrmlScene.IsNodePresent(node) else None


def image_volumes() -> list[Any]:
    """Volumes of the scene that can be protected: neither label maps nor our own results."""
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [
        node
        for node in nodes
        if not node.IsA("vtkMRMLLabelMapVolumeNode")
        and not node.GetHideFromEditors()
        and node.GetAttribute("MedUnlearnable.method") is None
    ]


def background_volume() -> Any:
    """The volume in the first slice view that shows one; without views, the only volume of the scene."""
    volumes = image_volumes()
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        node = slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID() or "")
        if node is not None and node in volumes:
            return node
    return volumes[0] if len(volumes) == 1 else None


def segmentation_for(volume: Any, volumes: list[Any]) -> Any:
    """The segmentation drawn on this volume; else the only one, if this is the only one of the `volumes`."""
    segmentations = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    drawn_on = [node for node in segmentations if node.GetNodeReference(role) is volume]
    if drawn_on:
        return drawn_on[0]
    return segmentations[0] if len(segmentations) == 1 and len(volumes) == 1 else None


def all_segments(segmentation: Any) -> list[str]:
    if segmentation is None:
        return []
    there = segmentation.GetSegmentation()
    return [there.GetNthSegmentID(index) for index in range(there.GetNumberOfSegments())]
