"""Batched differential evolution over place, opacity and ink of one to three logos (Storn and Price, 1997).

All pictures and all their candidates go through the models in one batch; a picture whose prediction has flipped leaves.
Each site draws from its own random stream, so what it draws does not depend on its neighbors in the batch. Ours, and
only for models with gradients: the population starts where the slope of the models points, logo by logo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..progress import Progress
from ..streams import RandomStreams
from .candidates import GENES, Candidates, Mark, Site
from .targets import TargetModel

_BISECTIONS = 4
_GRADIENT_COST = 3  # forwards: the backward pass costs about two


@dataclass(frozen=True)
class SearchSettings:
    """`forwards` is the most that a site may cost; most are solved long before."""

    logos: int = 1
    population: int = 16
    forwards: int = 600
    crossover: float = 0.9
    opacity: tuple[int, int] = (100, 255)
    confidence: float = 1.0  # logits by which a wrong class must win, so that small changes do not turn it back
    tried: int = 6  # places tried for each logo where the slope points; 0: no use of gradients
    fade: bool = True  # lower the opacity as long as the prediction stays wrong


@dataclass
class Found:
    """What a search gave. `ladder`: sets of marks, the one to be preferred first; each is worth confirming."""

    ladder: list[tuple[Mark, ...]]
    clean_margin: float  # largest over the models
    margin: float  # of the first set
    solved: bool
    forwards: int  # of the whole site through one model, times the models
    history: list[float] = field(default_factory=list)  # best margin after each generation

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Found:
        ladder = [tuple(Mark(**mark) for mark in rung) for rung in data["ladder"]]
        return cls(**{**data, "ladder": ladder})


def search(
    sites: Sequence[Site],
    models: Sequence[TargetModel],
    settings: SearchSettings,
    streams: RandomStreams,
    device: str = "cpu",
    progress: Progress | None = None,
) -> list[Found]:
    """Marks for every site, in the order given. Deterministic on the CPU for the same sites, models and streams."""
    running = _Search(sites, Candidates(sites, models, device), settings, streams)
    if settings.tried and all(model.differentiable for model in models):
        running.seed_by_gradient()
    running.evolve(progress or Progress())
    return running.results()


class _Search:
    """genes [B, NP, D], scores [B, NP]: what is minimized, the largest margin over the models (ties: their mean)."""

    def __init__(
        self, sites: Sequence[Site], candidates: Candidates, settings: SearchSettings, streams: RandomStreams
    ) -> None:
        self.sites = sites
        self.candidates = candidates
        self.settings = settings
        self.random = [streams.generator(f"search {site.name}") for site in sites]
        shape = (settings.population, GENES * settings.logos)
        self.genes = np.stack([random.random(shape) for random in self.random])
        self.scores = np.full(self.genes.shape[:2], np.inf)
        self.history: list[list[float]] = [[] for _ in sites]
        self.forwards = np.zeros(len(sites), np.int64)
        everyone = np.arange(len(sites))
        self.clean = self._scores(everyone, np.zeros((len(sites), 0, GENES), np.int64))

    def seed_by_gradient(self) -> None:
        """Logo by logo: the slope at the picture as it is now ranks all places; the best of a few tried ones stays.

        What has been chosen in the end is the first vector of the population.
        """
        everyone = np.arange(len(self.sites))
        chosen = np.zeros((len(self.sites), 0, GENES), np.int64)
        for logo in range(self.settings.logos):
            _, planes, slopes = self.candidates.gradients(everyone, chosen)
            self.forwards += _GRADIENT_COST * len(self.candidates.models)
            tried = np.stack(
                [
                    promising(site, logo, planes[number], slopes[number], self.settings, self.random[number])
                    for number, site in enumerate(self.sites)
                ]
            )
            sets = np.concatenate([np.repeat(chosen[:, None], tried.shape[1], 1), tried[:, :, None]], axis=2)
            scores = self._scores_of_sets(everyone, sets)
            chosen = sets[everyone, scores.argmin(axis=1)]
            self.scores[:, 0] = scores.min(axis=1)
            for number, site in enumerate(self.sites):
                self._sow(number, site, logo, tried[number][scores[number].argsort()])

    def _sow(self, number: int, site: Site, logo: int, marks: NDArray[np.int64]) -> None:
        """Writes the tried marks of one logo into the first vectors, the best into the very first."""
        own = slice(GENES * logo, GENES * (logo + 1))
        for row, mark in enumerate(marks[: self.settings.population // 2]):
            self.genes[number, row, own] = site.encoded(mark[np.newaxis], self.settings.opacity)

    def evolve(self, progress: Progress) -> None:
        if len(active := self._active()):  # some may be solved by where the slope points to
            self.scores[active] = self._scores_of_genes(active, self.genes[active])
        while len(active := self._active()):
            progress.step("search", len(self.sites) - len(active), len(self.sites))
            trial = np.stack([self._trial(site) for site in active])
            scores = self._scores_of_genes(active, trial)
            for site, genes, found in zip(active, trial, scores):
                better = found <= self.scores[site]
                self.genes[site][better] = genes[better]
                self.scores[site][better] = found[better]
                self.history[site].append(float(self.scores[site].min()))

    def results(self) -> list[Found]:
        everyone = np.arange(len(self.sites))
        solved = self.scores.min(axis=1) < -self.settings.confidence
        chosen = np.array([self._preferred(site) for site in range(len(self.sites))])
        best = np.stack([self._decoded(site)[number] for site, number in enumerate(chosen)])
        margin = self.scores[everyone, chosen]
        faded, faded_margin = best.copy(), margin.copy()
        if self.settings.fade and solved.any():
            winners = np.flatnonzero(solved)
            faded[winners], faded_margin[winners] = self._faded(winners, best[winners], margin[winners])
        return [
            Found(
                ladder=_ladder(faded[site], best[site], self._decoded(site)[self.scores[site].argmin()]),
                clean_margin=float(self.clean[site]),
                margin=float(faded_margin[site]),
                solved=bool(solved[site]),
                forwards=int(self.forwards[site]),
                history=self.history[site],
            )
            for site in range(len(self.sites))
        ]

    def _active(self) -> NDArray[np.intp]:
        unsolved = self.scores.min(axis=1) >= -self.settings.confidence
        cost = self.settings.population * len(self.candidates.models)
        return np.flatnonzero(unsolved & (self.forwards + cost <= self.settings.forwards))

    def _trial(self, site: int) -> NDArray[np.float64]:
        """One new vector for each old one: towards the best, along a difference, crossed with the old."""
        random, genes = self.random[site], self.genes[site]
        population, dimensions = genes.shape
        best = genes[int(self.scores[site].argmin())]
        step = random.uniform(0.5, 1.0, (population, 1))
        first, second = (random.integers(population, size=population) for _ in range(2))
        mutant = genes + 0.5 * step * (best - genes) + step * (genes[first] - genes[second])
        mutant = np.where((mutant < 0) | (mutant > 1), random.random(mutant.shape), mutant)
        crossed = random.random(mutant.shape) < self.settings.crossover
        crossed[np.arange(population), random.integers(dimensions, size=population)] = True
        return np.where(crossed, mutant, genes)

    def _decoded(self, site: int) -> NDArray[np.int64]:
        return self.sites[site].decoded(self.genes[site], self.settings.opacity)

    def _preferred(self, site: int) -> int:
        """Of those that win: the one that covers least. Else the one nearest to winning."""
        wins = self.scores[site] < -self.settings.confidence
        if not wins.any():
            return int(self.scores[site].argmin())
        cover = self._decoded(site)[..., 2] @ self.sites[site].mattes.sum(axis=(1, 2))
        return int(np.lexsort((self.scores[site], cover, ~wins))[0])

    def _faded(
        self, sites: NDArray[np.intp], marks: NDArray[np.int64], margin: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Bisection of the opacity of all marks of a set, as long as the wrong class wins."""
        lowest = self.settings.opacity[0]
        kept, kept_margin = marks.copy(), margin.copy()
        low, high = np.zeros(len(sites)), np.ones(len(sites))
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            trial = marks.copy()
            trial[..., 2] = np.rint(lowest + middle[:, None] * (marks[..., 2] - lowest))
            found = self._scores(sites, trial)
            wins = found < -self.settings.confidence
            kept[wins], kept_margin[wins] = trial[wins], found[wins]
            high, low = np.where(wins, middle, high), np.where(wins, low, middle)
        return kept, kept_margin

    def _scores_of_genes(self, sites: NDArray[np.intp], genes: NDArray[np.float64]) -> NDArray[np.float64]:
        decoded = [self.sites[site].decoded(own, self.settings.opacity) for site, own in zip(sites, genes)]
        return self._scores_of_sets(sites, np.stack(decoded))

    def _scores_of_sets(self, sites: NDArray[np.intp], sets: NDArray[np.int64]) -> NDArray[np.float64]:
        """[A, P] for sets of marks [A, P, K, 4]."""
        count, tried = sets.shape[:2]
        scores = self._scores(np.repeat(sites, tried), sets.reshape(count * tried, *sets.shape[2:]))
        return scores.reshape(count, tried)

    def _scores(self, sites: NDArray[np.intp], marks: NDArray[np.int64]) -> NDArray[np.float64]:
        margins = self.candidates.margins(sites, marks)
        np.add.at(self.forwards, sites, len(self.candidates.models))
        return margins.max(axis=1) + 1e-6 * margins.mean(axis=1)


def promising(
    site: Site,
    logo: int,
    planes: NDArray[np.float32],
    slopes: NDArray[np.float32],
    settings: SearchSettings,
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """Marks [tried, 4], full opacity, where the margin falls most to first order: the sum of matte * (ink - p) * slope.

    Of each two that would overlap by more than half only the better one is given, so that the few tried differ.
    """
    matte = site.mattes[logo]
    loss = np.stack([_first_order(planes, slopes, matte, ink) for ink in site.inks])
    places = np.unique(site.nearest.reshape(2, -1), axis=1)
    rows, columns = np.rint(places * np.array(site.scale)[:, None]).astype(np.int64)
    height, width = (half // 2 for half in matte.shape)
    ranked = np.full(loss.shape, np.inf)
    ranked[:, rows, columns] = loss[:, rows, columns]
    place_at = np.zeros(loss.shape[1:], np.int64)
    place_at[rows, columns] = np.arange(places.shape[1])
    chosen = []
    for _ in range(settings.tried):
        ink, row, column = np.unravel_index(int(ranked.argmin()), ranked.shape)
        if np.isinf(ranked[ink, row, column]):  # fewer places than are tried: any other will do
            ink, place = random.integers(len(site.inks)), random.integers(places.shape[1])
        else:
            place = place_at[row, column]
        chosen.append([*places[:, place], settings.opacity[1], ink])
        near = (slice(max(0, row - height), row + height + 1), slice(max(0, column - width), column + width + 1))
        ranked[(ink, *near)] = np.inf
    return np.array(chosen, np.int64)


def _first_order(
    planes: NDArray[np.float32], slopes: NDArray[np.float32], matte: NDArray[np.float32], ink: NDArray[np.float32]
) -> NDArray[np.float64]:
    """[h, w]: by how much the margin changes, to first order, with the logo's upper left corner there."""
    change = np.zeros(planes.shape[2:])
    for plane, slope in zip(planes, slopes):
        for channel, own, color in zip(plane, slope, ink):
            change += _correlated(own, matte * color) - _correlated(own * channel, matte)
    return change


def _correlated(plane: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum of the kernel times the plane below it, for each upper left corner of the kernel; outside it is 0."""
    from scipy.signal import correlate  # takes long to load; every command would wait for it

    whole = correlate(plane.astype(np.float64), kernel.astype(np.float64), mode="full", method="fft")
    return whole[kernel.shape[0] - 1 :, kernel.shape[1] - 1 :]


def _ladder(*sets: NDArray[np.int64]) -> list[tuple[Mark, ...]]:
    ladder: list[tuple[Mark, ...]] = []
    for marks in sets:
        rung = tuple(Mark(x=int(x), y=int(y), opacity=int(t), ink=int(ink)) for y, x, t, ink in marks)
        if rung not in ladder:
            ladder.append(rung)
    return ladder
