"""The panel in the test host: real scene, real Qt widgets, real worker processes; not Slicer."""

import sys

import pytest
from panel_helpers import MODULE


@pytest.fixture
def module(scripted_module):
    """The module, loaded and entered in an empty scene."""
    yield scripted_module(MODULE)
    for name in [name for name in sys.modules if name.startswith("MedUnlearnableLib.panel")]:
        del sys.modules[name]  # made for this test's Slicer stand-ins


@pytest.fixture
def ui(module):
    return module.ui
