"""The attack test for classes: train a classifier from scratch on protected images and test it on clean ones.

The attacker has all training images with their true classes. Clean test cases are held out; who hands in the arrays
sees to it that the split is by case. Control rows are other `train_images` for the same settings: clean ones, and the
same amount of noise that knows no class. torch is imported inside the functions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .augment import augment_images
from .classifiers import CLASSIFIERS, seeded_classifier
from .errors import Refused, UsageError
from .progress import Progress
from .scores import Interval, area_under_roc, balanced_credits, paired_bootstrap
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

_PREDICT_PIXELS = 1 << 20  # pixels classified at once


@dataclass(frozen=True)
class ClassAttackSettings(TrainingSettings):
    """One attacker. The same settings, data, device and thread count repeat the result on the CPU."""

    batch_size: int = 64
    architecture: str = "cnn"  # one of classifiers.CLASSIFIERS
    recipe: str = "shift_flip"
    balanced: bool = False  # every class weighs alike in the loss, however many samples it has
    label_smoothing: float = 0.0  # share of the target spread over all classes (Szegedy et al., 1512.00567)
    mixup: float = 0.0  # of two samples and their targets in each batch, Beta(mixup, mixup); 0: none

    known_architectures: ClassVar[Sequence[str]] = CLASSIFIERS

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.label_smoothing < 1 or self.mixup < 0:
            raise UsageError("label_smoothing is a share from 0 to below 1, and mixup at least 0")


@dataclass(frozen=True)
class ClassAttackData:
    """What the attacker trains on and is tested on.

    images [N, C, *sides] stored values, sides (H, W) or (D, H, W); classes [N] whole numbers, or [N, K] of 0 and 1
    where a sample may show several. `*_cases` name the case of each image (slices of a volume share it); None means
    that each image is a case.
    """

    train_images: NDArray[np.generic]  # protected
    train_classes: NDArray[np.integer]
    test_images: NDArray[np.generic]  # clean
    test_classes: NDArray[np.integer]
    clean_train_images: NDArray[np.generic] | None = None  # originals of train_images; needed for clean_share
    train_cases: Sequence[str] | None = None
    test_cases: Sequence[str] | None = None

    def __post_init__(self) -> None:
        refuse_unusable(self)
        for part in ("train", "test"):
            images, classes = (getattr(self, f"{part}_{what}") for what in ("images", "classes"))
            if classes.ndim not in (1, 2) or len(classes) != len(images):
                raise Refused(f"{part} classes {list(classes.shape)} do not fit images {list(images.shape)}")
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise Refused("training and test images have different shapes; resize them alike")
        if self.train_classes.shape[1:] != self.test_classes.shape[1:]:
            raise Refused("training and test classes have different numbers of columns")
        if not self.several and len(np.unique(self.train_classes)) < 2:
            raise Refused("all training images are of one class, so there is nothing to tell apart")
        if not self.several and not np.isin(self.test_classes, self.train_classes).all():
            raise Refused("the test set has a class that the training set lacks")

    @property
    def several(self) -> bool:
        """Whether a sample may show several classes."""
        return self.train_classes.ndim == 2


@dataclass(frozen=True)
class ClassCurvePoint:
    """The attacker on its way: mean loss since the last point, balanced accuracy on clean test images."""

    step: int
    loss: float
    balanced_accuracy: float


@dataclass(frozen=True)
class ClassAttackResult:
    """Scores on clean test images."""

    settings: ClassAttackSettings
    balanced_accuracy: float  # mean recall of the classes
    accuracy: float
    auc: float  # mean over classes, each against the others
    train_accuracy: float  # balanced, on protected training images; low: the training failed, not: protection works
    cases: tuple[str, ...]
    credit_by_case: list[float]  # its mean is the balanced accuracy; the unit of `compare_classifiers`
    curve: list[ClassCurvePoint] = field(default_factory=list)
    threads: int = 1
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Strict JSON: nan becomes null."""
        return nan_to_none(asdict(self))


def compare_classifiers(first: ClassAttackResult, second: ClassAttackResult, random: np.random.Generator) -> Interval:
    """Balanced accuracy of the first attacker minus the second, with a 95 % interval of a bootstrap over test cases."""
    if first.cases != second.cases:
        raise UsageError("the two attackers were tested on different cases and cannot be compared in pairs")
    return paired_bootstrap(np.array(first.credit_by_case), np.array(second.credit_by_case), random)


def attack_classes(
    data: ClassAttackData,
    settings: ClassAttackSettings,
    progress: Progress | None = None,
    pretrained: Mapping[str, torch.Tensor] | None = None,
) -> ClassAttackResult:
    """Trains one attacker, from scratch or from `pretrained` weights of its network, and tests it on clean images.

    `progress` hears of every step and may raise `Cancelled` between steps. Loss: cross-entropy, or binary
    cross-entropy where a sample may show several classes; AdamW with a one-cycle schedule; mixup after Zhang et al.,
    arXiv 1710.09412; bfloat16 where `training.autocast` allows it. Raises `UsageError` where settings and data do not
    fit or there is no such device, `MedUnlearnableError` when MONAI or Pillow is needed and missing, or when the
    training diverges.
    """
    import torch

    began = time.monotonic()
    generator = torch.Generator().manual_seed(settings.seed)
    images, test, reaches = as_seen(data, settings, generator)
    values = np.unique(data.train_classes)
    targets = _targets(data, values, settings).to(images.device)
    network = seeded_classifier(
        settings.seed, settings.architecture, images.shape[1], targets.shape[1], images.shape[2:], settings.width
    )
    network = placed(network, images, pretrained)
    loss_of = class_loss(data.several)
    shares = np.random.default_rng(settings.seed)

    def batch_loss(picked: torch.Tensor) -> torch.Tensor:
        at = picked.to(images.device)
        image = augment_images(images[at], settings.recipe, generator)
        target = targets[at]
        if settings.mixup:
            share = shares.beta(settings.mixup, settings.mixup)
            partner = torch.randperm(len(at), generator=generator).to(at.device)
            image, target = (share * each + (1 - share) * each[partner] for each in (image, target))
        image = image.contiguous(memory_format=memory_format(images))
        if settings.adversarial_epsilon:
            image = worst_case(image, reaches[at], lambda moved: loss_of(_logits(network, moved), target))
        return loss_of(_logits(network, image), target)

    curve = []
    for step, loss in train(network, len(images), batch_loss, settings, generator, progress or Progress()):
        logits = _predict(network, test)
        credits = balanced_credits(_answers(logits, values, data.several), data.test_classes)
        curve.append(ClassCurvePoint(step, loss, float(credits.mean())))
    answers = _answers(logits, values, data.several)
    seen = _answers(_predict(network, images), values, data.several)
    names = names_of_test_cases(data)
    cases = tuple(dict.fromkeys(names))
    return ClassAttackResult(
        settings=settings,
        balanced_accuracy=float(credits.mean()),
        accuracy=float((answers == data.test_classes).mean()),
        auc=_auc(logits, data.test_classes, values, data.several),
        train_accuracy=float(balanced_credits(seen, data.train_classes).mean()),
        cases=cases,
        credit_by_case=_credit_by_case(names, cases, credits),
        curve=curve,
        threads=torch.get_num_threads(),
        seconds=time.monotonic() - began,
    )


def class_loss(several: bool, reduction: str = "mean") -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Cross-entropy of logits [N, K] and class numbers [N] or targets [N, K]; of samples with `several`, binary."""
    from torch.nn import functional

    loss = functional.binary_cross_entropy_with_logits if several else functional.cross_entropy
    return partial(loss, reduction=reduction)


def _targets(data: ClassAttackData, values: NDArray[np.integer], settings: ClassAttackSettings) -> torch.Tensor:
    """What the network is to answer [N, K]: shares of the classes, or 0 and 1 where a sample may show several.

    Balanced: each row times the weight of its class, the mean weight being 1; cross-entropy is linear in its targets.
    """
    import torch

    if data.several:
        if settings.balanced or settings.label_smoothing:
            raise UsageError("balanced and label_smoothing are for samples of a single class each")
        return torch.from_numpy(data.train_classes.astype(np.float32))
    shown = (data.train_classes[:, None] == values).astype(np.float32)
    targets = (1 - settings.label_smoothing) * shown + settings.label_smoothing / len(values)
    if settings.balanced:
        targets *= (len(shown) / len(values) / shown.sum(0))[np.searchsorted(values, data.train_classes), None]
    return torch.from_numpy(targets.astype(np.float32))


def _logits(network: nn.Module, image: torch.Tensor) -> torch.Tensor:
    with autocast(image):
        logits: torch.Tensor = network(image)
    return logits.float()


def _predict(network: nn.Module, images: torch.Tensor) -> NDArray[np.float32]:
    """Logits [N, K]."""
    import torch

    network.eval()
    at_once = max(1, _PREDICT_PIXELS // images[0, 0].numel())
    with torch.no_grad():
        return torch.cat([_logits(network, few) for few in images.split(at_once)]).cpu().numpy()


def _answers(logits: NDArray[np.float32], values: NDArray[np.integer], several: bool) -> NDArray[np.integer]:
    return (logits > 0).astype(np.int64) if several else values[logits.argmax(1)]


def _auc(
    logits: NDArray[np.float32], classes: NDArray[np.integer], values: NDArray[np.integer], several: bool
) -> float:
    truth = classes > 0 if several else classes[:, None] == values
    scores = logits if several else logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    areas = np.array([area_under_roc(column, of_class) for column, of_class in zip(scores.T, truth.T, strict=True)])
    return float(np.nanmean(areas)) if np.isfinite(areas).any() else float("nan")


def _credit_by_case(names: Sequence[str], cases: Sequence[str], credits: NDArray[np.float64]) -> list[float]:
    """Sums over the images of each case, scaled so that their mean is the mean of `credits`."""
    number = {case: index for index, case in enumerate(cases)}
    sums = np.bincount([number[name] for name in names], credits, len(cases))
    return (sums * len(cases) / len(names)).tolist()
