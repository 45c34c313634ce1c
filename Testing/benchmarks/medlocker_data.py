"""Pictures, lesion boxes and target models of the MedLocker benchmarks. Trained weights are kept under build/.

brain3 and busi are real and lie beside the repository. fundus is generated here, RGB, three grades by the number of
lesions: it shows that color works. It is easy, and its figures say nothing about photographs of patients.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import RESULTS, SAMPLES
from MedUnlearnableLib.engine.medlocker.lesions import boxes_of_plane
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
from MedUnlearnableLib.files.samples import synthetic_fundus
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

FOLDER = RESULTS / "medlocker"
WEIGHTS = Path(__file__).resolve().parents[2] / "build" / "medlocker"
DATA = SAMPLES.parent
EPOCHS = {"brain3": 24, "busi": 30, "fundus": 30}
#: Resolution of the networks; the pictures have 128 pixels. A quarter of the work, for CPUs.
SIZE = (64, 64)
FUNDUS_PICTURES = {"train": 300, "test": 120}
FUNDUS_SIDE = 96  # generated at twice the side, or the vessels fall between the pixels
#: Fewest and most hemorrhages, then exudates, of each grade.
FUNDUS_GRADES = (((0, 0), (0, 0)), ((4, 7), (0, 0)), ((10, 14), (14, 22)))


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


def fundus(part: str) -> Pictures:
    """Grades 0 to 2 in turn; generated once, then kept under build/."""
    path = WEIGHTS / f"fundus_{part}.npz"
    if not path.exists():
        _generate_fundus(path, seed=list(FUNDUS_PICTURES).index(part), count=FUNDUS_PICTURES[part])
    data = np.load(path)
    boxes = [boxes_of_plane([found], 0.0, (1.0, 1.0)) for found in data["lesions"]]
    return Pictures(data["images"], data["labels"], boxes)


def _generate_fundus(path: Path, seed: int, count: int) -> None:
    random = np.random.default_rng((seed, count))
    images, lesions, labels = [], [], np.arange(count) % len(FUNDUS_GRADES)
    for grade in labels:
        blots, flecks = (int(random.integers(low, high + 1)) for low, high in FUNDUS_GRADES[grade])
        shape = (2 * FUNDUS_SIDE, 2 * FUNDUS_SIDE)
        sample = synthetic_fundus(shape, int(random.integers(2**31)), (blots, flecks))
        images.append(np.rint(_fours(sample.image[0]).mean(axis=(1, 3))).astype(np.uint8).transpose(2, 0, 1))
        lesions.append(_fours(sample.labels[0] != 0).any(axis=(1, 3)))
    WEIGHTS.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, images=np.stack(images), lesions=np.stack(lesions), labels=labels)


def _fours(plane: NDArray[Any]) -> NDArray[Any]:
    """[2 n, 2 n, ...] as [n, 2, n, 2, ...]: the four pixels that become one."""
    return plane.reshape(FUNDUS_SIDE, 2, FUNDUS_SIDE, 2, *plane.shape[2:])


SETS: dict[str, Callable[[str], Pictures]] = {"brain3": brain3, "busi": busi, "fundus": fundus}


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
