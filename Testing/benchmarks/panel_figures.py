"""Pictures of docs/tutorial.md: python Testing/benchmarks/panel_figures.py

The panel is drawn in the test host, and its pictures say so; the slice views are drawn by Slicer's own classes.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from slicer_test_utilities.host import running_application
from slicer_test_utilities.scripted_module import ScriptedModule, running_module

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "Resources" / "Figures"
PANEL_WIDTH = 342  # Slicer's default
VIEW_SIZE = (320, 300)
COHORT, TRAINING_STEPS, TRIALS_SHOWN = 20, 100, 8
CAPTION = "Rendered in the test host, not in Slicer"


def add_generated_ct() -> tuple[Any, Any]:
    """The click on GeneratedCT in the module Sample Data."""
    import SampleData

    sources = SampleData.SampleDataLogic.sources["MedUnlearnable"]
    source = next(source for source in sources if source.sampleName == "GeneratedCT")
    return source.customDownloader(source)


def protect(module: ScriptedModule, application: Any) -> None:
    module.ui.protectButton.click()
    while module.widget.panel.keeper.run is not None:
        application.processEvents()
        time.sleep(0.01)


def add_cohort(count: int) -> None:
    """Small images of one kind, enough to train on."""
    from MedUnlearnableLib.files.samples import synthetic_ct
    from MedUnlearnableLib.scene.sample_nodes import add_sample

    for number in range(count):
        add_sample(f"patient {number + 1}", synthetic_ct((1, 96, 96), number))


def picture_of_training(module: ScriptedModule, application: Any) -> None:
    """A short real training (needs PyTorch), caught near its end. Its length is not a choice of the panel."""
    from MedUnlearnableLib.panel.run import Run
    from MedUnlearnableLib.scene.logic import ProtectJob

    panel = module.widget.panel
    module.ui.profileComboBox.currentText = "standard"
    cases = [row.scene_case for row in panel.cases.rows]
    options = {"profile": "standard", "parameters": {"iterations": TRAINING_STEPS, "width": 8}}
    panel.keeper.run = Run([partial(ProtectJob, cases, "UMed", options)])
    panel._watch()
    while sum(map(len, panel.curve.points.values())) < TRIALS_SHOWN:
        application.processEvents()
        if panel.keeper.run is None:
            raise RuntimeError(f"the training ended early: {module.ui.statusLabel.text}")
        time.sleep(0.01)
    picture_of_panel(module, "panel_training.png")
    panel.keeper.run.cancel()
    while panel.keeper.run is not None:
        application.processEvents()
        time.sleep(0.01)


def picture_of_methods(module: ScriptedModule) -> None:
    """The controls of SALM and of MedLocker, side by side."""
    from slicer_test_utilities.pictures import grab

    parts = []
    for method in ("SALM", "MedLocker"):
        module.ui.methodComboBox.currentText = method
        module.ui.protectionSection.setMinimumWidth(PANEL_WIDTH)
        fit(module)
        parts.append(Image.open(grab(module.ui.protectionSection, FIGURES / "panel_methods.png", CAPTION)).copy())
    module.ui.protectionSection.setMinimumWidth(0)
    width = PANEL_WIDTH + 8
    whole = Image.new("RGB", (2 * width - 8, max(part.height for part in parts)), "white")
    for number, part in enumerate(parts):
        whole.paste(part, (number * width, 0))
    whole.save(FIGURES / "panel_methods.png")


def picture_of_panel(module: ScriptedModule, name: str) -> None:
    from slicer_test_utilities.pictures import grab

    fit(module)
    grab(module.container, FIGURES / name, CAPTION)


def fit(module: ScriptedModule) -> None:
    """The size that Slicer's scroll area gives."""
    import slicer

    module.container.setFixedWidth(PANEL_WIDTH)
    slicer.app.processEvents()
    module.container.setFixedHeight(module.container.heightForWidth(PANEL_WIDTH))
    slicer.app.processEvents()


def pictures_of_views(module: ScriptedModule, segmentation: Any) -> None:
    """Before, after and difference side by side, through the middle of the lesion."""
    import slicer
    from slicer_test_utilities.pictures import SliceView

    segmentation.SetDisplayVisibility(False)
    views = []
    for what in ("before", "after", "difference"):
        getattr(module.ui, f"{what}Button").click()
        composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
        shown = slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID())
        views.append(SliceView(shown, "Axial", lesion_offset(segmentation), VIEW_SIZE).pixels())
    module.ui.backButton.click()
    whole = Image.new("RGB", (len(views) * (VIEW_SIZE[0] + 4) - 4, VIEW_SIZE[1]), "white")
    for number, view in enumerate(views):
        whole.paste(Image.fromarray(view), (number * (VIEW_SIZE[0] + 4), 0))
    whole.save(FIGURES / "view_before_after_difference.png")


def lesion_offset(segmentation: Any) -> float:
    """Where along the patient's axis the last segment is."""
    ids = list(segmentation.GetSegmentation().GetSegmentIDs())
    bounds = [0.0] * 6
    segmentation.GetSegmentation().GetSegment(ids[-1]).GetBounds(bounds)
    return (bounds[4] + bounds[5]) / 2


def main() -> None:
    FIGURES.mkdir(exist_ok=True)
    module_file = ROOT / "MedUnlearnable" / "MedUnlearnable.py"
    with running_application() as application:
        import slicer

        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
        with running_module(module_file) as module:
            _, segmentation = add_generated_ct()
            module.enter()
            picture_of_panel(module, "panel_ready.png")
            protect(module, application)
            picture_of_panel(module, "panel_done.png")
            pictures_of_views(module, segmentation)
            picture_of_methods(module)
            slicer.mrmlScene.Clear(False)
            add_cohort(COHORT)
            module.ui.addAllButton.click()
            picture_of_training(module, application)


if __name__ == "__main__":
    main()
