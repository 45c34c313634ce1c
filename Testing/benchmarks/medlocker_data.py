"""Pictures, lesion boxes and target models of the MedLocker benchmarks. Trained weights are kept under build/."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import RESULTS, SAMPLES
from MedUnlearnableLib.engine.medlocker.networks import seeded_target
from MedUnlearnableLib.engine.medlocker.training import (
    DEVIATION,
    MEAN,
    TrainingSettings,
    set_weights,
    train_classifier,
    weights_of,
)
from MedUnlearnableLib.engine.streams import RandomStreams
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

FOLDER = RESULTS / "medlocker"
WEIGHTS = Path(__file__).resolve().parents[2] / "build" / "medlocker"
DATA = SAMPLES.parent
EPOCHS = {"brain3": 24, "busi": 30}
#: Resolution of the networks; the pictures have 128 pixels. A quarter of the work, for CPUs.
SIZE = (64, 64)


@dataclass(frozen=True)
class Pictures:
    """images [N, C, h, w] uint8, labels [N], boxes [N, 4] half-open x0, y0, x1, y1 (all 0: no lesion)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    boxes: list[list[tuple[int, int, int, int]]]


def brain3(part: str) -> Pictures:
    return _from_file("brain3_128.npz", part, classes=3)


def busi(part: str) -> Pictures:
    """Benign and malignant; the normal ones have no lesion to keep free."""
    return _from_file("busi_128.npz", part, classes=2)


def _from_file(name: str, part: str, classes: int) -> Pictures:
    data = np.load(DATA / name)
    picked = data[f"{part}_idx"]
    picked = picked[data["labels"][picked] < classes]
    boxes = [[tuple(map(int, box))] if box[2] > box[0] else [] for box in data["boxes"][picked]]
    return Pictures(data["images"][picked][:, None], data["labels"][picked].astype(np.int64), boxes)  # type: ignore[arg-type]


SETS: dict[str, Callable[[str], Pictures]] = {"brain3": brain3, "busi": busi}


def test_pictures(name: str) -> Pictures:
    """`brain3` is its whole test set, `brain3-140` every n-th picture of it, 140 in all."""
    set_name, _, count = name.partition("-")
    pictures = SETS[set_name]("test")
    total = len(pictures.labels)
    picked = np.linspace(0, total - 1, int(count) if count else total).round().astype(int)
    return Pictures(pictures.images[picked], pictures.labels[picked], [pictures.boxes[i] for i in picked])


def unit(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return images.astype(np.float32) / np.float32(255)


def seen(images: NDArray[np.uint8]) -> torch.Tensor:
    """The pictures as the networks see them, before normalization: [N, C, *SIZE] in [0, 1]."""
    import torch
    from torch.nn.functional import interpolate

    return interpolate(torch.from_numpy(unit(images)), SIZE, mode="bilinear", antialias=True, align_corners=False)


def target(name: str, architecture: str, marks: float = 0.0) -> Any:
    """The trained network, from build/ or trained now; its clean accuracy is kept as a result."""
    import torch

    set_name = name.partition("-")[0]
    trained = f"{set_name}_{architecture}" + ("_marks" if marks else "")
    settings = TrainingSettings(architecture, epochs=EPOCHS[set_name], marks=marks)
    train, test = SETS[set_name]("train"), SETS[set_name]("test")
    path = WEIGHTS / f"{trained}.npz"
    if path.exists():
        network = seeded_target(0, architecture, train.images.shape[1], int(train.labels.max()) + 1, settings.width)
        set_weights(network, dict(np.load(path)))
        return network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    began = time.monotonic()
    network = train_classifier(seen(train.images).numpy(), train.labels, settings, RandomStreams.from_number(0))
    with torch.no_grad():
        predicted = network((seen(test.images) - MEAN) / DEVIATION).argmax(1).numpy()
    right = predicted == test.labels
    row = {
        "set": set_name,
        "settings": asdict(settings),
        "clean_accuracy": float(right.mean()),
        "by_class": [float(right[test.labels == value].mean()) for value in np.unique(test.labels)],
        "seconds": time.monotonic() - began,
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"target_{trained}.json").write_text(json.dumps(row) + "\n")
    WEIGHTS.mkdir(parents=True, exist_ok=True)
    np.savez(path, **weights_of(network))
    return network
