"""Who trains together: one process alone, or one on each of several devices or machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from .errors import Refused

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Team:
    """A single process. What several need is made by who starts them.

    All members hold the same networks. Each takes its part of every batch; the gradients are added up, so all of them
    make the same step. The member that leads (rank 0) looks at the cohort and keeps the state.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    @contextmanager
    def together(self, device: str) -> Iterator[None]:
        """Around a training. The one that leads has kept all that the others need before."""
        yield

    def part(self, batch: NDArray[Any]) -> NDArray[Any]:
        """What this member takes of a batch."""
        if len(batch) < self.size:
            raise Refused(f"{self.size} processes cannot share batches of {len(batch)}; start {len(batch)} or fewer")
        return batch[self.rank :: self.size]

    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        """Makes each tensor the sum of it over all members, the same bits everywhere."""
