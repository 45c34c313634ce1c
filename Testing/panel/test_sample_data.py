"""The generated samples in Slicer's Sample Data module, in the test host."""

import sys
from pathlib import Path

import pytest
from MedUnlearnableLib.files.samples import SAMPLES
from MedUnlearnableLib.panel import sample_data
from PIL import Image


@pytest.fixture
def sources(slicer_app):
    import SampleData

    sample_data.register()
    return SampleData.SampleDataLogic.sources[sample_data.CATEGORY]


def test_every_sample_is_offered_with_a_picture(sources):
    assert [source.sampleName for source in sources] == list(SAMPLES)
    for source in sources:
        with Image.open(source.thumbnailFileName) as picture:
            assert picture.size == (260, 280)


def test_nothing_is_downloaded(sources):
    """Slicer reads the lengths of these lists when a source is registered: None fails there."""
    assert all(source.uris == source.fileNames == source.nodeNames == [] for source in sources)


def test_thumbnails_are_small(sources):
    assert all(Path(source.thumbnailFileName).stat().st_size < 60_000 for source in sources)


def test_registering_again_describes_the_same_downloader(slicer_app):
    """Slicer leaves out a source whose text it has already; the address of a function would differ after a reload."""
    assert str(sample_data._Generator("GeneratedCT")) == "_Generator(name='GeneratedCT')"


@pytest.mark.parametrize("name", SAMPLES)
def test_a_click_adds_volume_and_segments(sources, name):
    import slicer

    source = next(source for source in sources if source.sampleName == name)
    volume, segmentation = source.customDownloader(source)
    assert volume.GetName() == name
    assert volume.GetAttribute("MedUnlearnable.label")
    assert segmentation.GetSegmentation().GetNumberOfSegments() >= 1
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert all(composite.GetBackgroundVolumeID() == volume.GetID() for composite in composites)


def test_without_the_sample_data_module_nothing_happens(slicer_app, monkeypatch):
    monkeypatch.setitem(sys.modules, "SampleData", None)
    sample_data.register()
