"""Segmentation networks, in 2D and 3D: our own U-Net, and architectures of MONAI as other attackers.

torch is imported inside the functions, so a Slicer without torch can load this file. Classes that derive from
`torch.nn.Module` are therefore made by cached functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from .errors import MedUnlearnableError, UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn

#: Networks halve the image up to four times, and UNETR cuts it into patches of 16: sides become multiples of it.
STRIDE = 16

#: Names that `build_network` knows. All but the first need MONAI.
ARCHITECTURES = ("unet", "monai_unet", "attention_unet", "segresnet", "unetr")


def build_network(
    architecture: str, in_channels: int, out_channels: int, image_shape: Sequence[int], width: int = 16
) -> nn.Module:
    """A network with fresh weights that takes images [N, in_channels, *image_shape] to logits [N, out_channels, ...].

    `image_shape` is (H, W) or (D, H, W) in pixels, of any size: the network pads with zeros and crops by itself. Only
    `unetr` is bound to this shape. `width` is the number of channels at full resolution. Weights come from torch's
    global stream; `seeded` gives them a stream of their own. Raises `UsageError` for an unknown name or number of
    dimensions, `MedUnlearnableError` when MONAI is needed and missing.
    """
    if architecture not in ARCHITECTURES:
        raise UsageError(f"unknown architecture {architecture!r}; known are {', '.join(ARCHITECTURES)}")
    if len(image_shape) not in (2, 3):
        raise UsageError(f"an image has 2 or 3 dimensions, not {len(image_shape)}")
    if architecture == "unet":
        network = unet(len(image_shape), in_channels, out_channels, width)
    else:
        try:
            network = _monai_network(architecture, in_channels, out_channels, _padded_shape(image_shape), width)
        except ImportError as error:  # MONAI turns its own missing parts into this too
            raise MedUnlearnableError(
                f"the architecture {architecture!r} needs MONAI ('unetr' also einops), which is not installed; "
                "install it with `pip install monai einops`, or use 'unet'"
            ) from error
    return _padded_class()(network)


def seeded_network(seed: int, architecture: str, *shape_arguments: Any, **options: Any) -> nn.Module:
    """`build_network` with weights that depend on `seed` alone; torch's global stream is left as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(architecture, *shape_arguments, **options)


def unet(dimensions: int, in_channels: int, out_channels: int, width: int = 16, depth: int = 4) -> nn.Module:
    """U-Net (Ronneberger et al., arXiv 1505.04597) with instance norm; sides must be multiples of 2**depth.

    Two 3x3 convolutions a level; channels double from `width` at each of `depth` halvings, up to 16 * `width`.
    """
    from torch import nn

    convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
    return nn.Sequential(
        _double_convolution(dimensions, in_channels, width),
        _lower_levels(dimensions, width, depth),
        _double_convolution(dimensions, 2 * width, width),
        convolution(width, out_channels, kernel_size=1),
    )


def _padded_shape(sides: Sequence[int]) -> list[int]:
    """Multiples of STRIDE, and twice that once: instance norm needs more than a single pixel at the lowest level."""
    padded = [-(-side // STRIDE) * STRIDE for side in sides]
    if max(padded) == STRIDE:
        padded[-1] *= 2
    return padded


def parameter_count(network: nn.Module) -> int:
    """Number of trained weights."""
    return sum(weights.numel() for weights in network.parameters())


def _lower_levels(dimensions: int, width: int, depth: int) -> nn.Module:
    """All levels below one of `width` channels; gives its input and what came back up, 2 * `width` channels."""
    from torch import nn

    pool = nn.MaxPool2d if dimensions == 2 else nn.MaxPool3d
    upsample = nn.ConvTranspose2d if dimensions == 2 else nn.ConvTranspose3d
    layers = [pool(2), _double_convolution(dimensions, width, 2 * width)]
    if depth > 1:
        layers += [
            _lower_levels(dimensions, 2 * width, depth - 1),
            _double_convolution(dimensions, 4 * width, 2 * width),
        ]
    layers.append(upsample(2 * width, width, kernel_size=2, stride=2))
    return _skip_class()(nn.Sequential(*layers))


def _double_convolution(dimensions: int, in_channels: int, out_channels: int) -> nn.Module:
    from torch import nn

    convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
    norm = _instance_norm_class()
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            convolution(channels, out_channels, kernel_size=3, padding=1, bias=False),
            norm(out_channels),
            nn.LeakyReLU(0.01, inplace=True),
        ]
    return nn.Sequential(*layers)


def _monai_network(
    architecture: str, in_channels: int, out_channels: int, padded_shape: Sequence[int], width: int
) -> nn.Module:
    from monai.networks import nets

    dimensions = len(padded_shape)
    ports: dict[str, Any] = {"spatial_dims": dimensions, "in_channels": in_channels, "out_channels": out_channels}
    pyramid: dict[str, Any] = {"channels": [width << level for level in range(5)], "strides": [2] * 4}
    if architecture == "monai_unet":
        return nets.UNet(**ports, **pyramid, num_res_units=2, norm="instance")
    if architecture == "attention_unet":
        return nets.AttentionUnet(**ports, **pyramid)
    if architecture == "segresnet":
        return nets.SegResNet(**ports, init_filters=width, norm=("group", {"num_groups": min(8, width)}))
    # UNETR as published has 768 hidden units; 12 per unit of width keeps it as small as its rivals.
    hidden = 12 * width
    return nets.UNETR(
        in_channels, out_channels, padded_shape, width, hidden, 2 * hidden, num_heads=6, spatial_dims=dimensions
    )


@cache
def _skip_class() -> type[nn.Module]:
    import torch
    from torch import nn

    class Skip(nn.Module):
        """Sets what `inner` makes of its input beside the input."""

        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return torch.cat([features, self.inner(features)], dim=1)

    return Skip


@cache
def _instance_norm_class() -> type[nn.Module]:
    import torch
    from torch import nn
    from torch.nn.functional import batch_norm

    class InstanceNorm(nn.Module):
        """Mean 0 and deviation 1 in each channel of each image (Ulyanov et al., arXiv 1607.08022), then a scale.

        Batch norm of one image at a time: it stays channels last, where torch's own instance norm copies every image
        to another layout and back, a third of the time of a training step on a CPU (measured).
        """

        def __init__(self, channels: int) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(channels))
            self.bias = nn.Parameter(torch.zeros(channels))

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            one_by_one = features.split(1)
            return torch.cat([batch_norm(one, None, None, self.weight, self.bias, training=True) for one in one_by_one])

    return InstanceNorm


@cache
def _padded_class() -> type[nn.Module]:
    from torch import nn
    from torch.nn.functional import pad

    class Padded(nn.Module):
        """Pads every side at its end to a multiple of STRIDE with zeros, the mean of a z-scored image; crops back."""

        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            sides = image.shape[2:]
            missing = [wanted - side for side, wanted in zip(sides, _padded_shape(sides), strict=True)]
            ends = [amount for width in reversed(missing) for amount in (0, width)]
            logits = self.network(pad(image, ends) if any(ends) else image)
            return logits[(..., *(slice(side) for side in sides))]

    return Padded
