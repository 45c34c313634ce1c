"""The networks that make UMed's noise (arXiv 2403.14250): one for the contour, one for the texture inside.

The contour network's encoder is made of central-difference convolutions (Yu et al., arXiv 2003.04092), which see
edges. Sizes are our choice, and so is what is normalized: the channels of each voxel (Ba et al., arXiv 1607.06450),
not the image, so that the noise of a voxel depends on what lies within `reach` of it and on nothing else. A tile then
gives what the whole image gives, and export what the training made. torch is imported inside the functions; classes
that derive from `torch.nn.Module` are made by cached functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

_INITIAL_DIFFERENCE = 0.5  # theta of the central-difference convolution, trained
_LEAK = 0.01  # slope of the activation below zero


def build_generators(dimensions: int, in_channels: int, out_channels: int, width: int, depth: int) -> nn.Module:
    """Inputs [N, in_channels, *sides] and contour [N, 1, *sides] (bool) to noise [N, out_channels, *sides] in (-1, 1).

    The noise is the contour network's where `contour` holds. Sides must be multiples of 2**depth; `width` is the number
    of channels at full resolution, doubled at each halving. Weights come from torch's global stream.
    """
    encoders = (_central_difference_class(), _plain_convolution)
    return _generators_class()(_unet(dimensions, in_channels, out_channels, width, depth, made) for made in encoders)


def reach(depth: int) -> int:
    """How many voxels away an input can still change the noise: half the receptive field, rounded up to 2**depth.

    Two 3-voxel convolutions a level on the way down and up; pooling and upsampling add less than a voxel of the level
    below at each halving.
    """
    convolutions = sum(4 * 2**level for level in range(depth)) + 2 * 2**depth
    blocks = sum(2**level for level in range(depth))
    return -(-(convolutions + blocks) // 2**depth) * 2**depth


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
        layers += [
            convolution(dimensions, channels, out_channels),
            _voxel_norm_class()(out_channels),
            nn.LeakyReLU(_LEAK),
        ]
    return nn.Sequential(*layers)


@cache
def _generators_class() -> type[nn.Module]:
    from torch import nn

    class Generators(nn.Module):
        """That of the contour and that of the texture, each where its mask is."""

        def __init__(self, networks: Iterable[nn.Module]) -> None:
            super().__init__()
            self.networks = nn.ModuleList(networks)

        def forward(self, inputs: torch.Tensor, contour: torch.Tensor) -> torch.Tensor:
            on_contour, inside = (network(inputs).float() for network in self.networks)
            return on_contour.where(contour, inside).tanh()

    return Generators


@cache
def _voxel_norm_class() -> type[nn.Module]:
    from torch import nn

    class VoxelNorm(nn.Module):
        """Mean 0 and deviation 1 over the channels of each voxel, then a scale for each channel."""

        def __init__(self, channels: int) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(channels)

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return self.norm(features.movedim(1, -1)).movedim(-1, 1)

    return VoxelNorm


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
