"""The two networks that make UMed's noise: one for the contour, one for the texture inside (arXiv 2403.14250).

The contour network's encoder is made of central-difference convolutions (Yu et al., arXiv 2003.04092), which see
edges. Sizes are our choice. There is no normalization layer: the noise of a voxel depends on what lies within `reach`
of it and on nothing else, so a tile gives what the whole image gives, and export what the training made. torch is
imported inside the functions; classes that derive from `torch.nn.Module` are made by cached functions.

What comes out of the networks is smoothed, and brought to mean 0 and deviation 1 within a few voxels. This is ours.
Trainings that were free to choose ended with what saturates first: the pixel Nyquist frequency, which a blur removes,
or a brightness of its own, which only shows the segment better.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

_INITIAL_DIFFERENCE = 0.5  # theta of the central-difference convolution, trained
_LEAK = 0.01  # slope of the activation below zero
_LOCAL = 7  # voxels a side that share mean and deviation
_GAIN = 2.0  # before tanh


def build_generators(dimensions: int, in_channels: int, out_channels: int, width: int, depth: int) -> nn.Module:
    """Both networks: inputs [N, in_channels, *sides] and contour [N, 1, *sides] (bool) to noise in (-1, 1).

    The noise [N, out_channels, *sides] is the contour network's where `contour` holds, else the texture network's.
    Sides must be multiples of 2**depth; `width` is the number of channels at full resolution, doubled at each halving.
    Weights come from torch's global stream.
    """
    pair = _pair_class()(
        _unet(dimensions, in_channels, out_channels, width, depth, _central_difference_class()),
        _unet(dimensions, in_channels, out_channels, width, depth, _plain_convolution),
    )
    _keep_variance(pair)
    return pair


def reach(depth: int) -> int:
    """How many voxels away an input can still change the noise: half the receptive field, rounded up to 2**depth.

    Two 3-voxel convolutions a level on the way down and up; pooling and upsampling add less than a voxel of the level
    below at each halving.
    """
    convolutions = sum(4 * 2**level for level in range(depth)) + 2 * 2**depth
    blocks = sum(2**level for level in range(depth))
    local = 1 + 2 * (_LOCAL // 2)
    return -(-(convolutions + blocks + local) // 2**depth) * 2**depth


def _keep_variance(network: nn.Module) -> None:
    """Weights that keep the variance from layer to layer (He et al., arXiv 1502.01852): no norm layer does it."""
    from torch import nn

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d) and layer.kernel_size[0] > 1:
            nn.init.kaiming_normal_(layer.weight, a=_LEAK)


def _plain_convolution(dimensions: int, in_channels: int, out_channels: int) -> nn.Module:
    from torch import nn

    convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
    return convolution(in_channels, out_channels, kernel_size=3, padding=1)


def _unet(
    dimensions: int,
    in_channels: int,
    out_channels: int,
    width: int,
    depth: int,
    encoder: Callable[[int, int, int], nn.Module],
) -> nn.Module:
    from torch import nn

    head = (nn.Conv2d if dimensions == 2 else nn.Conv3d)(width, out_channels, kernel_size=1)
    return nn.Sequential(_level(dimensions, in_channels, width, depth, encoder), head)


def _level(
    dimensions: int, in_channels: int, width: int, levels_below: int, encoder: Callable[[int, int, int], nn.Module]
) -> nn.Module:
    """This resolution and all below it: `in_channels` to `width`, sides unchanged."""
    from torch import nn

    down = _double(dimensions, in_channels, width, encoder)
    if levels_below == 0:
        return down
    pool = (nn.MaxPool2d if dimensions == 2 else nn.MaxPool3d)(2)
    below = _level(dimensions, width, 2 * width, levels_below - 1, encoder)
    enlarge = (nn.ConvTranspose2d if dimensions == 2 else nn.ConvTranspose3d)(2 * width, width, 2, stride=2)
    up = _double(dimensions, 2 * width, width, _plain_convolution)
    return _level_class()(down, nn.Sequential(pool, below, enlarge), up)


def _double(
    dimensions: int, in_channels: int, out_channels: int, convolution: Callable[[int, int, int], nn.Module]
) -> nn.Module:
    from torch import nn

    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [convolution(dimensions, channels, out_channels), nn.LeakyReLU(_LEAK)]
    return nn.Sequential(*layers)


@cache
def _pair_class() -> type[nn.Module]:
    from torch import nn

    class Pair(nn.Module):
        """The contour network and the texture network, each where its mask is."""

        def __init__(self, contour: nn.Module, texture: nn.Module) -> None:
            super().__init__()
            self.contour, self.texture = contour, texture

        def forward(self, inputs: torch.Tensor, contour: torch.Tensor) -> torch.Tensor:
            raw = self.contour(inputs).float().where(contour, self.texture(inputs).float())
            return (_GAIN * _middle_frequencies(raw)).tanh()

    return Pair


def _middle_frequencies(raw: torch.Tensor) -> torch.Tensor:
    """Smoothed by 1-2-1 along each axis, then mean 0 and deviation 1 within a box around each voxel."""
    from torch.nn import functional

    pool = functional.avg_pool2d if raw.ndim == 4 else functional.avg_pool3d

    def mean(values: torch.Tensor) -> torch.Tensor:
        return pool(values, _LOCAL, stride=1, padding=_LOCAL // 2, count_include_pad=False)

    smooth = pool(pool(raw, 2, stride=1, padding=1, count_include_pad=False), 2, stride=1)
    centered = smooth - mean(smooth)
    return centered / (mean(centered**2) + 1e-6).sqrt()


@cache
def _level_class() -> type[nn.Module]:
    import torch
    from torch import nn

    class Level(nn.Module):
        """What goes down, beside what came back up."""

        def __init__(self, down: nn.Module, below: nn.Module, up: nn.Module) -> None:
            super().__init__()
            self.down, self.below, self.up = down, below, up

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            here = self.down(features)
            return self.up(torch.cat([here, self.below(here)], dim=1))

    return Level


@cache
def _central_difference_class() -> type[nn.Module]:
    import torch
    from torch import nn
    from torch.nn import functional

    class CentralDifference(nn.Module):
        """conv(f; v) + theta * (conv(f; c) - f * sum(c)) with trained kernels v, c and a trained theta.

        All three are linear in f, so they are one convolution.
        """

        def __init__(self, dimensions: int, in_channels: int, out_channels: int) -> None:
            super().__init__()
            self.plain = _plain_convolution(dimensions, in_channels, out_channels)
            self.difference = _plain_convolution(dimensions, in_channels, out_channels)
            self.difference.bias = None
            self.theta = nn.Parameter(torch.tensor(_INITIAL_DIFFERENCE))
            center = torch.zeros([3] * dimensions)
            center[(1,) * dimensions] = 1
            self.register_buffer("center", center, persistent=False)
            self.convolve = functional.conv2d if dimensions == 2 else functional.conv3d

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            difference = self.difference.weight
            sums = difference.sum(tuple(range(2, difference.ndim)), keepdim=True)
            kernel = self.plain.weight + self.theta * (difference - sums * self.center)
            return self.convolve(features, kernel, self.plain.bias, padding=1)

    return CentralDifference
