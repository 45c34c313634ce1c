"""What undoes a mark: the pictures of a cell of medlocker_placement.py after common changes, and after removal.

`python medlocker_robustness.py SET SOURCES ARM`: accuracy of every architecture on marked and on clean pictures after
the same change. `inpainting` knows exactly which pixels bear the mark and fills them from around (biharmonic), so it is
expected to win. `training that knows of marks` is the same architecture trained with soft gray patches over its
pictures (`medlocker_targets.py SET_residual_marks` before); it knows of patches, not of this logo.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from medlocker_data import FOLDER, SIZE, WEIGHTS, target
from medlocker_placement import models, named
from MedUnlearnableLib.engine.medlocker.networks import ARCHITECTURES
from MedUnlearnableLib.engine.medlocker.targets import TargetModel
from MedUnlearnableLib.engine.medlocker.training import DEVIATION, MEAN
from numpy.typing import NDArray
from scipy import ndimage

Picture = NDArray[np.uint8]  # [C, h, w]
AWARE = "residual"
PICTURES = 140  # every n-th of those that were marked
INPAINTED = 40  # of these: inpainting takes a second each


def jpeg(quality: int) -> Callable[[Picture], Picture]:
    def change(picture: Picture) -> Picture:
        from PIL import Image

        buffer = io.BytesIO()
        pixels = picture[0] if len(picture) == 1 else np.moveaxis(picture, 0, -1)
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
        found = np.asarray(Image.open(buffer))
        return found[np.newaxis] if found.ndim == 2 else np.moveaxis(found, -1, 0)

    return change


def resized(picture: Picture, height: int, width: int) -> Picture:
    from PIL import Image

    return np.stack(
        [np.asarray(Image.fromarray(p).resize((width, height), Image.Resampling.BILINEAR)) for p in picture]
    )


def halved(picture: Picture) -> Picture:
    height, width = picture.shape[1:]
    return resized(resized(picture, height // 2, width // 2), height, width)


def cropped(picture: Picture) -> Picture:
    height, width = picture.shape[1:]
    rows, columns = round(0.05 * height), round(0.05 * width)
    return resized(picture[:, rows : height - rows, columns : width - columns], height, width)


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "none": lambda picture: picture,
    "jpeg 90": jpeg(90),
    "jpeg 70": jpeg(70),
    "jpeg 50": jpeg(50),
    "median 3": lambda picture: ndimage.median_filter(picture, (1, 3, 3)),
    "gaussian 1": lambda picture: np.rint(ndimage.gaussian_filter(picture.astype(float), (0, 1, 1))).astype(np.uint8),
    "resize 0.5": halved,
    "crop 0.9": cropped,
}


def inpainted(marked: Picture, clean: Picture) -> Picture:
    from skimage.restoration import inpaint_biharmonic

    mask = ndimage.binary_dilation((marked != clean).any(axis=0))
    filled = inpaint_biharmonic(marked / 255.0, mask, channel_axis=0)
    return np.clip(np.rint(filled * 255), 0, 255).astype(np.uint8)


def run(set_name: str, sources: str, arm: str) -> list[dict[str, Any]]:
    data = np.load(WEIGHTS / f"marked_{set_name}_{sources}_{arm}.npz")
    picked = np.linspace(0, len(data["labels"]) - 1, PICTURES).round().astype(int)
    marked, clean, labels = (data[name][picked] for name in ("images", "clean", "labels"))
    tested = models(set_name, ARCHITECTURES)

    def accuracy(model: TargetModel, images: NDArray[np.uint8], of: NDArray[np.integer] = labels) -> float:
        return float((named(model, images) == of).mean())

    rows: list[dict[str, Any]] = []
    for name, change in CHANGES.items():
        changed, control = (np.stack([change(one) for one in images]) for images in (marked, clean))
        rows.append(
            {
                "change": name,
                "pictures": len(labels),
                "marked": {model.name: accuracy(model, changed) for model in tested},
                "clean": {model.name: accuracy(model, control) for model in tested},
            }
        )
    few = np.random.default_rng(0).permutation(len(labels))[:INPAINTED]
    filled = np.stack([inpainted(marked[i], clean[i]) for i in few])
    rows.append(
        {
            "change": "inpainting, mask known",
            "pictures": len(few),
            "marked": {model.name: accuracy(model, filled, labels[few]) for model in tested},
            "clean": {model.name: accuracy(model, clean[few], labels[few]) for model in tested},
        }
    )
    if (WEIGHTS / f"{set_name.partition('-')[0]}_{AWARE}_marks.npz").exists():
        network = target(set_name, AWARE, marks=0.5)
        aware = TargetModel(AWARE, network, SIZE, marked.shape[1], (MEAN,), (DEVIATION,), module=network)
        of_marked, of_clean = accuracy(aware, marked), accuracy(aware, clean)
        rows.append({"change": "training that knows of marks", "pictures": len(labels),
                     "marked": {AWARE: of_marked}, "clean": {AWARE: of_clean}})  # fmt: skip
    return rows


def main() -> None:
    set_name, sources, arm = sys.argv[1:]
    rows = run(set_name, sources, arm)
    (FOLDER / f"robustness_{set_name}_{sources}_{arm}.json").write_text(json.dumps(rows, indent=1) + "\n")
    for row in rows:
        shares = "  ".join(f"{name} {row['marked'][name]:.3f} ({row['clean'][name]:.3f})" for name in row["marked"])
        print(f"{row['change']:30} {shares}  {row['pictures']} pictures")


if __name__ == "__main__":
    main()
