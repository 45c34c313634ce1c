"""Judges the noise during its training, by attackers that the generators have never met.

The loss of the surrogate that is trained together with the generators proves nothing: it is low where a fresh attacker
learns well. So a held-out one trains for a moment on the samples as they are protected now, under the changes of the
recipe, and segments clean ones. The lower its DSC, the better the noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..attack import AttackData, AttackSettings, attack
from ..progress import AsStage, Progress
from .samples import Samples

if TYPE_CHECKING:
    import torch

ITERATIONS = 150  # of a held-out attacker; all have the same seed, so that they can be compared
_MOST_SAMPLES = 512
_TEST_EVERY = 8  # this one of so many samples is segmented clean, and not learned from
_PATIENCE = 3


@dataclass
class Examiner:
    """When the noise is examined, what came out, and the best generators so far."""

    every: int | None  # iterations of the training between two examinations; None: there are none
    scores: list[float] = field(default_factory=list)  # DSC of the held-out attackers
    best: dict[str, torch.Tensor] = field(default_factory=dict)  # the generators' weights

    def iterations_beside(self, training: int) -> int:
        """Of all attackers, at most, beside a training of so many iterations; a short one has none."""
        return training // self.every * ITERATIONS if self.every else 0

    def is_due(self, iteration: int) -> bool:
        return self.every is not None and iteration % self.every == 0

    @property
    def has_seen_enough(self) -> bool:
        """Whether the last examinations brought nothing better."""
        return len(self.scores) > _PATIENCE and min(self.scores[-_PATIENCE:]) >= min(self.scores[:-_PATIENCE])

    def note(self, dsc: float, generators: Mapping[str, torch.Tensor]) -> None:
        if not self.scores or dsc < min(self.scores):
            self.best = {name: weight.detach().clone() for name, weight in generators.items()}
        self.scores.append(dsc)


def picked(samples: Samples) -> Samples:
    """Those an examination uses, spread over all."""
    return samples[:: -(-len(samples) // _MOST_SAMPLES)]


def held_out_dsc(
    protected: NDArray[np.float32],
    samples: Samples,
    augmentation: str,
    width: int,
    batch: int,
    device: str,
    progress: Progress,
) -> float:
    """DSC on clean samples of an attacker who trained on `protected` ones [N, C, *sides] for a moment."""
    test = np.arange(len(samples)) % _TEST_EVERY == 0
    clean, labels = samples["image"], samples["classes"]
    data = AttackData(protected[~test], labels[~test], clean[test], labels[test])
    settings = AttackSettings(
        steps=ITERATIONS, width=width, recipe=augmentation, batch_size=batch, device=device, curve_points=1
    )
    return attack(data, settings, AsStage(progress, "examine")).dsc
