"""What the panel remembers, in the scene: it survives saving and loading an .mrb."""

from __future__ import annotations

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import Choice, Default, WithinRange, parameterNodeWrapper, parameterPack

from ..engine.umed import DEFAULT_EPSILON
from ..jobs.methods import DEVICES, METHODS

#: Raised when the meaning of a parameter changes; settings of a newer version are not guessed at.
SETTINGS_VERSION = 1
LARGEST_EPSILON = 32.0


@parameterPack
class CaseRow:
    """One row of the cases table: a volume with its segments, or a folder of files."""

    volume: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    segmentIDs: list[str]  # empty: all segments
    label: str  # class of the image, for methods that protect classification data
    imagesFolder: str  # not empty: this row is a folder
    labelsFolder: str
    classesPath: str  # a CSV, or a folder for each class
    outputFolder: str


@parameterNodeWrapper
class PanelParameters:
    """The settings of the module MedUnlearnable."""

    settingsVersion: Annotated[int, Default(SETTINGS_VERSION)]
    cases: list[CaseRow]
    method: Annotated[str, Choice([kind.name for kind in METHODS.values()]), Default("UMed")]
    profile: Annotated[str, Default("auto")]  # which there are depends on the method
    epsilon: Annotated[float, WithinRange(1.0, LARGEST_EPSILON), Default(255 * DEFAULT_EPSILON["instant"])]
    window: Annotated[str, Default("auto")]
    seed: Annotated[str, Default("")]  # empty: fresh and secret
    device: Annotated[str, Choice(list(DEVICES)), Default("auto")]
    stateFile: Annotated[str, Default("")]  # protect with this saved key
    saveStateFile: Annotated[str, Default("")]
    # Of single methods; see method_forms.py.
    region: Annotated[str, Default("all")]
    classNames: Annotated[str, Default("")]
    logo: Annotated[str, Default("PROTECTED")]
    logos: Annotated[str, Default("1")]
    mode: Annotated[str, Default("translucent")]
    lesions: Annotated[str, Default("avoid")]
    placement: Annotated[str, Default("column")]
    models: Annotated[str, Default("")]
    trustModels: Annotated[str, Default("no")]
    key: Annotated[str, Default("")]
    recipient: Annotated[str, Default("")]
