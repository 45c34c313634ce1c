"""The training of `paper`: generators make noise, a surrogate learns to segment through it, both on one loss.

Min-min as far as it is known: the surrogate steps in every fifth iteration, the generators in the others, without
augmentation; the generators see the image alone. Every iteration has random numbers of its own and the whole of a
training lies in a `State`, so one that was killed and goes on from there ends with the same bytes. torch is imported
inside the functions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..attack import segmentation_loss
from ..errors import MedUnlearnableError
from ..method import State, Workspace
from ..networks import unet
from ..streams import RandomStreams
from ..team import Team
from ..training import autocast, memory_format
from .cohort import Cohort
from .noise import TrainedNoise, generators_of
from .plan import SURROGATE_DEPTH, Plan
from .samples import Samples

if TYPE_CHECKING:
    import torch
    from torch import nn

_KEEP_EVERY_SECONDS = 30.0
_CURVE_POINTS = 200
_SURROGATE_EVERY = 5  # iterations
_RATE = 1e-4  # of both; this and what follows as reported of the paper by others
_GENERATOR_DECAY = 1e-5
_SURROGATE_DECAY = 5e-4
_SURROGATE_BETAS = (0.9, 0.9999)


class JointTraining:
    """Networks and optimizers of one training, and where it is."""

    def __init__(
        self,
        cohort: Cohort,
        plan: Plan,
        epsilon: float,
        streams: RandomStreams,
        device: str,
        team: Team | None = None,
    ) -> None:
        import torch

        self.cohort, self.plan, self.epsilon = cohort, plan, epsilon
        self.streams, self.device, self.team = streams, device, team or Team()
        self.iteration = 0
        dimensions, channels, classes = cohort.dimensions, cohort.channels, cohort.classes.count
        with self._seeded("umed generators"):
            self.generators = self._placed(generators_of(dimensions, channels, plan.width))
        with self._seeded("umed surrogate 0"):
            self.surrogate = self._placed(unet(dimensions, channels, classes, plan.width, SURROGATE_DEPTH[dimensions]))
        self._generator_optimizer = torch.optim.Adam(self.generators.parameters(), _RATE, weight_decay=_GENERATOR_DECAY)
        self._surrogate_optimizer = torch.optim.AdamW(
            self.surrogate.parameters(), _RATE, betas=_SURROGATE_BETAS, weight_decay=_SURROGATE_DECAY
        )

    @property
    def is_over(self) -> bool:
        return self.iteration >= self.plan.iterations

    def run(self, samples: Samples, workspace: Workspace, header: dict[str, Any]) -> None:
        """Trains to the end of the plan, or until the listener stops it; keeps the state, with `header` in it.

        Raises `MedUnlearnableError` when the training diverges.
        """
        total = self.plan.iterations
        every = max(1, total // _CURVE_POINTS)
        kept = time.monotonic()
        while not self.is_over:
            workspace.progress.step("train", self.iteration, total)
            loss = self.gradients(samples[self.batch()])
            if not np.isfinite(loss):
                raise MedUnlearnableError(f"the training diverged in iteration {self.iteration}; start it anew")
            self.step()
            if self.iteration % every == 0:
                workspace.progress.curve("loss", self.iteration, loss)
            if self.team.leads and (self.is_over or time.monotonic() - kept > _KEEP_EVERY_SECONDS):
                workspace.keep(self.state().below(header))
                kept = time.monotonic()
        workspace.progress.step("train", total, total)

    def gradients(self, samples: Samples) -> float:
        """Leaves the gradients of the loss of a batch in the networks that this iteration steps; gives the loss.

        `samples`: this member's part of the batch; gradients and loss are those of the whole team.
        """
        batch = self._tensors(samples)
        for network, moves in ((self.generators, not self._surrogate_moves), (self.surrogate, self._surrogate_moves)):
            network.zero_grad()
            network.requires_grad_(moves)
        image = self._z_scored(batch, self._protected(batch))
        with autocast(image):
            logits = self.surrogate(image.contiguous(memory_format=memory_format(image)))
        loss = segmentation_loss(logits.float(), batch["classes"].long())
        loss.backward()
        figure = loss.detach().clone()
        self._add_up(figure, len(samples) / self.plan.batch)
        return float(figure)

    def _add_up(self, loss: torch.Tensor, share: float) -> None:
        """Gradients and `loss` over the team; this member has `share` of the batch."""
        if self.team.size > 1:
            parameters = (*self.generators.parameters(), *self.surrogate.parameters())
            shared = [loss, *(parameter.grad for parameter in parameters if parameter.grad is not None)]
            for tensor in shared:
                tensor.mul_(share)
            self.team.add_up(shared)

    def step(self) -> None:
        """Moves the networks along their gradients and goes to the next iteration."""
        (self._surrogate_optimizer if self._surrogate_moves else self._generator_optimizer).step()
        self.iteration += 1

    def batch(self) -> NDArray[np.intp]:
        """Indices of this member's samples in this iteration: all once in random order before any comes again."""
        first = self.iteration * self.plan.batch
        indices = np.arange(first, first + self.plan.batch)
        rounds, places = np.divmod(indices, self.plan.samples)
        orders = {r: self.streams.generator(f"umed order {r}").permutation(self.plan.samples) for r in set(rounds)}
        return self.team.part(np.array([orders[r][place] for r, place in zip(rounds, places)]))

    def state(self) -> State:
        """All that a resumed training needs."""
        networks = {"generators": self.generators, "surrogate": self.surrogate}
        arrays = {
            f"{name}.{key}": _array(value)
            for name, network in networks.items()
            for key, value in network.state_dict().items()
        }
        for name, optimizer in self._optimizers.items():
            for number, moments in optimizer.state_dict()["state"].items():
                arrays |= {f"{name} moments.{number}.{key}": _array(value) for key, value in moments.items()}
        return State({"iteration": self.iteration}, arrays)

    def load(self, state: State) -> None:
        """Goes on from `state`."""
        import torch

        tensors = {name: torch.from_numpy(np.array(array)) for name, array in state.arrays.items()}
        self.iteration = state.header["iteration"]
        self.generators.load_state_dict(_below("generators.", tensors))
        self.surrogate.load_state_dict(_below("surrogate.", tensors))
        for name, optimizer in self._optimizers.items():
            moments: dict[int, dict[str, torch.Tensor]] = {}
            for key, tensor in _below(f"{name} moments.", tensors).items():
                number, moment = key.split(".")
                moments.setdefault(int(number), {})[moment] = tensor
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": moments, "param_groups": groups})

    def noise(self) -> TrainedNoise:
        """What the training made."""
        weights = {name: _array(value) for name, value in self.generators.state_dict().items()}
        return TrainedNoise(self.cohort.dimensions, self.cohort.channels, self.plan.width, weights)

    @property
    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"generators": self._generator_optimizer, "surrogate": self._surrogate_optimizer}

    @property
    def _surrogate_moves(self) -> bool:
        return self.iteration % _SURROGATE_EVERY == _SURROGATE_EVERY - 1

    def _protected(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Images [N, C, *sides] with the noise rounded to the stored grid; the gradient goes past the rounding."""
        inputs = self._z_scored(batch, batch["image"])
        with autocast(inputs):
            noise = self.generators(inputs.contiguous(memory_format=memory_format(inputs)), batch["contour"][:, None])
        delta = batch["bound"] * noise
        quantum = _along(batch["quantum"], delta)
        levels = (self.epsilon / quantum + 1e-6).floor()
        stored = (delta / quantum).round().clamp(-levels, levels) * quantum
        return (batch["image"] + delta + (stored - delta).detach().where(quantum > 0, 0)).clamp(0, 1)

    def _tensors(self, samples: Samples) -> dict[str, torch.Tensor]:
        import torch

        return {name: torch.from_numpy(np.array(samples[name])).to(self.device) for name in samples.dtype.names or ()}

    def _z_scored(self, batch: dict[str, torch.Tensor], image: torch.Tensor) -> torch.Tensor:
        return (image - _along(batch["mean"], image)) / _along(batch["deviation"], image)

    def _placed(self, network: nn.Module) -> nn.Module:
        import torch

        formats = {2: torch.channels_last, 3: torch.channels_last_3d}
        layout: dict[str, Any] = {"memory_format": formats[self.cohort.dimensions]}  # torch's stubs do not know it
        return network.to(self.device, **layout).train()

    @contextmanager
    def _seeded(self, purpose: str) -> Iterator[None]:
        """torch's global stream seeded from the key; as it was afterwards."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(self.streams.generator(purpose).integers(2**63)))
            yield


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    return tensor.detach().cpu().contiguous().numpy().copy()


def _below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _along(values: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """[N, C] as a factor for [N, C, *sides]."""
    return values.view(*values.shape, *[1] * (image.ndim - 2))
