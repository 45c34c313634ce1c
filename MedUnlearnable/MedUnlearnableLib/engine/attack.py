"""The attack test: train a segmentation network from scratch on protected images and test it on clean ones.

Nothing but this shows protection: a low loss of the surrogate proves nothing. The attacker has all training images with
their true labels. Clean test cases are held out; who hands in the arrays sees to it that the split is by case. torch is
imported inside the functions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .augment import augment
from .errors import Refused, UsageError
from .networks import ARCHITECTURES, seeded_network
from .progress import Progress
from .scores import Interval, dsc, hd95, paired_bootstrap
from .training import (
    TrainingSettings,
    as_seen,
    autocast,
    memory_format,
    names_of_test_cases,
    nan_to_none,
    placed,
    refuse_unusable,
    train,
    worst_case,
)

if TYPE_CHECKING:
    import torch
    from torch import nn

_TRAIN_SCORE_IMAGES = 32  # protected training images scored at the end; enough to tell learned from not learned


@dataclass(frozen=True)
class AttackSettings(TrainingSettings):
    """One attacker. The same settings, data, device and thread count repeat the result on the CPU."""

    architecture: str = "unet"  # one of networks.ARCHITECTURES
    recipe: str = "plain"
    spacing_mm: tuple[float, ...] | None = None  # per side; None means 1

    known_architectures: ClassVar[Sequence[str]] = ARCHITECTURES


@dataclass(frozen=True)
class AttackData:
    """What the attacker trains on and is tested on.

    images [N, C, *sides] stored values, sides (H, W) or (D, H, W); labels [N, *sides] integers, 0 = background.
    `*_cases` name the case of each image (slices of a volume share it); None means that each image is a case.
    """

    train_images: NDArray[np.generic]  # protected
    train_labels: NDArray[np.integer]
    test_images: NDArray[np.generic]  # clean
    test_labels: NDArray[np.integer]
    clean_train_images: NDArray[np.generic] | None = None  # originals of train_images; needed for clean_share
    train_cases: Sequence[str] | None = None
    test_cases: Sequence[str] | None = None

    def __post_init__(self) -> None:
        refuse_unusable(self)
        for part in ("train", "test"):
            images, labels = (getattr(self, f"{part}_{what}") for what in ("images", "labels"))
            if labels.shape != (len(images), *images.shape[2:]):
                raise Refused(f"{part} labels {list(labels.shape)} do not fit images {list(images.shape)}")
        if self.train_images.shape[1] != self.test_images.shape[1]:
            raise Refused("training and test images have different numbers of channels")
        if self.train_images.ndim != self.test_images.ndim:
            raise Refused("training and test images have different numbers of dimensions")
        if not self.label_values:
            raise Refused("no training label has any foreground, so there is nothing to learn")
        if not np.isin(self.test_labels, self.label_values).any():
            raise Refused("no label of the training set occurs in the test set, so there is nothing to test")

    @property
    def label_values(self) -> tuple[int, ...]:
        """Foreground labels of the training set; others in the test set are not scored."""
        return tuple(int(value) for value in np.unique(self.train_labels) if value > 0)


@dataclass(frozen=True)
class CurvePoint:
    """The attacker on its way: mean loss since the last point, mean DSC on clean test cases."""

    step: int
    loss: float
    dsc: float


@dataclass(frozen=True)
class AttackResult:
    """Scores on clean test cases. A case of several images has the mean of those that were scored, nan if none was."""

    settings: AttackSettings
    labels: tuple[int, ...]
    cases: tuple[str, ...]
    dsc_by_case: list[list[float]]  # [cases][labels]
    hd95_mm_by_case: list[list[float]]  # [cases][labels]
    train_dsc: float  # on protected training images; low means the training failed, not that protection works
    curve: list[CurvePoint] = field(default_factory=list)
    threads: int = 1
    seconds: float = 0.0

    @property
    def dsc(self) -> float:
        """Mean over cases and labels that were scored."""
        return _mean(self.dsc_by_case)

    @property
    def dsc_by_label(self) -> dict[int, float]:
        """Mean over the cases that were scored."""
        return {label: _mean(column) for label, column in zip(self.labels, zip(*self.dsc_by_case))}

    @property
    def dsc_of_cases(self) -> NDArray[np.float64]:
        """[cases], mean over labels; the unit of `compare`."""
        return np.array([_mean(scores) for scores in self.dsc_by_case])

    def to_json(self) -> dict[str, Any]:
        """Strict JSON: nan becomes null."""
        return nan_to_none(asdict(self))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> AttackResult:
        """The result that `to_json` wrote."""
        settings: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in values["settings"].items()
        }
        changed = {
            "settings": AttackSettings(**settings),
            "labels": tuple(values["labels"]),
            "cases": tuple(values["cases"]),
            "dsc_by_case": _none_to_nan(values["dsc_by_case"]),
            "hd95_mm_by_case": _none_to_nan(values["hd95_mm_by_case"]),
            "train_dsc": math.nan if values["train_dsc"] is None else values["train_dsc"],
            "curve": [CurvePoint(**point) for point in values["curve"]],
        }
        return cls(**{**values, **changed})


def compare(first: AttackResult, second: AttackResult, random: np.random.Generator) -> Interval:
    """DSC of the first attacker minus the second, over the test cases they share, with a 95 % bootstrap interval."""
    if first.cases != second.cases:
        raise UsageError("the two attackers were tested on different cases and cannot be compared in pairs")
    return paired_bootstrap(first.dsc_of_cases, second.dsc_of_cases, random)


def attack(
    data: AttackData,
    settings: AttackSettings,
    progress: Progress | None = None,
    pretrained: Mapping[str, torch.Tensor] | None = None,
) -> AttackResult:
    """Trains one attacker, from scratch or from `pretrained` weights of its network, and tests it on clean cases.

    `progress` hears of every step and may raise `Cancelled` between steps. Loss: cross-entropy + soft Dice; AdamW with
    a one-cycle schedule; images z-scored one by one, each channel by itself; bfloat16 where `training.autocast` allows
    it. Raises `UsageError` where settings and data do not fit or there is no such device, `MedUnlearnableError` when
    MONAI or Pillow is needed and missing, or when the training diverges.
    """
    import torch

    began = time.monotonic()
    generator = torch.Generator().manual_seed(settings.seed)
    images, test, reaches = as_seen(data, settings, generator)
    values = (0, *data.label_values)
    network = seeded_network(
        settings.seed, settings.architecture, images.shape[1], len(values), images.shape[2:], settings.width
    )
    network = placed(network, images, pretrained)
    indices = np.searchsorted(values, np.where(data.train_labels > 0, data.train_labels, 0))
    classes = torch.from_numpy(indices).to(images.device)

    def batch_loss(picked: torch.Tensor) -> torch.Tensor:
        at = picked.to(images.device)
        image, target = augment(images[at], classes[at], settings.recipe, generator)
        image = image.contiguous(memory_format=memory_format(image))

        def loss_of(image: torch.Tensor) -> torch.Tensor:
            with autocast(image):
                logits = network(image)
            return segmentation_loss(logits.float(), target)

        if settings.adversarial_epsilon:
            image = worst_case(image, reaches[at], loss_of)
        return loss_of(image)

    score = partial(_table, labels=data.label_values)
    curve = []
    for step, loss in train(network, len(images), batch_loss, settings, generator, progress or Progress()):
        predictions = _predict(network, test, values)
        curve.append(CurvePoint(step, loss, _mean(score(dsc, predictions, data.test_labels))))
    distance = partial(hd95, spacing_mm=settings.spacing_mm or (1.0,) * (test.ndim - 2))
    names = names_of_test_cases(data)
    seen = slice(_TRAIN_SCORE_IMAGES)
    return AttackResult(
        settings=settings,
        labels=data.label_values,
        cases=tuple(dict.fromkeys(names)),
        dsc_by_case=_by_case(names, score(dsc, predictions, data.test_labels)),
        hd95_mm_by_case=_by_case(names, score(distance, predictions, data.test_labels)),
        train_dsc=_mean(score(dsc, _predict(network, images[seen], values), data.train_labels[seen])),
        curve=curve,
        threads=torch.get_num_threads(),
        seconds=time.monotonic() - began,
    )


def segmentation_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy + soft Dice loss (Milletari et al., arXiv 1606.04797), mean over the foreground classes shown.

    logits [N, K, *sides], target [N, *sides] class indices, 0 = background. The Dice of a class that a sample does not
    show is left out: it rewards whoever predicts nothing, and networks that saw two labels ended there (measured).
    """
    from torch.nn.functional import cross_entropy, one_hot

    sides = tuple(range(2, logits.ndim))
    probability = logits.softmax(1)[:, 1:]
    truth = one_hot(target, logits.shape[1]).movedim(-1, 1)[:, 1:].to(probability.dtype)
    shown = truth.amax(sides)
    dice = (2 * (probability * truth).sum(sides) + 1) / ((probability + truth).sum(sides) + 1)
    return cross_entropy(logits, target) + ((1 - dice) * shown).sum() / shown.sum().clamp(min=1)


def _predict(network: nn.Module, images: torch.Tensor, values: Sequence[int]) -> NDArray[np.integer]:
    """Label values [N, *sides], a few images at a time."""
    import torch

    network.eval()
    with torch.no_grad(), autocast(images):
        indices = [network(few).argmax(1).cpu().numpy() for few in images.split(16 if images.ndim == 4 else 1)]
    return np.asarray(values)[np.concatenate(indices)]


def _table(
    score: Callable[[NDArray[np.bool_], NDArray[np.bool_]], float],
    predictions: NDArray[np.integer],
    references: NDArray[np.integer],
    labels: Sequence[int],
) -> NDArray[np.float64]:
    """Scores [N, labels]."""
    pairs = zip(predictions, references, strict=True)
    return np.array([[score(found == label, true == label) for label in labels] for found, true in pairs])


def _by_case(names: Sequence[str], table: NDArray[np.float64]) -> list[list[float]]:
    """Means over the images of each case, [cases][labels], cases in the order of their first image."""
    rows = {name: [row for other, row in zip(names, table, strict=True) if other == name] for name in names}
    return [[_mean(column) for column in zip(*case, strict=True)] for case in rows.values()]


def _none_to_nan(table: list[list[float | None]]) -> list[list[float]]:
    return [[math.nan if value is None else value for value in row] for row in table]


def _mean(scores: Any) -> float:
    """Mean of what was scored; nan if nothing was."""
    values = np.asarray(scores, float)
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else math.nan
