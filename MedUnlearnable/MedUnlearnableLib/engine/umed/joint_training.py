"""The training: generators make noise, a surrogate learns to segment through it, both on one loss.

Every iteration has random numbers of its own and the whole of a training lies in a `State`, so one that was killed and
goes on from there ends with the same bytes. torch is imported inside the functions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..attack import segmentation_loss
from ..augment import augment
from ..errors import MedUnlearnableError
from ..method import State, Workspace
from ..networks import unet
from ..progress import Progress
from ..streams import RandomStreams
from ..team import Team
from ..training import autocast, memory_format
from .examiner import Examiner, held_out_dsc, picked
from .noise import Ports, TrainedNoise
from .plan import SURROGATE_DEPTH, Plan
from .recipes import Recipe
from .samples import Samples

if TYPE_CHECKING:
    import torch
    from torch import nn

_KEEP_EVERY_SECONDS = 30.0
_CURVE_POINTS = 200
_GENERATOR_DECAY = 1e-5  # as reported of the paper by others


class JointTraining:
    """Networks and optimizers of one training, and where it is."""

    def __init__(
        self,
        ports: Ports,
        plan: Plan,
        recipe: Recipe,
        epsilon: float,
        streams: RandomStreams,
        device: str,
        team: Team | None = None,
    ) -> None:
        import torch

        self.ports, self.plan, self.recipe, self.epsilon = ports, plan, recipe, epsilon
        self.streams, self.device, self.team = streams, device, team or Team()
        self.iteration = 0
        self.examiner = Examiner(recipe.examined_every)
        with self._seeded("umed generators"):
            self.generators = self._placed(ports.networks(plan.width))
        self._generator_optimizer = torch.optim.Adam(
            self.generators.parameters(), recipe.generator_rate, weight_decay=_GENERATOR_DECAY
        )
        self._new_surrogate()

    @property
    def is_over(self) -> bool:
        return self.iteration >= self.plan.iterations or self.examiner.has_seen_enough

    def gradients(self, samples: Samples) -> float:
        """Leaves the gradients of the loss of a batch in the networks that this iteration steps; gives the loss.

        `samples`: this member's part of the batch; gradients and loss are those of the whole team.
        """
        batch = self._tensors(samples)
        for network, moves in ((self.generators, self._generators_move), (self.surrogate, self._surrogate_moves)):
            network.zero_grad()
            network.requires_grad_(moves)
        image, label = augment(
            self._z_scored(batch, self._protected(batch)),
            batch["classes"].long(),
            self.recipe.augmentation,
            self._torch_generator("augmentation" if self.team.leads else f"augmentation {self.team.rank}"),
        )
        with autocast(image):
            logits = self.surrogate(image.contiguous(memory_format=memory_format(image)))
        loss = segmentation_loss(logits.float(), label)
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
        if self._generators_move:
            self._generator_optimizer.step()
        if self._surrogate_moves:
            self._surrogate_optimizer.step()
        self.iteration += 1
        if self._life_is_over:
            self._new_surrogate()

    def examine(self, samples: Samples, progress: Progress) -> float:
        """Notes the DSC of an attacker who never met the generators, and keeps these if they are the best so far."""
        import torch

        dsc = torch.zeros(1, device=self.device)
        if self.team.leads:  # the others wait for its result
            some = picked(samples)
            sizes = self.plan.width, self.plan.batch, self.device
            dsc += held_out_dsc(self._exported(some), some, self.recipe.augmentation, *sizes, progress)
        self.team.add_up([dsc])
        self.examiner.note(float(dsc), self.generators.state_dict())
        return float(dsc)

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
        arrays |= {f"best.{name}": _array(weight) for name, weight in self.examiner.best.items()}
        return State({"iteration": self.iteration, "examined": self.examiner.scores}, arrays)

    def load(self, state: State) -> None:
        """Goes on from `state`."""
        import torch

        tensors = {name: torch.from_numpy(np.array(array)) for name, array in state.arrays.items()}
        self.iteration = state.header["iteration"]
        self.examiner.scores = list(state.header["examined"])
        self.examiner.best = _below("best.", tensors)
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
        """What the training made: the best generators where they were examined, else the last."""
        best = self.examiner.best or self.generators.state_dict()
        weights = {name: _array(value) for name, value in best.items()}
        return TrainedNoise(self.ports, self.plan.width, weights)

    @property
    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"generators": self._generator_optimizer, "surrogate": self._surrogate_optimizer}

    @property
    def _surrogate_moves(self) -> bool:
        every = self.recipe.alternate
        return every == 0 or self.iteration % every == every - 1

    @property
    def _generators_move(self) -> bool:
        return self.recipe.alternate == 0 or not self._surrogate_moves

    @property
    def _life_is_over(self) -> bool:
        """Whether a fresh surrogate takes over; not shortly before the end, it would not learn anything any more."""
        life = self.recipe.surrogate_life
        return life is not None and self.iteration % life == 0 and self.plan.iterations - self.iteration > life / 3

    def _new_surrogate(self) -> None:
        import torch

        with self._seeded(f"umed surrogate {self.iteration}"):
            dimensions, channels, classes = self.ports.dimensions, self.ports.channels, self.ports.classes.count
            network = unet(dimensions, channels, classes, self.plan.width, SURROGATE_DEPTH[dimensions])
        self.surrogate = self._placed(network)
        self._surrogate_optimizer = torch.optim.AdamW(
            self.surrogate.parameters(),
            self.recipe.surrogate_rate,
            betas=self.recipe.surrogate_betas,
            weight_decay=self.recipe.surrogate_decay,
        )

    def _protected(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Images [N, C, *sides] with the noise rounded to the stored grid; the gradient goes past the rounding.

        Without the carrier: with it, the generators learned to strengthen it, and made nothing that survives a blur.
        """

        contour = batch["contour"][:, None]
        inputs = self.ports.inputs(self._z_scored(batch, batch["image"]), batch["classes"], contour)
        with autocast(inputs):
            noise = self.generators(inputs.contiguous(memory_format=memory_format(inputs)), contour)
        delta = batch["bound"] * mixed(noise, 0, self.recipe.carrier_share)
        quantum = _along(batch["quantum"], delta)
        levels = (self.epsilon / quantum + 1e-6).floor()
        stored = (delta / quantum).round().clamp(-levels, levels) * quantum
        return (batch["image"] + delta + (stored - delta).detach().where(quantum > 0, 0)).clamp(0, 1)

    def _exported(self, samples: Samples) -> NDArray[np.float32]:
        """Samples [N, C, *sides] with the noise there is now."""
        import torch

        parts = [samples[first : first + self.plan.batch] for first in range(0, len(samples), self.plan.batch)]
        with torch.no_grad():
            return np.concatenate([_array(self._protected(self._tensors(part))) for part in parts])

    def _tensors(self, samples: Samples) -> dict[str, torch.Tensor]:
        import torch

        return {name: torch.from_numpy(np.array(samples[name])).to(self.device) for name in samples.dtype.names or ()}

    def _z_scored(self, batch: dict[str, torch.Tensor], image: torch.Tensor) -> torch.Tensor:
        return (image - _along(batch["mean"], image)) / _along(batch["deviation"], image)

    def _placed(self, network: nn.Module) -> nn.Module:
        import torch

        formats = {2: torch.channels_last, 3: torch.channels_last_3d}
        layout: dict[str, Any] = {"memory_format": formats[self.ports.dimensions]}  # torch's stubs do not know it
        return network.to(self.device, **layout).train()

    def _torch_generator(self, purpose: str) -> torch.Generator:
        import torch

        number = self.streams.generator(f"umed {purpose} {self.iteration}").integers(2**63)
        return torch.Generator().manual_seed(int(number))

    @contextmanager
    def _seeded(self, purpose: str) -> Iterator[None]:
        """torch's global stream seeded from the key; as it was afterwards."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(self.streams.generator(purpose).integers(2**63)))
            yield


def mixed(noise: Any, carrier: Any, carrier_share: float) -> Any:
    """Noise and carrier in [-1, 1], arrays or tensors, as one pattern in [-1, 1]."""
    return (1 - carrier_share) * noise + carrier_share * carrier


def run(training: JointTraining, samples: Samples, workspace: Workspace, header: dict[str, Any]) -> None:
    """Trains to the end of the plan, until noise gets no better, or until the listener stops it; keeps the state.

    `header` goes into every kept state. Raises `MedUnlearnableError` when the training diverges.
    """
    total = training.plan.iterations
    every = max(1, total // _CURVE_POINTS)
    kept = time.monotonic()
    while not training.is_over:
        workspace.progress.step("train", training.iteration, total)
        loss = training.gradients(samples[training.batch()])
        if not np.isfinite(loss):
            raise MedUnlearnableError(f"the training diverged in iteration {training.iteration}; start it anew")
        training.step()
        if training.iteration % every == 0:
            workspace.progress.curve("loss", training.iteration, loss)
        if training.examiner.is_due(training.iteration):
            workspace.progress.curve("held-out DSC", training.iteration, training.examine(samples, workspace.progress))
        if training.team.leads and (training.is_over or time.monotonic() - kept > _KEEP_EVERY_SECONDS):
            keep(training, workspace, header)
            kept = time.monotonic()
    workspace.progress.step("train", total, total)


def keep(training: JointTraining, workspace: Workspace, header: dict[str, Any]) -> None:
    state = training.state()
    workspace.keep(State({**header, **state.header}, state.arrays))


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    return tensor.detach().cpu().contiguous().numpy().copy()


def _below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _along(values: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """[N, C] as a factor for [N, C, *sides]."""
    return values.view(*values.shape, *[1] * (image.ndim - 2))
