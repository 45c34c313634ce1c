"""How the generators are trained, by profile.

paper      min-min as far as it is known: both on one loss, the surrogate in every fifth iteration, the generators in
           the others, no augmentation, the generators see the image alone.
standard   ours: both in every iteration, under the changes nnU-Net's training makes; one generator, which is told the
           labels. Most of the budget is kept for the checkerboard of profile `instant`, against attackers who do not
           augment; it is added after the training.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Numbers of a training. Sources: notes above; learning rates of `paper` as reported by others."""

    augmentation: str  # what an image undergoes before the surrogate sees it, one of augment.RECIPES
    told_labels: bool  # one generator that sees classes and contour; else two, one for the contour, that do not
    carrier_share: float  # of the budget
    alternate: int  # 0: both step in every iteration; n: the surrogate in every n-th, the generators in the others
    generator_rate: float
    surrogate_rate: float
    surrogate_decay: float
    surrogate_betas: tuple[float, float]
    #: Iterations after which a fresh one takes its place: few, so that noise that is learned at once counts.
    surrogate_life: int | None
    examined_every: int | None  # iterations; see examiner.py
    largest_batch: int
    epochs: int
    fewest_iterations: int
    most_iterations: int


RECIPES = {
    "paper": Recipe(
        augmentation="none",
        told_labels=False,
        carrier_share=0.0,
        alternate=5,
        generator_rate=1e-4,
        surrogate_rate=1e-4,
        surrogate_decay=5e-4,
        surrogate_betas=(0.9, 0.9999),
        surrogate_life=None,
        examined_every=None,
        largest_batch=8,
        epochs=100,
        fewest_iterations=2000,
        most_iterations=5000,
    ),
    "standard": Recipe(
        augmentation="nnunet",
        told_labels=True,
        carrier_share=4 / 5,
        alternate=0,
        generator_rate=1e-3,
        surrogate_rate=2e-3,
        surrogate_decay=1e-2,
        surrogate_betas=(0.9, 0.999),
        surrogate_life=100,
        examined_every=200,
        largest_batch=16,
        epochs=30,
        fewest_iterations=800,
        most_iterations=3000,
    ),
}
