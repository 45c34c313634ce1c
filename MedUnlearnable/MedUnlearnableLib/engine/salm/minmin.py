"""Error-minimizing noise (Huang et al., arXiv 2101.04898) under a sparse mask, sample by sample or class by class.

A surrogate and the noise take turns: the network takes a few steps on the protected samples, then the noise of every
sample takes a few against it, each on the pixels where the gradient is largest. The network stays poorly trained
throughout; that is why the noise is what it learns. torch is imported inside the functions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..classification import class_loss
from ..classifiers import seeded_classifier
from ..errors import MedUnlearnableError, Refused
from ..method import State, Workspace
from ..streams import RandomStreams
from ..training import autocast, memory_format
from .params import SALMParams

if TYPE_CHECKING:
    import torch
    from torch import nn

_FULL = 127  # the noise is kept as int8, in units of epsilon / 127
_FORMAT = "medunlearnable-salm-training/1"
_CLASS_NOISE = "noise of the classes"
_MOMENTUM, _WEIGHT_DECAY, _LARGEST_GRADIENT = 0.9, 5e-4, 5.0  # of the published code of error-minimizing noise
_STEPS_OF_NEW_SAMPLES = 3  # times the noise steps of a round: a sample that the surrogates were not trained with


@dataclass(frozen=True)
class Sample:
    """A slice or a volume: where its pixels lie in the flat arrays of the cohort, and which classes it shows."""

    id: str  # never its place: cases may come in another order, or be missing, next time
    sides: tuple[int, ...]
    start: int
    shown: tuple[int, ...]

    @property
    def span(self) -> slice:
        return slice(self.start, self.start + int(np.prod(self.sides)))


@dataclass(frozen=True)
class Cohort:
    """All samples, sorted by id, and what they have in common."""

    samples: tuple[Sample, ...]
    channels: int
    classes: int
    several: bool  # a sample may show several classes

    @property
    def pixels(self) -> int:
        return self.samples[-1].span.stop if self.samples else 0

    @cached_property
    def by_id(self) -> dict[str, Sample]:
        return {sample.id: sample for sample in self.samples}

    @cached_property
    def digest(self) -> bytes:
        """Names the cohort. Kept, for it takes a look at every sample."""
        return hashlib.sha256(repr(self.samples).encode()).digest()

    def images(self, workspace: Workspace) -> NDArray[np.float16]:
        """[C, pixels] in [0, 1]."""
        return workspace.array("salm-images", (self.channels, self.pixels), np.float16)

    def allowed(self, workspace: Workspace) -> NDArray[np.bool_]:
        """[pixels]"""
        return workspace.array("salm-allowed", (self.pixels,), np.bool_)

    def target(self, picked: Sequence[Sample], device: str) -> torch.Tensor:
        """Class numbers [N], or 0 and 1 [N, K]."""
        import torch

        if not self.several:
            return torch.tensor([sample.shown[0] for sample in picked], device=device)
        return torch.tensor([[float(k in s.shown) for k in range(self.classes)] for s in picked], device=device)


class Surrogates:
    """The networks that the noise is made against, with their optimizers."""

    def __init__(self, params: SALMParams, cohort: Cohort, streams: RandomStreams, device: str) -> None:
        import torch

        choices, sides = params.min_min, cohort.samples[0].sides
        layout: dict[str, Any] = {  # torch's own stubs do not know this argument
            "memory_format": memory_format(torch.empty(1, cohort.channels, *sides, device="meta"))
        }
        self.device = device
        self.networks = [
            seeded_classifier(
                int(streams.generator(f"weights {number}").integers(2**62)),
                name,
                cohort.channels,
                cohort.classes,
                sides,
                choices.width,
            ).to(device, **layout)
            for number, name in enumerate(choices.surrogates)
        ]
        self.optimizers = [
            torch.optim.SGD(network.parameters(), choices.learning_rate, momentum=_MOMENTUM, weight_decay=_WEIGHT_DECAY)
            for network in self.networks
        ]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Weights, running means and momenta by name."""
        found: dict[str, NDArray[Any]] = {}
        for number, (network, optimizer) in enumerate(zip(self.networks, self.optimizers)):
            for name, tensor in network.state_dict().items():
                found[f"{number}/weight/{name}"] = tensor.cpu().numpy().copy()
            for place, moments in optimizer.state_dict()["state"].items():
                if moments["momentum_buffer"] is not None:
                    found[f"{number}/momentum/{place}"] = moments["momentum_buffer"].cpu().numpy().copy()
        return found

    def take_up(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Goes on with what `arrays` gave."""
        import torch

        for number, (network, optimizer) in enumerate(zip(self.networks, self.optimizers)):
            weights, momenta = (f"{number}/{what}/" for what in ("weight", "momentum"))
            network.load_state_dict(
                {
                    name.removeprefix(weights): torch.from_numpy(np.array(array))
                    for name, array in arrays.items()
                    if name.startswith(weights)
                }
            )
            buffers = {
                int(name.removeprefix(momenta)): {"momentum_buffer": torch.from_numpy(np.array(array))}
                for name, array in arrays.items()
                if name.startswith(momenta)
            }
            optimizer.load_state_dict({**optimizer.state_dict(), "state": buffers})


class MinMin:
    """The noise of a cohort, made round by round in arrays of the workspace.

    Two copies of the noise take turns, so that a round that was killed starts again from what the last one left.
    """

    def __init__(self, params: SALMParams, cohort: Cohort, streams: RandomStreams) -> None:
        if params.min_min.noise == "class":
            _refuse_unlike(cohort)
        self.params = params
        self.cohort = cohort
        self.streams = streams

    def fit(self, workspace: Workspace) -> tuple[dict[str, NDArray[Any]], int]:
        """Alternates until the surrogate gets nearly all samples right; its arrays, and the number of rounds."""
        choices = self.params.min_min
        surrogates = Surrogates(self.params, self.cohort, self.streams, workspace.device)
        done, error = 0, 1.0
        kept = workspace.kept()
        if kept is not None:
            kept.refuse_other_format(_FORMAT, "SALM")
            surrogates.take_up(kept.arrays)
            done, error = kept.header["rounds"], kept.header["error"]
        while done < choices.most_rounds and not (done >= choices.least_rounds and error <= choices.stop_error):
            error = self._round(done, surrogates, workspace)
            done += 1
            workspace.keep(State({"format": _FORMAT, "rounds": done, "error": error}, surrogates.arrays()))
        self._mark(workspace)[...] = np.frombuffer(self._fingerprint, np.uint8)
        arrays = surrogates.arrays()
        if choices.noise == "class":
            arrays[_CLASS_NOISE] = self.noise(done, workspace).copy()
        return arrays, done

    def is_marked(self, workspace: Workspace) -> bool:
        """Whether this workspace holds the noise that this training made."""
        return bytes(self._mark(workspace)) == self._fingerprint

    def of_class(
        self, arrays: Mapping[str, NDArray[Any]], shown: tuple[int, ...], sides: tuple[int, ...]
    ) -> NDArray[np.int8]:
        """The noise [C, *sides] that all samples of a class share, out of what `fit` gave. Refuses another size."""
        expected = self.cohort.samples[0].sides
        if sides != expected:
            raise Refused(f"the noise of the classes is for samples of size {expected}, not {sides}; resize them alike")
        return self._of_slot(arrays[_CLASS_NOISE], Sample("", sides, 0, shown))

    def noise(self, rounds: int, workspace: Workspace) -> NDArray[np.int8]:
        """[C, pixels of all slots] after so many rounds."""
        return workspace.array(f"salm-noise-{rounds % 2}", (self.cohort.channels, self._slot_pixels), np.int8)

    def touched(self, rounds: int, workspace: Workspace) -> NDArray[np.bool_]:
        """[pixels of all slots] that a mask has taken so far."""
        return workspace.array(f"salm-touched-{rounds % 2}", (self._slot_pixels,), np.bool_)

    def slot(self, sample: Sample) -> slice:
        """Where the noise of a sample lies: at its own place, or at that of its class."""
        if self.params.min_min.noise == "sample":
            return sample.span
        pixels = int(np.prod(sample.sides))
        return slice(sample.shown[0] * pixels, (sample.shown[0] + 1) * pixels)

    def in_epsilon(self, noise: NDArray[np.int8]) -> NDArray[np.float32]:
        """Stored noise as fractions of the window."""
        return noise.astype(np.float32) * np.float32(self.params.budget_share / _FULL)

    @property
    def _fingerprint(self) -> bytes:
        """Of this training: its key and its samples."""
        return hashlib.sha256(self.streams.seed + self.cohort.digest).digest()

    def _mark(self, workspace: Workspace) -> NDArray[np.uint8]:
        return workspace.array("salm-mark", (hashlib.sha256().digest_size,), np.uint8)

    @property
    def _slot_pixels(self) -> int:
        if self.params.min_min.noise == "sample":
            return self.cohort.pixels
        return self.cohort.classes * int(np.prod(self.cohort.samples[0].sides))

    def _round(self, done: int, surrogates: Surrogates, workspace: Workspace) -> float:
        """One turn of each; the share of samples that the surrogate now gets wrong."""
        number = done % len(surrogates.networks)
        network, optimizer = surrogates.networks[number], surrogates.optimizers[number]
        noise, touched = self.noise(done + 1, workspace), self.touched(done + 1, workspace)
        noise[...] = self.noise(done, workspace)
        touched[...] = self.touched(done, workspace)
        random = self.streams.generator(f"round {done}")
        for step in range(self.params.min_min.network_steps):
            workspace.progress.step(f"surrogate, round {done + 1}", step, self.params.min_min.network_steps)
            self._network_step(network, optimizer, self._drawn(random), noise, workspace)
        chunks = list(self._chunks())
        wrong = 0.0
        for at, picked in enumerate(chunks):
            workspace.progress.step(f"noise, round {done + 1}", at, len(chunks))
            wrong += self._improve(network, picked, noise, touched, workspace)
        error = wrong / len(self.cohort.samples)
        workspace.progress.curve("surrogate error", done + 1, error)
        workspace.progress.curve("share touched", done + 1, float(touched.mean()))
        return error

    def _drawn(self, random: np.random.Generator) -> list[Sample]:
        """A random batch of samples of one shape."""
        samples = self.cohort.samples
        sides = samples[random.integers(len(samples))].sides
        alike = [sample for sample in samples if sample.sides == sides]
        count = min(self.params.min_min.batch_size, len(alike))
        return [alike[place] for place in random.choice(len(alike), count, replace=False)]

    def _chunks(self) -> Iterator[list[Sample]]:
        """All samples, those of one shape together."""
        for sides in dict.fromkeys(sample.sides for sample in self.cohort.samples):
            alike = [sample for sample in self.cohort.samples if sample.sides == sides]
            for start in range(0, len(alike), self.params.min_min.batch_size):
                yield alike[start : start + self.params.min_min.batch_size]

    def _network_step(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        picked: list[Sample],
        noise: NDArray[np.int8],
        workspace: Workspace,
    ) -> None:
        import torch

        images, allowed = self._batch(picked, workspace)
        delta = np.stack([self._of_slot(noise, sample) for sample in picked])
        protected = images + torch.from_numpy(self.in_epsilon(delta)).to(images.device) * allowed
        network.requires_grad_(True).train()
        loss = self._loss(network, protected.clamp(0, 1), picked, "mean")
        if not torch.isfinite(loss):
            raise MedUnlearnableError("the training of the surrogate diverged; lower its learning rate")
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
        optimizer.step()

    def _improve(
        self,
        network: nn.Module,
        picked: list[Sample],
        noise: NDArray[np.int8],
        touched: NDArray[np.bool_],
        workspace: Workspace,
    ) -> float:
        """Steps the noise of a chunk in place; how many of its samples the surrogate gets wrong afterwards."""
        import torch

        images, allowed = self._batch(picked, workspace)
        starts = [self.slot(sample).start for sample in picked]
        first = dict(zip(reversed(starts), reversed(picked)))
        owners = [first[start] for start in sorted(first)]
        of_sample = torch.tensor(np.searchsorted(sorted(first), starts), device=images.device)
        delta = self.in_epsilon(np.stack([self._of_slot(noise, sample) for sample in owners]))
        before = np.stack([touched[self.slot(sample)].reshape(1, *sample.sides) for sample in owners])
        stepper = _NoiseSteps(self.params, network, lambda protected: self._loss(network, protected, picked, "sum"))
        after, masks = stepper.run(
            images, allowed, of_sample, *(torch.from_numpy(a).to(images.device) for a in (delta, before))
        )
        stored = (after * (_FULL / self.params.budget_share)).round().to(torch.int8).cpu().numpy()
        for sample, own_noise, own_mask in zip(owners, stored, masks.cpu().numpy(), strict=True):
            noise[:, self.slot(sample)] = own_noise.reshape(self.cohort.channels, -1)
            touched[self.slot(sample)] = own_mask.ravel()
        return self._wrong(network, (images + after[of_sample] * allowed).clamp(0, 1), picked)

    def optimize_new(
        self, surrogates: Surrogates, image: NDArray[np.float32], allowed: NDArray[np.bool_], sample: Sample
    ) -> NDArray[np.float32]:
        """Noise [C, *sides] of a sample the surrogates were not trained with, as fractions of the window."""
        import torch

        device = surrogates.device
        images = torch.from_numpy(image[None]).to(device)
        mask = torch.from_numpy(np.ascontiguousarray(allowed)[None, None]).to(device)
        delta, touched = torch.zeros_like(images), torch.zeros_like(mask)
        slots = torch.zeros(1, dtype=torch.long, device=device)
        for _ in range(_STEPS_OF_NEW_SAMPLES):
            for network in surrogates.networks:
                stepper = _NoiseSteps(
                    self.params, network, lambda x, network=network: self._loss(network, x, [sample], "sum")
                )
                delta, touched = stepper.run(images, mask, slots, delta, touched)
        return delta[0].cpu().numpy()

    def _batch(self, picked: list[Sample], workspace: Workspace) -> tuple[torch.Tensor, torch.Tensor]:
        """Images [N, C, *sides] in [0, 1] and what may change of them [N, 1, *sides]."""
        import torch

        images, allowed = self.cohort.images(workspace), self.cohort.allowed(workspace)
        stacked = np.stack([images[:, s.span].reshape(-1, *s.sides).astype(np.float32) for s in picked])
        masks = np.stack([allowed[s.span].reshape(1, *s.sides) for s in picked])
        return torch.from_numpy(stacked).to(workspace.device), torch.from_numpy(masks).to(workspace.device)

    def _of_slot(self, noise: NDArray[np.int8], sample: Sample) -> NDArray[np.int8]:
        return noise[:, self.slot(sample)].reshape(-1, *sample.sides)

    def _loss(self, network: nn.Module, images: torch.Tensor, picked: list[Sample], reduction: str) -> torch.Tensor:
        with autocast(images):
            logits = network(images.contiguous(memory_format=memory_format(images))).float()
        return class_loss(self.cohort.several, reduction)(logits, self.cohort.target(picked, str(images.device)))

    def _wrong(self, network: nn.Module, images: torch.Tensor, picked: list[Sample]) -> float:
        import torch

        with torch.no_grad(), autocast(images):
            logits = network(images)
        target = self.cohort.target(picked, str(images.device))
        if self.cohort.several:
            return float(((logits > 0) != (target > 0)).float().mean(1).sum())
        return float((logits.argmax(1) != target).sum())


class _NoiseSteps:
    """Projected gradient descent of the noise against one frozen network."""

    def __init__(self, params: SALMParams, network: nn.Module, loss_of: Any) -> None:
        network.requires_grad_(False).eval()
        self.params = params
        self.loss_of = loss_of  # sum over samples, not mean: gradients of single samples would underflow

    def run(
        self,
        images: torch.Tensor,
        allowed: torch.Tensor,
        of_sample: torch.Tensor,
        delta: torch.Tensor,
        touched: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Noise and touched pixels after the steps.

        images [N, C, *sides], allowed bool [N, 1, *sides], of_sample [N]: which of the S noises a sample wears, delta
        [S, C, *sides], touched bool [S, 1, *sides].
        """
        import torch

        choices, epsilon = self.params.min_min, self.params.budget_share
        region = torch.zeros_like(touched).index_add_(0, of_sample, allowed)
        pixels = region.flatten(1).sum(1)
        wanted = (self.params.mask_share * pixels).round().clamp_min(1).minimum(pixels)
        most = (choices.cap * pixels).floor().maximum(wanted)
        mask = touched
        for step in range(choices.noise_steps):
            delta = delta.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.loss_of(images + delta[of_sample] * allowed), delta)
            score = gradient.abs().sum(1, keepdim=True)
            mask = self._mask(score, region, touched, mask, wanted, most, step)
            with torch.no_grad():
                if choices.refresh == "round" and step == 0:
                    delta, touched = delta * mask, mask
                touched = touched | mask
                delta = (delta - choices.step_share * epsilon * gradient.sign() * mask).clamp(-epsilon, epsilon)
                if choices.noise == "sample":
                    delta = (images + delta).clamp(0, 1) - images
        return delta.detach(), touched

    def _mask(
        self,
        score: torch.Tensor,
        region: torch.Tensor,
        touched: torch.Tensor,
        last: torch.Tensor,
        wanted: torch.Tensor,
        most: torch.Tensor,
        step: int,
    ) -> torch.Tensor:
        """Which pixels this step may change, bool [S, 1, *sides]."""
        refresh = self.params.min_min.refresh
        if refresh == "round":
            return top(score, region, wanted) if step == 0 else last
        if refresh == "once":
            chosen = touched.flatten(1).any(1).view(-1, *[1] * (touched.ndim - 1))
            return touched.where(chosen, top(score, region, wanted))
        room = most - touched.flatten(1).sum(1)
        return top(score, (touched & region) | top(score, region & ~touched, room), wanted)


def top(score: torch.Tensor, where: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Where the largest scores above 0 in `where` [S, 1, *sides] are: of each sample as many as `counts` [S] says."""
    import torch

    flat = score.masked_fill(~where, -1).flatten(1)
    order = flat.argsort(dim=1, descending=True, stable=True)
    first = torch.arange(flat.shape[1], device=flat.device) < counts[:, None]
    chosen = torch.zeros_like(flat, dtype=torch.bool).scatter_(1, order, first.expand_as(flat))
    return (chosen & (flat > 0)).view_as(score)


def _refuse_unlike(cohort: Cohort) -> None:
    if len({sample.sides for sample in cohort.samples}) > 1:
        raise Refused("noise of a class needs samples of one size; resize them, or give each sample noise of its own")
    if cohort.several:
        raise Refused("noise of a class needs samples of a single class; give each sample noise of its own")
