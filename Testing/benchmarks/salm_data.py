"""Labeled images for the benchmarks of SALM, with a split by case: training images, classes, test images, classes."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from common import SAMPLES
from numpy.typing import NDArray

DATA = SAMPLES.parent
Images = NDArray[np.uint8]  # [N, 1, H, W]
Classes = NDArray[np.int64]  # [N]
Split = tuple[Images, Classes, Images, Classes]

#: Chance, and the balanced accuracy the clean row must reach for a row of the same recipe to count.
CHANCE = {
    "pneumonia": 1 / 2,
    "pneumonia-1200": 1 / 2,
    "brain3": 1 / 3,
    "brain3-64": 1 / 3,
    "busi": 1 / 2,
    "eight": 1 / 8,
}
CLEAN_GATE = {"pneumonia": 0.87, "pneumonia-1200": 0.87, "brain3": 0.77, "brain3-64": 0.77}
_SIDE_OF_EIGHT = 64
_MOST_OF_A_CLASS = 490  # of the eight: as many as the smaller classes of the larger sets have


def pneumonia() -> Split:
    return _split("pneumoniamnist_28.npz")


def brain3() -> Split:
    return _split("brain3_128.npz")


def pneumonia_1200() -> Split:
    """The first 600 training images of each class: what a CPU has time to train noise for."""
    train, of_train, test, of_test = pneumonia()
    keep = np.sort(np.concatenate([np.flatnonzero(of_train == k)[:600] for k in (0, 1)]))
    return train[keep], of_train[keep], test, of_test


def brain3_of(side: int) -> Split:
    """At a lower resolution: what a CPU has time for."""
    train, of_train, test, of_test = brain3()
    return _sized(train, side), of_train, _sized(test, side), of_test


def busi() -> Split:
    """Benign and malignant."""
    train, of_train, test, of_test = _split("busi_128.npz")
    return train[of_train < 2], of_train[of_train < 2], test[of_test < 2], of_test[of_test < 2]


def eight() -> Split:
    """2 + 3 + 3 classes of the sets above and BUSI's normal, at 64x64."""
    parts = [_split(name) for name in ("pneumoniamnist_28.npz", "brain3_128.npz", "busi_128.npz")]
    found: list[list[Any]] = [[], [], [], []]
    first = 0
    for train, of_train, test, of_test in parts:
        keep = _first_of_each_class(of_train)
        for store, values in zip(found, (_sized(train[keep]), of_train[keep] + first, _sized(test), of_test + first)):
            store.append(values)
        first += int(of_train.max()) + 1
    images, classes, test_images, test_classes = map(np.concatenate, found)
    return images, classes, test_images, test_classes


SETS = {
    "pneumonia": pneumonia,
    "pneumonia-1200": pneumonia_1200,
    "brain3": brain3,
    "brain3-64": partial(brain3_of, 64),
    "busi": busi,
    "eight": eight,
}


def _split(name: str) -> Split:
    data = np.load(DATA / name)
    train, test = data["train_idx"], data["test_idx"]
    images, labels = data["images"][:, np.newaxis], data["labels"].astype(np.int64)
    return images[train], labels[train], images[test], labels[test]


def _first_of_each_class(classes: Classes) -> NDArray[np.int64]:
    return np.sort(np.concatenate([np.flatnonzero(classes == k)[:_MOST_OF_A_CLASS] for k in np.unique(classes)]))


def _sized(images: Images, wanted: int = _SIDE_OF_EIGHT) -> Images:
    """To so many pixels a side: the mean of blocks, or linear between pixel centers."""
    side = images.shape[-1]
    if side % wanted == 0:
        block = side // wanted
        blocks = images.reshape(len(images), 1, wanted, block, wanted, block)
        return np.rint(blocks.mean(axis=(3, 5))).astype(np.uint8)
    position = np.clip((np.arange(wanted) + 0.5) * side / wanted - 0.5, 0, side - 1)
    left = np.minimum(position.astype(int), side - 2)
    weight = position - left
    values = images.astype(float)
    for axis in (2, 3):
        w = weight.reshape((-1, 1) if axis == 2 else (1, -1))
        values = values.take(left, axis) * (1 - w) + values.take(left + 1, axis) * w
    return np.rint(values).astype(np.uint8)
