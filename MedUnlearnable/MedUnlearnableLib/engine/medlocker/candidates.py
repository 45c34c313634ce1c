"""Sets of marks drawn into planes at the models' resolution and scored, many at once. torch is imported inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

GENES = 4  # of a mark: y, x, opacity, ink; all in [0, 1]
_CHUNK_PIXELS = 4_000_000  # of one forward pass

#: Planes [N, C, h, w] in [0, 1] to logits [N, classes].
Scores = Callable[["torch.Tensor"], "torch.Tensor"]


@dataclass(frozen=True)
class Mark:
    """One logo in a plane: upper left corner in stored pixels, opacity 0..255, number of its ink."""

    x: int
    y: int
    opacity: int
    ink: int


@dataclass(frozen=True)
class Site:
    """A place where one set of marks is looked for: a picture, or the slices of a slab that share their marks.

    planes [S, C, h, w] in [0, 1] at the models' resolution; mattes [K, a, b] in [0, 1] and inks [I, C, a, b] likewise.
    nearest [2, R, Q]: for each corner in stored pixels the nearest one allowed. scale: model pixels per stored pixel.
    """

    name: str
    planes: NDArray[np.float32]
    label: int
    mattes: NDArray[np.float32]
    inks: NDArray[np.float32]
    nearest: NDArray[np.integer]
    scale: tuple[float, float]

    def decoded(self, genes: NDArray[np.float64], opacity: tuple[int, int]) -> NDArray[np.int64]:
        """Genes [n, 4 K] as marks [n, K, 4] of y, x, opacity, ink; a forbidden corner becomes the nearest allowed."""
        y, x, faded, ink = np.moveaxis(genes.reshape(len(genes), -1, GENES), -1, 0)
        _, rows, columns = self.nearest.shape
        corner = self.nearest[:, _level(y, rows), _level(x, columns)]
        levels = opacity[0] + _level(faded, opacity[1] - opacity[0] + 1)
        return np.stack([corner[0], corner[1], levels, _level(ink, len(self.inks))], axis=-1)

    def encoded(self, marks: NDArray[np.int64], opacity: tuple[int, int]) -> NDArray[np.float64]:
        """Genes [4 K] that `decoded` takes to these marks [K, 4]."""
        _, rows, columns = self.nearest.shape
        counts = np.array([rows, columns, opacity[1] - opacity[0] + 1, len(self.inks)])
        return ((marks - [0, 0, opacity[0], 0] + 0.5) / counts).reshape(-1)


def _level(gene: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    return np.minimum((gene * count).astype(np.int64), count - 1)


class Candidates:
    """All sites of a search on the device. Sites may have logos of different sizes; they are padded to the largest."""

    def __init__(self, sites: Sequence[Site], models: Sequence[Scores], device: str) -> None:
        import torch

        self.models = models
        self.device = device
        self._counts = torch.tensor([len(site.planes) for site in sites])
        self._starts = self._counts.cumsum(0) - self._counts
        self._planes = torch.from_numpy(np.concatenate([site.planes for site in sites])).to(device)
        self._labels = torch.tensor([site.label for site in sites], device=device)
        self._scale = np.array([site.scale for site in sites])
        self._mattes = torch.from_numpy(_stacked([site.mattes for site in sites])).to(device)
        self._inks = torch.from_numpy(_stacked([site.inks for site in sites])).to(device)

    def margins(self, sites: NDArray[np.intp], marks: NDArray[np.int64]) -> NDArray[np.float64]:
        """Margins [n, models] of candidates: marks [n, K, 4] in the planes of site number `sites` [n]."""
        import torch

        chunk = max(1, int(_CHUNK_PIXELS / (self._planes[0].numel() * float(self._counts.float().mean()))))
        with torch.no_grad():
            parts = [
                self._margins(torch.from_numpy(sites[start : start + chunk]), marks[start : start + chunk])
                for start in range(0, len(sites), chunk)
            ]
        return torch.cat(parts).double().cpu().numpy()

    def gradients(
        self, sites: NDArray[np.intp], marks: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], list[NDArray[np.float32]], list[NDArray[np.float32]]]:
        """Margins [n, models], then for each site its drawn planes [S, C, h, w] and the slope of the mean margin."""
        import torch

        drawn, owner = self._drawn(torch.from_numpy(sites), marks)
        drawn.requires_grad_(True)
        margins = self._margins_of(drawn, owner, self._labels[sites])
        (slope,) = torch.autograd.grad(margins.mean(dim=1).sum(), drawn)
        sizes = self._counts[sites].tolist()
        planes, slopes = ([part.cpu().numpy() for part in t.detach().split(sizes)] for t in (drawn, slope))
        return margins.detach().double().cpu().numpy(), planes, slopes

    def corners(self, sites: NDArray[np.intp], marks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Upper left corners of the marks [n, K, 2] in pixels of the models."""
        return np.rint(marks[..., :2] * self._scale[sites][:, np.newaxis]).astype(np.int64)

    def _margins(self, sites: torch.Tensor, marks: NDArray[np.int64]) -> torch.Tensor:
        drawn, owner = self._drawn(sites, marks)
        return self._margins_of(drawn, owner, self._labels[sites])

    def _margins_of(self, drawn: torch.Tensor, owner: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        import torch

        return torch.stack([_margin(_by_site(model(drawn), owner, len(labels)), labels) for model in self.models], 1)

    def _drawn(self, sites: torch.Tensor, marks: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        """The planes of every candidate with its marks, and which candidate each plane belongs to."""
        import torch

        counts = self._counts[sites]
        owner = torch.repeat_interleave(torch.arange(len(sites)), counts)
        within = torch.arange(len(owner)) - (counts.cumsum(0) - counts)[owner]
        of_site = sites[owner]
        planes = self._planes[(self._starts[of_site] + within).to(self.device)]
        corners = torch.from_numpy(self.corners(sites.numpy(), marks))[owner].to(self.device)
        opacity, ink = torch.from_numpy(marks[..., 2:])[owner].unbind(-1)
        for number in range(marks.shape[1]):
            matte = self._mattes[of_site, number] * (opacity[:, number] / 255).view(-1, 1, 1).to(self.device)
            _draw(planes, corners[:, number], matte, self._inks[of_site, ink[:, number]])
        return planes, owner.to(self.device)


def _draw(planes: torch.Tensor, corner: torch.Tensor, matte: torch.Tensor, ink: torch.Tensor) -> None:
    """Blends one logo into each plane [n, C, h, w], in place; what hangs over the edge is left out."""
    import torch

    count, channels, height, width = planes.shape
    rows = corner[:, :1] + torch.arange(matte.shape[1], device=planes.device)
    columns = corner[:, 1:] + torch.arange(matte.shape[2], device=planes.device)
    inside = (rows < height)[:, :, None] & (columns < width)[:, None, :]
    # Over the edge the matte is 0: adding nothing to a pixel of the edge changes nothing.
    index = rows.clamp(max=height - 1)[:, :, None] * width + columns.clamp(max=width - 1)[:, None, :]
    index = index.view(count, 1, -1).expand(-1, channels, -1)
    flat = planes.view(count, channels, -1)
    old = flat.gather(2, index)
    share = (matte * inside).view(count, 1, -1)
    flat.scatter_add_(2, index, share * (ink.reshape(count, channels, -1) - old))


def _by_site(logits: torch.Tensor, owner: torch.Tensor, count: int) -> torch.Tensor:
    """Mean logits [count, classes] over the planes of each candidate."""
    import torch

    if len(logits) == count:
        return logits.float()
    total = logits.new_zeros((count, logits.shape[1]), dtype=torch.float32).index_add_(0, owner, logits.float())
    return total / torch.bincount(owner, minlength=count).unsqueeze(1)


def _margin(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """By how much the true class leads the best other one; negative where the prediction is wrong."""
    own = logits.gather(1, labels.unsqueeze(1)).squeeze(1)
    others = logits.scatter(1, labels.unsqueeze(1), float("-inf"))
    return own - others.amax(dim=1)


def _stacked(arrays: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Arrays of equal rank, padded with zeros at their ends to the largest."""
    largest = np.max([array.shape for array in arrays], axis=0)
    return np.stack([np.pad(a, [(0, int(n - s)) for n, s in zip(largest, a.shape)]) for a in arrays])
