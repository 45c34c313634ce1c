"""Small classifiers for target models that are trained on the spot: three families of convolutions, minutes on a CPU.

Each halves the image five times, so that the last features see most of it. torch is imported inside functions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn

ARCHITECTURES = ("residual", "plain", "dense")
_LEVELS = 4


def seeded_target(seed: int, architecture: str, channels: int, classes: int, width: int = 16) -> nn.Module:
    """Images [N, channels, h, w] to logits [N, classes]; any size from 32 pixels. Weights depend on `seed` alone."""
    import torch
    from torch import nn

    if architecture not in ARCHITECTURES:
        raise UsageError(f"unknown architecture {architecture!r}; known are {', '.join(ARCHITECTURES)}")
    levels: dict[str, Callable[[int, int], nn.Module]]
    levels = {"residual": _residual_class(), "plain": _plain, "dense": _dense_class()}
    widths = [width, *(width << number for number in range(_LEVELS))]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body = [levels[architecture](before, after) for before, after in pairwise(widths)]
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes)]
        return nn.Sequential(_convolution(channels, width, stride=2), *body, *head)


def _convolution(before: int, after: int, stride: int = 1, size: int = 3, active: bool = True) -> nn.Module:
    from torch import nn

    convolution = nn.Conv2d(before, after, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), *([nn.ReLU(inplace=True)] if active else []))


def _plain(before: int, after: int) -> nn.Module:
    """Two convolutions and a pooling (Simonyan and Zisserman, arXiv 1409.1556)."""
    from torch import nn

    return nn.Sequential(_convolution(before, after), _convolution(after, after), nn.MaxPool2d(2))


@cache
def _residual_class() -> type[nn.Module]:
    from torch import nn
    from torch.nn.functional import max_pool2d, relu

    class Residual(nn.Module):
        """Two convolutions beside a shortcut (He et al., arXiv 1512.03385), and a pooling."""

        def __init__(self, before: int, after: int) -> None:
            super().__init__()
            self.inner = nn.Sequential(_convolution(before, after), _convolution(after, after, active=False))
            self.shortcut = _convolution(before, after, size=1, active=False)

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return max_pool2d(relu(self.inner(features) + self.shortcut(features)), 2)

    return Residual


@cache
def _dense_class() -> type[nn.Module]:
    import torch
    from torch import nn

    class Dense(nn.Module):
        """Two convolutions that see all features before them (Huang et al., arXiv 1608.06993), and an average."""

        def __init__(self, before: int, after: int) -> None:
            super().__init__()
            growth = after // 2
            self.first = _convolution(before, growth)
            self.second = _convolution(before + growth, growth)
            self.transition = nn.Sequential(_convolution(before + 2 * growth, after, size=1), nn.AvgPool2d(2))

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            for layer in (self.first, self.second):
                features = torch.cat([features, layer(features)], dim=1)
            return self.transition(features)

    return Dense
