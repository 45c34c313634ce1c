"""What the panel of the Audit remembers, in the scene. Passphrases are not part of it."""

from __future__ import annotations

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import Choice, Default, parameterNodeWrapper

from ..jobs.methods import DEVICES

NODES, FOLDERS = "Nodes of the scene", "Folders of files"
BUDGETS = ("2m", "10m", "60m", "4h")


@parameterNodeWrapper
class AuditParameters:
    """The settings of the module MedUnlearnable Audit."""

    source: Annotated[str, Choice([NODES, FOLDERS]), Default(NODES)]
    clean: vtkMRMLScalarVolumeNode
    protected: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    cleanFolder: Annotated[str, Default("")]
    protectedFolder: Annotated[str, Default("")]
    labels: Annotated[str, Default("")]
    classes: Annotated[str, Default("")]
    budget: Annotated[str, Choice(list(BUDGETS)), Default("10m")]
    device: Annotated[str, Choice(list(DEVICES)), Default("auto")]
    weights: Annotated[str, Default("")]
    reportFolder: Annotated[str, Default("")]
