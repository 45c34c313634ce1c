"""How the generators are trained, by profile.

paper      min-min as far as it is known: both on one loss, the surrogate in every fifth iteration, the generators in
           the others, no augmentation, the generators see the image alone.
standard   ours: both in every iteration, under the changes an attacker's training makes, blur and lower resolution
           more often than nnU-Net; the generators are told the labels. A part of the budget is kept for the
           checkerboard of profile `instant`, against attackers who do not augment; it is added after the training.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..augment import NNUNET, Change


@dataclass(frozen=True)
class Recipe:
    """Numbers of a training. Sources: notes above; learning rates of `paper` as reported by others."""

    changes: tuple[Change, ...]  # what an image undergoes before the surrogate sees it
    told_labels: bool  # whether the generators see classes and contour
    carrier_share: float  # of the budget
    alternate: int  # 0: both step in every iteration; n: the surrogate in every n-th, the generators in the others
    generator_rate: float
    surrogate_rate: float
    surrogate_decay: float
    surrogate_betas: tuple[float, float]
    surrogate_life: int | None  # iterations after which a fresh one takes its place
    cooling: float  # last share of the training in which the generators' rate falls to a twentieth
    largest_batch: int
    epochs: int
    fewest_iterations: int
    most_iterations: int


_OFTEN = 0.3  # blur and lower resolution: every image in three, all its channels


def _survive_resampling(change: Change) -> Change:
    if change.name not in ("blur", "low_resolution"):
        return change
    return replace(change, probability=_OFTEN, channel_probability=1.0)


RECIPES = {
    "paper": Recipe(
        changes=(),
        told_labels=False,
        carrier_share=0.0,
        alternate=5,
        generator_rate=1e-4,
        surrogate_rate=1e-4,
        surrogate_decay=5e-4,
        surrogate_betas=(0.9, 0.9999),
        surrogate_life=None,
        cooling=0.0,
        largest_batch=8,
        epochs=100,
        fewest_iterations=2000,
        most_iterations=5000,
    ),
    "standard": Recipe(
        changes=tuple(map(_survive_resampling, NNUNET)),
        told_labels=True,
        carrier_share=0.4,
        alternate=0,
        generator_rate=1e-3,
        surrogate_rate=2e-3,
        surrogate_decay=1e-2,
        surrogate_betas=(0.9, 0.999),
        surrogate_life=800,
        cooling=0.3,
        largest_batch=16,
        epochs=30,
        fewest_iterations=900,
        most_iterations=3000,
    ),
}
