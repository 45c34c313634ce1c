"""An audit small enough for the module's self test, by a real worker process."""

from __future__ import annotations

from typing import Any

import numpy as np


def audit_small_volume(logic: Any) -> None:
    """Compares a volume in noise with copies; raises AssertionError if the figures are not those of the change."""
    import slicer.util

    image = np.random.default_rng(0).integers(0, 400, (4, 32, 32)).astype(np.int16)
    changed = image.copy()
    changed[2, 10:20, 10:20] += 3
    volume, copy = (
        slicer.util.addVolumeFromArray(voxels, np.diag([1.0, 1.0, 3.0, 1.0]), name)
        for voxels, name in ((image, "self test"), (changed, "self test copy"))
    )
    figures = logic.audit(volume, copy).GetTable()
    largest, psnr = (figures.GetColumnByName(name).GetValue(0) for name in ("largest change", "PSNR dB"))
    assert largest == 3, "the largest change is not the one that was made"
    assert 50 < psnr < 70, "the PSNR is not that of the change"
    assert figures.GetColumnByName("failed checks").GetValue(0) == "", "a check failed without reason"
    assert np.array_equal(slicer.util.arrayFromVolume(volume), image), "the input changed"
