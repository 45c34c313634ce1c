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

ARCHITECTURES = ("residual", "plain", "depthwise")
_LEVELS = 4


def seeded_target(seed: int, architecture: str, channels: int, classes: int, width: int = 16) -> nn.Module:
    """Images [N, channels, h, w] to logits [N, classes]; any size from 32 pixels. Weights depend on `seed` alone."""
    import torch
    from torch import nn

    if architecture not in ARCHITECTURES:
        raise UsageError(f"unknown architecture {architecture!r}; known are {', '.join(ARCHITECTURES)}")
    levels: dict[str, Callable[[int, int], nn.Module]]
    levels = {"residual": _residual_class(), "plain": _plain, "depthwise": _depthwise_class()}
    widths = [width, *(width << number for number in range(_LEVELS))]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body = [levels[architecture](before, after) for before, after in pairwise(widths)]
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes)]
        return nn.Sequential(_convolution(channels, width, stride=2), *body, *head)


def _convolution(
    before: int, after: int, stride: int = 1, size: int = 3, groups: int = 1, active: bool = True
) -> nn.Module:
    from torch import nn

    convolution = nn.Conv2d(before, after, size, stride, padding=size // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), *([nn.ReLU(inplace=True)] if active else []))


def _plain(before: int, after: int) -> nn.Module:
    """Two convolutions and a pooling (Simonyan and Zisserman, arXiv 1409.1556)."""
    from torch import nn

    return nn.Sequential(_convolution(before, after), _convolution(after, after), nn.MaxPool2d(2))


@cache
def _residual_class() -> type[nn.Module]:
    from torch import nn
    from torch.nn.functional import relu

    class Residual(nn.Module):
        """Two convolutions beside a shortcut (He et al., arXiv 1512.03385); halves the image."""

        def __init__(self, before: int, after: int) -> None:
            super().__init__()
            self.inner = nn.Sequential(_convolution(before, after, stride=2), _convolution(after, after, active=False))
            self.shortcut = nn.Sequential(nn.AvgPool2d(2), _convolution(before, after, size=1, active=False))

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return relu(self.inner(features) + self.shortcut(features))

    return Residual


@cache
def _depthwise_class() -> type[nn.Module]:
    from torch import nn

    class Depthwise(nn.Module):
        """Two inverted bottlenecks (Sandler et al., arXiv 1801.04381); the first halves the image."""

        def __init__(self, before: int, after: int) -> None:
            super().__init__()
            self.down = _bottleneck(before, after, hidden=4 * before, stride=2)
            self.mix = _bottleneck(after, after, hidden=2 * after, stride=1)

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            features = self.down(features)
            return features + self.mix(features)

    return Depthwise


def _bottleneck(before: int, after: int, hidden: int, stride: int) -> nn.Module:
    from torch import nn

    return nn.Sequential(
        _convolution(before, hidden, size=1),
        _convolution(hidden, hidden, stride=stride, size=5, groups=hidden),
        _convolution(hidden, after, size=1, active=False),
    )
