"""A cell of the audit: one attacker, one kind of training data, one seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import attack as segmentation
from .. import classification
from ..progress import Progress
from ..training import nan_to_none
from .cohort import WINDOW, Cohort
from .conditions import CLEAN, LABEL_FREE, Condition

if TYPE_CHECKING:
    import torch


#: Of a regularized classifier, which finds a pattern later than the class; and more where a sample has one class.
_REGULARIZED = {"weight_decay": 0.1, "scaling": "set"}
_REGULARIZED_SINGLE = {**_REGULARIZED, "label_smoothing": 0.1, "balanced": True}


@dataclass(frozen=True)
class Pretrained:
    """Weights of the attacker's own network, and the SHA-256 of their file."""

    weights: Mapping[str, torch.Tensor]
    digest: str

    @property
    def width(self) -> int:
        """Channels at full resolution: those the first convolution makes."""
        return int(next(iter(self.weights.values())).shape[0])


@dataclass(frozen=True)
class Training:
    """How long and with what each attacker of a run trains."""

    steps: int
    width: int
    batch_size: int
    device: str
    curve_points: int = 5
    learning_rate: float = 3e-3


@dataclass(frozen=True)
class Cell:
    """`arm`: one of conditions.ARMS. An attacker whose data are all clean anyway needs no share of clean cases."""

    condition: Condition
    arm: str
    seed: int

    def trained_on(self, cohort: Cohort) -> NDArray[np.float32]:
        by_arm = {CLEAN: cohort.clean, LABEL_FREE: cohort.label_free}
        return by_arm.get(self.arm, cohort.protected)[cohort.train]

    def key(self, cohort: Cohort, training: Training, pretrained: Pretrained | None) -> str:
        """Names the result: data, settings and weights. Conditions of the same attacker share their clean rows."""
        choices = {
            "data": cohort.shown_to(self.condition).digest,
            "arm": self.arm,
            "settings": self._settings(cohort, training),
            "weights": pretrained.digest if pretrained and self.condition.pretrained else None,
        }
        return hashlib.sha256(json.dumps(choices, sort_keys=True).encode()).hexdigest()[:32]

    def _settings(self, cohort: Cohort, training: Training) -> dict[str, Any]:
        condition = self.condition
        regularized = _REGULARIZED if cohort.shows_several else _REGULARIZED_SINGLE
        return {
            **asdict(training),
            "learning_rate": condition.learning_rate or training.learning_rate,
            "seed": self.seed,
            "architecture": condition.architecture,
            "recipe": condition.recipe,
            "defense": condition.defense,
            "adversarial_epsilon": condition.adversarial_epsilon,
            "clean_share": 0.0 if self.arm == CLEAN else condition.clean_share,
            "window": WINDOW,
            **(regularized if condition.regularized else {}),
        }

    def run(self, cohort: Cohort, training: Training, pretrained: Pretrained | None, progress: Progress) -> CellResult:
        """Trains and tests the attacker. Raises what `attack` and `attack_classes` raise."""
        weights = pretrained.weights if pretrained and self.condition.pretrained else None
        run = _attack_segmentation if cohort.is_segmentation else _attack_classes
        return run(self, cohort.shown_to(self.condition), self._settings(cohort, training), weights, progress)


@dataclass(frozen=True)
class CellResult:
    """Scores on clean test cases: DSC, mean over labels, or credits whose mean is the balanced accuracy."""

    arm: str
    seed: int
    steps: int
    score: float
    train_score: float  # on its own training images; low means the training failed, not that protection works
    cases: list[str]
    score_by_case: list[float]  # nan where a case has nothing to score
    curve: list[tuple[int, float, float]]  # step, mean loss, score
    seconds: float
    score_by_label: dict[str, float] = field(default_factory=dict)  # of segmentations: DSC, mean over cases

    def to_json(self) -> dict[str, Any]:
        """Strict JSON: nan becomes null."""
        return nan_to_none(asdict(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CellResult:
        """The result that `to_json` wrote."""
        changed: dict[str, Any] = {
            "score": _number(data["score"]),
            "train_score": _number(data["train_score"]),
            "score_by_case": [_number(score) for score in data["score_by_case"]],
            "curve": [(step, loss, _number(score)) for step, loss, score in data["curve"]],
            "score_by_label": {label: _number(score) for label, score in data["score_by_label"].items()},
        }
        return cls(**{**data, **changed})


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _attack_segmentation(
    cell: Cell,
    cohort: Cohort,
    settings: dict[str, Any],
    weights: Mapping[str, torch.Tensor] | None,
    progress: Progress,
) -> CellResult:
    data = segmentation.AttackData(
        cell.trained_on(cohort),
        cohort.targets[cohort.train],
        cohort.clean[cohort.test],
        cohort.targets[cohort.test],
        clean_train_images=cohort.clean[cohort.train],
        train_cases=_names(cohort, cohort.train),
        test_cases=_names(cohort, cohort.test),
    )
    result = segmentation.attack(data, segmentation.AttackSettings(**settings), progress, weights)
    return CellResult(
        arm=cell.arm,
        seed=cell.seed,
        steps=settings["steps"],
        score=result.dsc,
        train_score=result.train_dsc,
        cases=list(result.cases),
        score_by_case=result.dsc_of_cases.tolist(),
        curve=[(point.step, point.loss, point.dsc) for point in result.curve],
        seconds=result.seconds,
        score_by_label={str(label): score for label, score in result.dsc_by_label.items()},
    )


def _attack_classes(
    cell: Cell,
    cohort: Cohort,
    settings: dict[str, Any],
    weights: Mapping[str, torch.Tensor] | None,
    progress: Progress,
) -> CellResult:
    data = classification.ClassAttackData(
        cell.trained_on(cohort),
        cohort.targets[cohort.train],
        cohort.clean[cohort.test],
        cohort.targets[cohort.test],
        clean_train_images=cohort.clean[cohort.train],
        train_cases=_names(cohort, cohort.train),
        test_cases=_names(cohort, cohort.test),
    )
    result = classification.attack_classes(data, classification.ClassAttackSettings(**settings), progress, weights)
    return CellResult(
        arm=cell.arm,
        seed=cell.seed,
        steps=settings["steps"],
        score=result.balanced_accuracy,
        train_score=result.train_accuracy,
        cases=list(result.cases),
        score_by_case=list(result.credit_by_case),
        curve=[(point.step, point.loss, point.balanced_accuracy) for point in result.curve],
        seconds=result.seconds,
    )


def _names(cohort: Cohort, part: NDArray[np.bool_]) -> list[str]:
    return [case for case, inside in zip(cohort.cases, part) if inside]
