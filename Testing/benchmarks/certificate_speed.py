"""Signing, verifying and restoring a 512x512x300 int16 volume: files on disk (uncompressed NRRD), one process.

Bar: 5 s each. Wall clock, and the processor time of this process (one thread), which a busy machine inflates less. The
support is what the method changed: a logo of 128 pixels in every slice (MedLocker), the band and the
interior of segments (UMed, profile instant), or every voxel, the worst case.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import save
from MedUnlearnableLib.engine.case import Case, CasesInMemory
from MedUnlearnableLib.engine.certificate.keys import PrivateKey
from MedUnlearnableLib.engine.certificate.verify import Kind, Trust
from MedUnlearnableLib.engine.record import Protected
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import UMed, UMedParams
from MedUnlearnableLib.engine.window_rules import WindowSetting
from MedUnlearnableLib.files import nrrd
from MedUnlearnableLib.files.certificates import Sealer, restore_file, sidecars, verify_file
from MedUnlearnableLib.files.samples import synthetic_ct
from MedUnlearnableLib.files.volume import write_atomically

SHAPE = (300, 512, 512)
RUNS = 3
LOGO = 128
STEPS = ("sign", "verify", "restore")


def protected_images(case: Case) -> dict[str, Protected]:
    """By what was changed."""
    umed = UMed(UMedParams(profile="instant", window=WindowSetting("ct")), RandomStreams.from_number(1))
    umed.fit(CasesInMemory((case,)))
    segments = umed.protect(case)
    logo, everything = case.image.copy(), case.image.copy()
    logo[..., 192 : 192 + LOGO, 192 : 192 + LOGO] = 1000
    everything += np.random.default_rng(1).choice(np.array([-9, 9], "i2"), case.image.shape)
    return {
        "logo": Protected(case, logo, segments.record),
        "segments": segments,
        "every voxel": Protected(case, everything, segments.record),
    }


def measure(kind: str, protected: Protected, folder: Path) -> dict[str, Any]:
    """Seconds of one run after the other; all three steps must give what they promise."""
    case, sealer = protected.case, Sealer(PrivateKey.fresh("benchmark"))
    original, path = folder / "original.nrrd", folder / "protected.nrrd"
    for target, image in ((original, case.image), (path, protected.image)):
        write_atomically(target, lambda file, image=image: nrrd.write(file, image, case.geometry, None))
    times: dict[str, list[tuple[float, float]]] = {step: [] for step in STEPS}
    for _ in range(RUNS):
        restored = folder / "restored.nrrd"
        restored.unlink(missing_ok=True)
        stored = nrrd.read(original)
        marks = [_now()]
        sealer.write(path, stored, protected.image, protected)
        marks.append(_now())
        assert verify_file(path, lambda key: Trust.TRUSTED).kind is Kind.TRUSTED
        marks.append(_now())
        restore_file(path, restored, sealer.issuer, lambda key: Trust.TRUSTED)
        marks.append(_now())
        assert restored.read_bytes() == original.read_bytes()
        for name, before, after in zip(times, marks, marks[1:]):
            times[name].append((after[0] - before[0], after[1] - before[1]))
    sizes = [path.stat().st_size for path in sidecars(path) if path.exists()]
    return {
        "support": kind,
        "share_changed": float(np.mean(case.image != protected.image)),
        "sidecar_mb": sum(sizes) / 1e6,
        **{f"{name}_seconds_median": statistics.median(wall for wall, _ in runs) for name, runs in times.items()},
        **{f"{name}_seconds_max": max(wall for wall, _ in runs) for name, runs in times.items()},
        **{f"{name}_processor_seconds": statistics.median(used for _, used in runs) for name, runs in times.items()},
    }


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def main() -> None:
    sample = synthetic_ct(SHAPE)
    case = Case("ct", sample.image[np.newaxis], sample.geometry, (sample.labels,))
    print(f"{'support':>12}{'changed':>9}{'MB':>7}" + "".join(f"{step:>9}{'CPU':>7}" for step in STEPS))
    rows = []
    for kind, protected in protected_images(case).items():
        with tempfile.TemporaryDirectory() as folder:
            row = measure(kind, protected, Path(folder))
        rows.append(row)
        print(f"{kind:>12}{row['share_changed']:9.1%}{row['sidecar_mb']:7.1f}", end="")
        print("".join(f"{row[f'{s}_seconds_median']:9.2f}{row[f'{s}_processor_seconds']:7.2f}" for s in STEPS))
    save("certificate_speed", rows)


if __name__ == "__main__":
    main()
