"""Cases for the panel, and ways to let the application live until something has happened."""

import time
from pathlib import Path

import numpy as np

MODULE = Path(__file__).parents[2] / "MedUnlearnable" / "MedUnlearnable.py"
AUDIT_MODULE = MODULE.with_name("MedUnlearnableAudit.py")


def add_case(name="CT", shape=(10, 40, 44), segments=("organ", "lesion")):
    """A volume and a segmentation drawn on it."""
    import slicer
    import slicer.util
    from MedUnlearnableLib.files.samples import synthetic_ct

    sample = synthetic_ct(shape)
    image = np.squeeze(sample.image, axis=0) if sample.image.ndim == 4 else sample.image
    labels = sample.labels
    volume = slicer.util.addVolumeFromArray(image, np.diag([1.0, 1.0, 2.0, 1.0]), name)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{name} segments")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for value, segment in enumerate(segments, start=1):
        segmentation.GetSegmentation().AddEmptySegment(segment, segment)
        mask = (labels >= value).astype(np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, segment, volume)
    return volume, segmentation


def add_folder(folder, count):
    """Folders `images` and `labels` with cases c00, c01 and so on, and an empty folder `out`."""
    from MedUnlearnableLib.files import nrrd
    from MedUnlearnableLib.files.samples import synthetic_ct
    from MedUnlearnableLib.files.volume import write_atomically

    for number in range(count):
        sample = synthetic_ct((6, 32, 32), number)
        for kind, array in (("images", sample.image), ("labels", sample.labels)):
            layers = array if array.ndim == 4 else array[np.newaxis]
            write_atomically(
                folder / kind / f"c{number:02}.nrrd",
                lambda file, layers=layers, sample=sample: nrrd.write(file, layers, sample.geometry, None),
            )
    (folder / "out").mkdir()


def finish(module, seconds=60):
    """Lets the application live until the run is over."""
    wait_for(lambda: module.widget.panel.keeper.run is None, seconds)


def wait_for(condition, seconds=60):
    import slicer

    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        slicer.app.processEvents()
        time.sleep(0.01)


def cell(table, row, column):
    return table.item(row, column).text()
