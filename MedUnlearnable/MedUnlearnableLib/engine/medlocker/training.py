"""Training of a target model on the spot, from labeled cases. torch is imported inside functions."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MedUnlearnableError, Refused
from ..method import State, Workspace
from ..streams import RandomStreams
from .networks import seeded_target

if TYPE_CHECKING:
    import torch
    from torch import nn

#: What the networks get is (image - MEAN) / DEVIATION, image in [0, 1]: medical images are mostly dark.
MEAN, DEVIATION = 0.25, 0.25
_STATE_FORMAT = "medunlearnable-classifier/1"


@dataclass(frozen=True)
class TrainingSettings:
    """One training. Jitter and erasing matter: a network that never saw either fails under any logo."""

    architecture: str = "residual"  # one of networks.ARCHITECTURES
    width: int = 16  # channels at the first level
    epochs: int = 24
    batch_size: int = 32
    learning_rate: float = 3e-3  # peak of the one-cycle schedule (Smith and Topin, arXiv 1708.07120)
    weight_decay: float = 5e-2
    jitter: float = 0.3  # brightness and contrast are scaled by 1 - jitter to 1 + jitter
    erasing: float = 0.5  # share of images that lose a rectangle (Zhong et al., arXiv 1708.04896)
    marks: float = 0.0  # share of images with a soft patch of one gray value: training that knows of logos


def train_classifier(
    images: NDArray[np.float32],
    labels: NDArray[np.integer],
    settings: TrainingSettings,
    streams: RandomStreams,
    workspace: Workspace | None = None,
    classes: int | None = None,
) -> nn.Module:
    """Trains on images [N, C, h, w] in [0, 1] and class numbers [N]; the network comes back in evaluation mode.

    Keeps its state in the workspace after each epoch; a training that is taken up there ends with the same weights.
    Raises `Refused` for fewer than two classes, `MedUnlearnableError` when the training diverges.
    """
    import torch

    workspace = workspace or Workspace()
    classes = classes or int(labels.max(initial=0)) + 1
    if len(np.unique(labels)) < 2:
        raise Refused("the labeled cases hold a single class, so no target model can be trained; give --model")
    seed = int(streams.generator("weights").integers(2**62))
    network = seeded_target(seed, settings.architecture, images.shape[1], classes, settings.width)
    layout: dict[str, Any] = {"memory_format": torch.channels_last}  # torch's own stubs do not know this argument
    network = network.to(workspace.device, **layout)
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    data = torch.from_numpy(images).to(workspace.device)
    target = torch.from_numpy(labels.astype(np.int64)).to(workspace.device)
    kept = workspace.kept()
    first = _take_up(kept, network, optimizer) if kept else 0
    for epoch in range(first, settings.epochs):
        workspace.progress.step(f"train {settings.architecture}", epoch, settings.epochs)
        loss = _epoch(network, optimizer, data, target, settings, streams, epoch)
        workspace.progress.curve(f"loss of {settings.architecture}", epoch, loss)
        if not math.isfinite(loss):
            raise MedUnlearnableError("the training of the target model diverged; give a trained one with --model")
        workspace.keep(_training_state(network, optimizer, epoch + 1))
    return network.eval()


def weights_of(network: nn.Module) -> dict[str, NDArray[Any]]:
    """Every weight and running mean by name, for a `State`."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()}


def weights_sha256(arrays: dict[str, NDArray[Any]]) -> str:
    """Names the weights: of their names and bytes in order."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def set_weights(network: nn.Module, arrays: dict[str, NDArray[Any]]) -> None:
    import torch

    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})


def _epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: torch.Tensor,
    target: torch.Tensor,
    settings: TrainingSettings,
    streams: RandomStreams,
    epoch: int,
) -> float:
    """Every image once, in an order and with changes that depend on the epoch alone, so a resumed run repeats them."""
    import torch
    from torch.nn.functional import cross_entropy

    random = torch.Generator().manual_seed(int(streams.generator(f"epoch {epoch}").integers(2**62)))
    batches = torch.randperm(len(data), generator=random).split(settings.batch_size)
    network.train()
    losses = []
    for number, picked in enumerate(batches):
        rate = one_cycle(epoch * len(batches) + number, settings.epochs * len(batches), settings.learning_rate)
        for group in optimizer.param_groups:
            group["lr"] = rate
        image = changed(data[picked], settings, random).contiguous(memory_format=torch.channels_last)
        with torch.autocast(data.device.type, torch.bfloat16):
            logits = network((image - MEAN) / DEVIATION)
        loss = cross_entropy(logits.float(), target[picked], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())


def one_cycle(step: int, steps: int, peak: float) -> float:
    """The learning rate: up along a cosine for 30 % of the steps, then down to nothing."""
    position = (step + 0.5) / steps
    share = position / 0.3 if position < 0.3 else (1 - position) / 0.7
    return peak * 0.5 * (1 - math.cos(math.pi * share))


def changed(image: torch.Tensor, settings: TrainingSettings, random: torch.Generator) -> torch.Tensor:
    """A batch in [0, 1] as training sees it: mirrored, shifted, brighter or darker, a part erased or marked."""
    import torch

    count, _, height, width = image.shape

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=random)

    mirrored = (uniform(0, 1) < 0.5).view(-1, 1, 1, 1).to(image.device)
    image = torch.where(mirrored, image.flip(3), image)
    reach = max(1, height // 16)
    shifts = torch.randint(-reach, reach + 1, (count, 2), generator=random).tolist()
    # Whole pixels: interpolation would take the fine grain away, and with it the likeness to the images of the test.
    image = torch.stack([one.roll(shift, dims=(1, 2)) for one, shift in zip(image, shifts)])
    brightness, contrast = (
        uniform(1 - settings.jitter, 1 + settings.jitter, 1, 1, 1).to(image.device) for _ in range(2)
    )
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    image = ((image - mean) * contrast + mean) * brightness
    for share, soft in ((settings.erasing, False), (settings.marks, True)):
        if share:
            hidden = _rectangles(count, height, width, random)
            hidden *= (uniform(0, 1) < share).view(-1, 1, 1, 1)
            opacity = uniform(0.4, 1, 1, 1, 1) if soft else torch.ones(1)
            cover = (hidden * opacity).to(image.device)
            image = image + cover * (uniform(0, 1, image.shape[1], 1, 1).to(image.device) - image)
    return image.clamp(0, 1)


def _rectangles(count: int, height: int, width: int, random: torch.Generator) -> torch.Tensor:
    """Masks [count, 1, h, w] of one rectangle each, 2 to 20 % of the image."""
    import torch

    area = 0.02 + 0.18 * torch.rand(count, generator=random)
    aspect = torch.exp(math.log(2) * (2 * torch.rand(count, generator=random) - 1))
    center = torch.rand(count, 2, generator=random)
    rows = torch.arange(height).view(1, -1, 1) / height - center[:, :1, None]
    columns = torch.arange(width).view(1, 1, -1) / width - center[:, 1:, None]
    half_height, half_width = (0.5 * (area * factor).sqrt().view(-1, 1, 1) for factor in (aspect, 1 / aspect))
    return ((rows.abs() <= half_height) & (columns.abs() <= half_width)).float().unsqueeze(1)


def _training_state(network: nn.Module, optimizer: torch.optim.Optimizer, epochs_done: int) -> State:
    arrays = {f"weight/{name}": array for name, array in weights_of(network).items()}
    for number, moments in optimizer.state_dict()["state"].items():
        arrays |= {f"moment/{number}/{name}": tensor.cpu().numpy().copy() for name, tensor in moments.items()}
    return State({"format": _STATE_FORMAT, "epochs_done": epochs_done}, arrays)


def _take_up(kept: State, network: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Puts weights and moments back; returns how many epochs are done."""
    import torch

    kept.refuse_other_format(_STATE_FORMAT, "MedLocker")
    set_weights(network, {name[7:]: array for name, array in kept.arrays.items() if name.startswith("weight/")})
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, array in kept.arrays.items():
        if name.startswith("moment/"):
            _, number, kind = name.split("/")
            moments.setdefault(int(number), {})[kind] = torch.from_numpy(np.array(array))
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    return int(kept.header["epochs_done"])
