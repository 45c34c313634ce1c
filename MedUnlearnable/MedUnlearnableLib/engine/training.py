"""What attackers share: images as tensors, which cases they have clean, batches without end, a one-cycle training.

torch is imported inside the functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from .augment import RECIPES
from .defenses import DEFENSES, defend
from .errors import MedUnlearnableError, Refused, UsageError
from .progress import Progress

if TYPE_CHECKING:
    import torch
    from torch import nn

_ADVERSARIAL_STEPS = 3  # of projected gradient ascent (Madry et al., arXiv 1706.06083), each half of the reach long
SCALINGS = ("image", "set")
_HEAD_TENSORS = 2  # weights and biases of the last layer, which may have other classes than the weights given


@dataclass(frozen=True)
class TrainingSettings:
    """One training. The same settings, data, device and thread count repeat the result on the CPU."""

    steps: int = 1000
    batch_size: int = 16
    learning_rate: float = 3e-3  # peak of the one-cycle schedule (Smith and Topin, arXiv 1708.07120)
    weight_decay: float = 1e-2
    seed: int = 0  # weights, order of images, augmentations, which cases are clean
    device: str = "cpu"
    curve_points: int = 4  # tests on the way, the last one after the last step
    clean_share: float = 0.0  # share of training cases the attacker has unprotected, 0 to 1
    architecture: str = ""  # one of `known_architectures`
    width: int = 16  # channels at full resolution
    recipe: str = "none"  # one of augment.RECIPES
    defense: str = "none"  # one of defenses.DEFENSES, on training and test images
    adversarial_epsilon: float = 0.0  # of adversarial training, a share of the window; 0: none
    window: tuple[float, float] = (0, 255)  # stored values
    scaling: str = "image"  # one of SCALINGS: z-scored each by itself, or all by the training set's mean and deviation

    known_architectures: ClassVar[Sequence[str]] = ()

    def __post_init__(self) -> None:
        if min(self.steps, self.batch_size, self.curve_points) < 1:
            raise UsageError("steps, batch_size and curve_points must be at least 1")
        if not 0 <= self.clean_share <= 1:
            raise UsageError(f"clean_share is a share from 0 to 1, not {self.clean_share}")
        for name, known in (
            ("architecture", self.known_architectures),
            ("recipe", RECIPES),
            ("defense", DEFENSES),
            ("scaling", SCALINGS),
        ):
            if getattr(self, name) not in known:
                raise UsageError(f"unknown {name} {getattr(self, name)!r}; known are {', '.join(known)}")
        if self.width < 1:
            raise UsageError("width must be at least 1")
        if not 0 <= self.adversarial_epsilon <= 1:
            raise UsageError(
                f"adversarial_epsilon is a share of the window from 0 to 1, not {self.adversarial_epsilon}"
            )


class AttackImages(Protocol):
    """What the data of every attack hold: stored images [N, C, *sides], and the case of each; None: a case each."""

    @property
    def train_images(self) -> NDArray[np.generic]: ...  # protected

    @property
    def test_images(self) -> NDArray[np.generic]: ...  # clean

    @property
    def clean_train_images(self) -> NDArray[np.generic] | None: ...

    @property
    def train_cases(self) -> Sequence[str] | None: ...

    @property
    def test_cases(self) -> Sequence[str] | None: ...


def refuse_unusable(data: AttackImages) -> None:
    """Images that no network can be trained on, and names that do not fit them."""
    for part in ("train", "test"):
        images, cases = (getattr(data, f"{part}_{what}") for what in ("images", "cases"))
        if images.ndim not in (4, 5) or len(images) == 0:
            raise Refused(f"{part} images must be [N, C, H, W] or [N, C, D, H, W], not {list(images.shape)}")
        if not np.isfinite(images).all():
            raise Refused(f"{part} images hold NaN or infinite values, which no network can be trained on")
        if cases is not None and len(cases) != len(images):
            raise Refused(f"{len(cases)} names of {part} cases do not fit {len(images)} images")
    if data.clean_train_images is not None and data.clean_train_images.shape != data.train_images.shape:
        raise Refused("clean and protected training images have different shapes")


def names_of_test_cases(data: AttackImages) -> list[str]:
    """The case of each test image."""
    return list(map(str, range(len(data.test_images)) if data.test_cases is None else data.test_cases))


def as_seen(
    data: AttackImages, settings: TrainingSettings, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Training and test images as the attacker has them, defended and z-scored on the device, and his reach.

    Training images are clean in the share of cases he has clean. The reach of adversarial training is given in the
    units of each z-scored training image, [N, C, 1, ...].
    """
    protected = _with_clean_cases(data, settings, generator)
    stored, of_test = (defend(settings.defense, images, settings.window) for images in (protected, data.test_images))
    reference = stored if settings.scaling == "set" else None
    (train, deviations), (test, _) = (z_scored(images, settings.device, reference) for images in (stored, of_test))
    return train, test, settings.adversarial_epsilon * (settings.window[1] - settings.window[0]) / deviations


def placed(network: nn.Module, images: torch.Tensor, pretrained: Mapping[str, torch.Tensor] | None) -> nn.Module:
    """The network where and as the images lie in memory, with its own or with pretrained weights."""
    layout: dict[str, Any] = {"memory_format": memory_format(images)}  # torch's own stubs do not know this argument
    network = network.to(images.device, **layout)
    if pretrained is not None:
        start_from(network, pretrained)
    return network


def _with_clean_cases(
    data: AttackImages, settings: TrainingSettings, generator: torch.Generator
) -> NDArray[np.generic]:
    """The protected images, with the share of cases that the attacker has clean put in their place."""
    import torch

    protected, clean = data.train_images, data.clean_train_images
    if settings.clean_share == 0:
        return protected
    if clean is None:
        raise UsageError("clean_share needs the clean training images")
    names = np.asarray(data.train_cases if data.train_cases is not None else range(len(protected)))
    different = np.unique(names)
    wanted = round(settings.clean_share * len(different))
    if wanted == 0:
        raise UsageError(f"clean_share {settings.clean_share} of {len(different)} training cases is not even one case")
    chosen = np.isin(names, different[torch.randperm(len(different), generator=generator).numpy()[:wanted]])
    return np.where(chosen.reshape(-1, *[1] * (protected.ndim - 1)), clean, protected)


def z_scored(
    images: NDArray[np.float32], device: str, reference: NDArray[np.float32] | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images [N, C, *sides] on the device, z-scored, and the deviations [N, C, 1, ...].

    Each channel of an image by its own mean and deviation, or by those of the channel in all images of `reference`.
    """
    import torch

    if device != "cpu" and not torch.cuda.is_available():
        raise UsageError(f"the device {device!r} was asked for, but PyTorch finds no GPU; use 'cpu'")
    sides = tuple(range(2, images.ndim))
    source, axes = (images, sides) if reference is None else (reference, (0, *sides))
    mean = source.mean(axis=axes, keepdims=True)
    deviation = np.maximum(source.std(axis=axes, keepdims=True), 1e-6)
    tensor = torch.from_numpy((images - mean) / deviation).to(device)
    deviations = torch.from_numpy(deviation).expand(len(images), *deviation.shape[1:])
    return tensor.contiguous(memory_format=memory_format(tensor)), deviations.to(device)


def memory_format(images: torch.Tensor) -> torch.memory_format:
    """Channels last: with bfloat16 2.3 times faster than the default on a CPU (measured)."""
    import torch

    return torch.channels_last if images.ndim == 4 else torch.channels_last_3d


def autocast(images: torch.Tensor) -> torch.autocast:
    """bfloat16, except for volumes on a CPU.

    There the weight gradients of small 3D convolutions in bfloat16 read memory that was never written (PyTorch 2.13,
    measured): they differ from run to run and some are nan.
    """
    import torch

    on_cpu = images.device.type == "cpu"
    return torch.autocast(images.device.type, torch.bfloat16, enabled=not (on_cpu and images.ndim == 5))


def train(
    network: nn.Module,
    image_count: int,
    batch_loss: Callable[[torch.Tensor], torch.Tensor],
    settings: TrainingSettings,
    generator: torch.Generator,
    progress: Progress,
) -> Iterator[tuple[int, float]]:
    """Trains with AdamW, and pauses at every point of the curve with the step and the mean loss since the last one.

    `batch_loss` gets the indices of a batch. Raises `MedUnlearnableError` when the training diverges.
    """
    import torch

    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=settings.steps)
    points = np.linspace(0, settings.steps, settings.curve_points + 1).round()[1:].astype(int)
    indices = batches(image_count, settings.batch_size, generator)
    losses: list[torch.Tensor] = []
    for step in range(1, settings.steps + 1):
        progress.step("attack", step - 1, settings.steps)
        network.train()
        loss = batch_loss(next(indices))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
        if step in points:
            mean_loss = float(torch.stack(losses).mean())
            if not math.isfinite(mean_loss):
                raise MedUnlearnableError(
                    f"the attacker's training diverged before step {step}; lower its learning rate"
                )
            yield step, mean_loss
            losses.clear()
    progress.step("attack", settings.steps, settings.steps)


def worst_case(
    image: torch.Tensor, reach: torch.Tensor, loss_of: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """The images moved by at most `reach` (broadcasts to them) to where their loss is large: adversarial training."""
    import torch

    change = torch.zeros_like(image)
    for _ in range(_ADVERSARIAL_STEPS):
        change.requires_grad_()
        (gradient,) = torch.autograd.grad(loss_of(image + change), change)
        change = (change.detach() + reach / 2 * gradient.sign()).clamp(-reach, reach)
    return image + change


def start_from(network: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Puts pretrained weights in place of the random ones; a last layer of another size keeps its random ones.

    Raises `Refused` when they are not those of the same architecture.
    """
    own = network.state_dict()
    missing = [name for name in own if name not in weights]
    if missing:
        raise Refused(
            f"the pretrained weights lack {missing[0]!r} and {len(missing) - 1} others of {len(own)} tensors, so they "
            "are of another architecture; save them from the attacker's own network"
        )
    other = [name for name in own if own[name].shape != weights[name].shape]
    if len(other) > _HEAD_TENSORS:
        raise Refused(
            f"the pretrained weight {other[0]!r} has shape {list(weights[other[0]].shape)}, the attacker's "
            f"{list(own[other[0]].shape)}; give weights of the same width and number of channels"
        )
    network.load_state_dict({name: own[name] if name in other else weights[name] for name in own})


def batches(count: int, batch_size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Indices without end: every image once before any comes again."""
    import torch

    waiting = torch.empty(0, dtype=torch.long)
    while True:
        while len(waiting) < batch_size:
            waiting = torch.cat([waiting, torch.randperm(count, generator=generator)])
        yield waiting[:batch_size]
        waiting = waiting[batch_size:]


def nan_to_none(value: Any) -> Any:
    """Strict JSON knows no nan."""
    if isinstance(value, dict):
        return {name: nan_to_none(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [nan_to_none(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
