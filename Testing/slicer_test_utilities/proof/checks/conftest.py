from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def proof_folder() -> Path:
    return Path(os.environ["PROOF_FOLDER"])


@pytest.fixture
def add_volume(slicer_app):
    import numpy as np
    import slicer

    def add(name: str = "PostDentalSurgery"):
        return slicer.util.addVolumeFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4), name=name)

    return add
