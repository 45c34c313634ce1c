"""How profile instant holds against an attacker who trains from scratch: flips, 1,000 steps, U-Net of width 16, CPU.

    clean       nothing is protected: the row the others are read against
    instant     every training image protected
    cleaned     the attacker first subtracts the carrier, without the key (see carrier_key.py)
    label-free  the same checkerboard over the whole image: a control that knows no label

Tested on clean images of other cases. One seed; differences below 0.05 mean nothing. Needs torch and the data sets
beside the repository: `make bench-strength`. Each cell is a JSON of its own; a cell that is there is not run again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import numpy as np
from carrier_key import without_carrier
from common import RESULTS, SAMPLES
from MedUnlearnableLib.engine.attack import AttackData, AttackSettings, attack
from MedUnlearnableLib.engine.carrier import Carrier
from MedUnlearnableLib.engine.case import Case, Geometry
from MedUnlearnableLib.engine.quality import measure
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import UMed, UMedParams
from MedUnlearnableLib.engine.window import IntensityWindow
from numpy.typing import NDArray

FOLDER = RESULTS / "instant_strength"
DATA = SAMPLES.parent
WINDOW = IntensityWindow(0.0, 255.0, 1.0)
Pictures = NDArray[np.uint8]  # [N, H, W]


def busi() -> tuple[Pictures, Pictures, Pictures, Pictures]:
    """Benign and malignant lesions; train images and masks, test images and masks."""
    data = np.load(DATA / "busi_128.npz")
    train, test = (i[data["labels"][i] < 2] for i in (data["train_idx"], data["test_idx"]))
    return data["images"][train], data["masks"][train], data["images"][test], data["masks"][test]


def hippocampus() -> tuple[Pictures, Pictures, Pictures, Pictures]:
    data = np.load(DATA / "hippocampus_slices_48.npz")
    train, test = data["train_idx"], data["test_idx"]
    return data["images"][train], data["masks"][train], data["images"][test], data["masks"][test]


SETS = {"busi": busi, "hippocampus": hippocampus}


def instant(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return _method().protect(_case(image, mask)).image[0, 0]


def cleaned(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    protected = _method().protect(_case(image, mask)).image
    return without_carrier(_case(image, mask), protected, WINDOW, UMedParams().budget_share)[0, 0]


def label_free(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    epsilon = UMedParams().budget_share
    case = _case(image, mask)
    j, i = (slice(0, n) for n in image.shape)
    delta = epsilon * Carrier(1).pattern((slice(0, 1), j, i), case.geometry.spacing_kji, case.shape_kji)
    return WINDOW.write_back(image, delta[0], np.ones(image.shape, bool), epsilon)


ARMS: dict[str, Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "clean": lambda image, mask: image,
    "instant": instant,
    "cleaned": cleaned,
    "label-free": label_free,
}


def _method() -> UMed:
    return UMed(UMedParams(), RandomStreams.from_number(0))


def _case(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> Case:
    geometry = Geometry.of_spacing((1.0, 1.0, 1.0))
    return Case("picture", image[np.newaxis, np.newaxis], geometry, (mask[np.newaxis],), modality="picture")


def run(set_name: str, arm: str) -> None:
    images, masks, test_images, test_masks = SETS[set_name]()
    protected = np.stack([ARMS[arm](image, mask) for image, mask in zip(images, masks)])
    qualities = [measure(a[None, None], b[None, None], WINDOW) for a, b in zip(images, protected)]
    psnr = [quality.psnr_db for quality in qualities if quality.psnr_db is not None]
    data = AttackData(protected[:, None], masks, test_images[:, None], test_masks)
    result = attack(data, AttackSettings(steps=1000))
    row = {
        "set": set_name,
        "arm": arm,
        "dsc": result.dsc,
        "psnr_db": float(np.mean(psnr)) if psnr else None,
        "epsilon": UMedParams().budget_share,
        "attack": result.to_json(),
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{set_name}_{arm}.json").write_text(json.dumps(row) + "\n")


def main() -> None:
    if not DATA.is_dir():
        sys.exit(f"the data sets are not in {DATA}; nothing was measured")
    wanted = sys.argv[1:] or [f"{set_name}_{arm}" for set_name in SETS for arm in ARMS]
    for name in wanted:
        set_name, arm = name.split("_")
        if not (FOLDER / f"{name}.json").exists():
            run(set_name, arm)
        row = json.loads((FOLDER / f"{name}.json").read_text())
        psnr = "-" if row["psnr_db"] is None else f"{row['psnr_db']:.1f} dB"
        print(f"{set_name:12} {arm:11} DSC {row['dsc']:.3f}  PSNR {psnr}", flush=True)


if __name__ == "__main__":
    main()
