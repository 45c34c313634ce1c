"""Volumes treated as volumes or slice by slice: which protects better from a network for volumes, at equal PSNR?

    umed_volumes.py           every arm that has no result yet; kept in results/umed_volumes

Hippocampus volumes, split by case, both labels as one, shown to a 3D U-Net on a grid of 48 x 64 x 48. The generators of
`paper`, narrow and with few iterations, for a CPU; slice by slice they are trained on copies said to have slices 4 mm
apart, and their budget is then set so that the PSNR is that of the volumes. The carriers are always slice by slice.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from common import RESULTS, SAMPLES
from MedUnlearnableLib.engine.attack import AttackData, AttackSettings, attack
from MedUnlearnableLib.engine.case import Case, CasesInMemory, Geometry
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import UMed, UMedParams
from MedUnlearnableLib.files.cases import CaseFiles, load_case
from MedUnlearnableLib.files.volume import read_json, write_json
from numpy.typing import NDArray

DATA = SAMPLES.parent / "hippocampus"
FOLDER = RESULTS / "umed_volumes"
GRID = (48, 64, 48)
WIDTH, ITERATIONS = 8, 400
APART_MM = 4.0
EPSILON = 5 / 255  # of the window
ATTACKER = AttackSettings(width=8, steps=400, batch_size=2, learning_rate=3e-3)
Volumes = NDArray[np.float32]


@cache
def cases(part: str) -> tuple[Case, ...]:
    names = read_json(DATA / "splits.json")[part]
    files = (CaseFiles(name, *(DATA / kind / f"{name}.nii.gz" for kind in ("imagesTr", "labelsTr"))) for name in names)
    loaded = (load_case(file)[1] for file in files)
    return tuple(replace(case, segments=((case.segments[0] > 0).astype(np.uint8),)) for case in loaded)


def on_grid(volume: NDArray[Any]) -> NDArray[Any]:
    """[D, H, W] cropped or padded with its darkest value to `GRID`, around its center."""
    out = np.full(GRID, volume.min(), volume.dtype)
    low = [(side - wanted) // 2 for side, wanted in zip(volume.shape, GRID)]
    taken = tuple(slice(max(0, at), max(0, at) + wanted) for at, wanted in zip(low, GRID))
    put = tuple(slice(max(0, -at), max(0, -at) + volume[taken].shape[axis]) for axis, at in enumerate(low))
    out[put] = volume[taken]
    return out


def images(some: tuple[Case, ...]) -> Volumes:
    return np.stack([on_grid(case.image[0])[None] for case in some]).astype(np.float32)


def labels(some: tuple[Case, ...]) -> NDArray[np.uint8]:
    return np.stack([on_grid(case.segments[0]) for case in some])


def apart(some: tuple[Case, ...]) -> tuple[Case, ...]:
    """The same voxels, said to be thick slices along k."""
    return tuple(
        replace(case, geometry=Geometry.of_spacing((*case.geometry.spacing_kji[:0:-1], APART_MM))) for case in some
    )


def protected(method: UMed, some: tuple[Case, ...]) -> tuple[tuple[Case, ...], float]:
    """Protected cases and their mean PSNR."""
    done = [method.protect(case) for case in some]
    psnr = [each.record.psnr_db for each in done if each.record.psnr_db is not None]
    return tuple(replace(case, image=each.image) for case, each in zip(some, done)), float(np.mean(psnr))


def fitted(some: tuple[Case, ...], profile: str) -> UMed:
    sizes = {"width": WIDTH, "iterations": ITERATIONS} if profile == "paper" else {}
    method = UMed(UMedParams(profile=profile, epsilon=EPSILON, **sizes), RandomStreams.from_number(0))
    method.fit(CasesInMemory(some))
    return method


def clean() -> tuple[Volumes, float | None, dict[str, Any]]:
    return images(cases("train")), None, {}


def as_volumes(profile: str) -> tuple[Volumes, float | None, dict[str, Any]]:
    done, psnr = protected(fitted(cases("train"), profile), cases("train"))
    return images(done), psnr, {"epsilon": EPSILON}


def slice_by_slice() -> tuple[Volumes, float | None, dict[str, Any]]:
    """Three times the budget is corrected by how far the PSNR is off."""
    wanted = read_json(FOLDER / "volumes.json")["psnr_db"]
    some, epsilon = apart(cases("train")), EPSILON
    method = fitted(some, "paper")
    for _ in range(3):
        done, psnr = protected(UMed.from_state(method.state(), epsilon=epsilon), some)
        if abs(psnr - wanted) < 0.1:
            break
        epsilon *= 10 ** ((psnr - wanted) / 20)
    return images(done), psnr, {"epsilon": epsilon}


ARMS: dict[str, Callable[[], tuple[Volumes, float | None, dict[str, Any]]]] = {
    "clean": clean,
    "volumes": partial(as_volumes, "paper"),
    "slices": slice_by_slice,
    "instant": partial(as_volumes, "instant"),
    "standard": partial(as_volumes, "standard"),
}


def main() -> None:
    if not DATA.is_dir():
        sys.exit(f"the data set is not in {DATA}; nothing was measured")
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, arm in ARMS.items():
        path = FOLDER / f"{name}.json"
        if not path.exists():
            began = time.perf_counter()
            made, psnr, settings = arm()
            seconds = time.perf_counter() - began
            data = AttackData(made, labels(cases("train")), images(cases("test")), labels(cases("test")))
            result = attack(data, ATTACKER)
            row = {"arm": name, "psnr_db": psnr, "seconds_to_make": seconds, "dsc": result.dsc, **settings}
            write_json(path, {**row, "width": WIDTH, "iterations": ITERATIONS, "result": result.to_json()})
        row = json.loads(path.read_text())
        print(f"{name:10} DSC {row['dsc']:.3f}  PSNR {row['psnr_db'] or float('nan'):.1f} dB", flush=True)


if __name__ == "__main__":
    main()
