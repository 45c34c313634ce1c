"""A real MRML scene on slicer-core, cleared between tests."""

import pytest
from MedUnlearnableLib.scene import headless


@pytest.fixture
def scene():
    import slicer

    there = headless.start()
    there.Clear(False)
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(there)  # as in the application: always there
    yield there
    there.Clear(False)
