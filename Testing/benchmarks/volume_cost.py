"""Time and memory of profile instant on a CT of 512x512 with 50, 150 and 300 slices, from uncompressed NRRD.

Bars at 300 slices: 60 s on 2 cores; 3 times the float32 size of the volume above the idle worker. Cost is linear.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import numpy as np
from common import protect, save
from MedUnlearnableLib.files import nrrd
from MedUnlearnableLib.files.samples import synthetic_ct
from MedUnlearnableLib.files.volume import write_atomically

SLICES = (50, 150, 300)
RUNS = 3


def measure(slices: int, folder: Path) -> dict[str, float]:
    sample = synthetic_ct((slices, 512, 512))
    image, labels = folder / f"ct{slices}.nrrd", folder / f"labels{slices}.nrrd"
    for path, array in ((image, sample.image), (labels, sample.labels)):
        write_atomically(path, lambda file, array=array: nrrd.write(file, array[np.newaxis], sample.geometry, None))
    runs = [protect(image, labels) for _ in range(RUNS)]
    float32_mb = sample.image.size * 4 / 2**20
    extra_mb = max(run["peak_mb"] - run["idle_mb"] for run in runs)
    return {
        "slices": slices,
        "roi_share": float(np.mean(sample.labels != 0)),
        "seconds_median": statistics.median(run["seconds"] for run in runs),
        "seconds_min": min(run["seconds"] for run in runs),
        "seconds_max": max(run["seconds"] for run in runs),
        "memory_above_idle_mb": extra_mb,
        "memory_in_float32_volumes": extra_mb / float32_mb,
    }


def main() -> None:
    print(f"{'slices':>7}{'ROI':>7}{'seconds':>9}{'min':>7}{'max':>7}{'MB above idle':>15}{'x float32':>11}")
    rows = []
    for slices in SLICES:
        with tempfile.TemporaryDirectory() as folder:
            row = measure(slices, Path(folder))
        rows.append(row)
        print(
            f"{slices:7}{row['roi_share']:7.1%}{row['seconds_median']:9.2f}{row['seconds_min']:7.2f}"
            f"{row['seconds_max']:7.2f}{row['memory_above_idle_mb']:15.0f}{row['memory_in_float32_volumes']:11.2f}"
        )
    save("volume_cost", rows)


if __name__ == "__main__":
    main()
