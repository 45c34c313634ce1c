"""The search of Adv-watermark (Jia et al., ACM MM 2020), ours from its description, as a rival to compare with.

One white logo anywhere in the picture; genes are opacity, x and y; the raw logit of the true class is minimized by
differential evolution with population 50, three generations and basin hopping as mutation, one picture and one forward
at a time; it stops at the first success.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
from MedUnlearnableLib.engine.medlocker.candidates import Mark
from numpy.typing import NDArray
from scipy import optimize

POPULATION, GENERATIONS, CROSSOVER, HOPS = 50, 3, 0.9, 3
REACH = np.array([20.0, 50.0, 50.0])  # of a hop, in opacity, x and y

#: A mark to the logits of the picture that bears it.
Logits = Callable[[Mark], NDArray[np.floating]]


class AdvWatermark:
    """`mark` and `forwards` after `run`: the first mark that misleads, else the one with the lowest logit."""

    def __init__(self, logits: Logits, label: int, corner: tuple[int, int], seed: int) -> None:
        """corner: largest x and y."""
        self._logits = logits
        self._label = label
        self._low, self._high = np.array([100.0, 0.0, 0.0]), np.array([255.0, *corner])
        self._random = np.random.default_rng(seed)
        self.forwards = 0
        self.mark = Mark(0, 0, 255, 0)

    def run(self) -> None:
        with suppress(StopIteration):
            self._evolve()

    def _evolve(self) -> None:
        population = self._random.uniform(self._low, self._high, (POPULATION, 3))
        values = np.array([self._value(genes) for genes in population])
        for _ in range(GENERATIONS):
            for index in range(POPULATION):
                mutant = optimize.basinhopping(
                    self._value, population[index], niter=HOPS, take_step=self._hop, rng=self._random
                ).x
                trial = np.where(self._random.random(3) < CROSSOVER, mutant, population[index])
                value = self._value(trial)
                if value < values[index]:
                    population[index], values[index] = trial, value
        self.mark = self._marked(population[values.argmin()])

    def _hop(self, genes: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(genes + self._random.uniform(-REACH, REACH), self._low, self._high)

    def _marked(self, genes: NDArray[np.float64]) -> Mark:
        opacity, x, y = np.clip(genes, self._low, self._high).astype(int)
        return Mark(int(x), int(y), int(opacity), 0)

    def _value(self, genes: NDArray[np.float64]) -> float:
        self.mark = self._marked(genes)
        logits = self._logits(self.mark)
        self.forwards += 1
        if int(logits.argmax()) != self._label:
            raise StopIteration
        return float(logits[self._label])
