"""Pictures of docs/tutorial.md: python Testing/benchmarks/panel_figures.py

The panel is drawn in the test host, and its pictures say so; the slice views are drawn by Slicer's own classes.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from PIL import Image
from slicer_test_utilities.host import running_application
from slicer_test_utilities.scripted_module import ScriptedModule, running_module

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "Resources" / "Figures"
PANEL_WIDTH = 342  # Slicer's default
VIEW_SIZE = (320, 300)
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


def picture_of_panel(module: ScriptedModule, name: str) -> None:
    import slicer
    from slicer_test_utilities.pictures import grab

    module.container.setFixedWidth(PANEL_WIDTH)
    slicer.app.processEvents()
    module.container.setFixedHeight(module.container.heightForWidth(PANEL_WIDTH))  # as Slicer's scroll area does
    grab(module.container, FIGURES / name, CAPTION)


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


if __name__ == "__main__":
    main()
