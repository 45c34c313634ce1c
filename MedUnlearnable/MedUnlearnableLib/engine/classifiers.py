"""Networks that tell classes apart, in 2D and 3D, for attackers and surrogates.

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

#: Names that `build_classifier` knows. DenseNet-121 needs MONAI.
CLASSIFIERS = ("cnn", "resnet18", "densenet121", "vit")
#: Below, ResNet-18 starts without stride: halving a small image at once loses what it is told apart by.
STRIDED_FROM_PIXELS = 128
_DENSENET_LEAST_PIXELS = 32  # it halves the image five times
_VIT_PATCHES = 8  # along the longest side
_VIT_LAYERS = 4
_VIT_HEADS = 4


def build_classifier(
    architecture: str, channels: int, classes: int, image_shape: Sequence[int], width: int = 16
) -> nn.Module:
    """A network with fresh weights that takes images [N, channels, *image_shape] to logits [N, classes].

    `image_shape` is (H, W) or (D, H, W) in pixels; only `vit` is bound to it. `width` is the number of channels at the
    first level (`vit`: a quarter of its channels; `densenet121` has its own). Weights come from torch's global stream;
    `seeded_classifier` gives them a stream of their own. Raises `UsageError` for an unknown name, `MedUnlearnableError`
    when MONAI is needed and missing.
    """
    if architecture not in CLASSIFIERS:
        raise UsageError(f"unknown architecture {architecture!r}; known are {', '.join(CLASSIFIERS)}")
    if len(image_shape) not in (2, 3):
        raise UsageError(f"an image has 2 or 3 dimensions, not {len(image_shape)}")
    if architecture == "cnn":
        return _cnn(len(image_shape), channels, classes, width)
    if architecture == "resnet18":
        return _resnet18(channels, classes, image_shape, width)
    if architecture == "vit":
        return _vit_class()(channels, classes, tuple(image_shape), 4 * width)
    if min(image_shape) < _DENSENET_LEAST_PIXELS:
        raise UsageError(f"'densenet121' needs sides of {_DENSENET_LEAST_PIXELS} pixels or more; use 'cnn'")
    try:
        from monai.networks.nets import DenseNet121
    except ImportError as error:
        raise MedUnlearnableError(
            "the architecture 'densenet121' needs MONAI, which is not installed; install it with `pip install monai`, "
            "or use 'cnn'"
        ) from error
    return DenseNet121(spatial_dims=len(image_shape), in_channels=channels, out_channels=classes)


def seeded_classifier(seed: int, architecture: str, *shape_arguments: Any, **options: Any) -> nn.Module:
    """`build_classifier` with weights that depend on `seed` alone; torch's global stream is left as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_classifier(architecture, *shape_arguments, **options)


def _cnn(dimensions: int, channels: int, classes: int, width: int) -> nn.Module:
    """Four 3x3 convolutions with batch norm, channels doubling from `width`; each but the last halves the image."""
    from torch import nn

    pool = nn.MaxPool2d if dimensions == 2 else nn.MaxPool3d
    layers: list[nn.Module] = []
    before = channels
    for level in range(4):
        layers += [_convolution(dimensions, before, width << level), nn.ReLU(inplace=True)]
        layers += [pool(2, ceil_mode=True)] if level < 3 else []
        before = width << level
    return nn.Sequential(*layers, *_head(dimensions, before, classes))


def _resnet18(channels: int, classes: int, image_shape: Sequence[int], width: int) -> nn.Module:
    """ResNet-18 (He et al., arXiv 1512.03385; `width` 64 there). Small images: a stem of 3x3 without stride."""
    from torch import nn

    dimensions = len(image_shape)
    if max(image_shape) < STRIDED_FROM_PIXELS:
        stem: list[nn.Module] = [_convolution(dimensions, channels, width), nn.ReLU(inplace=True)]
    else:
        pool = nn.MaxPool2d if dimensions == 2 else nn.MaxPool3d
        stem = [_convolution(dimensions, channels, width, size=7, stride=2), nn.ReLU(inplace=True)]
        stem.append(pool(3, stride=2, padding=1))
    blocks = []
    before = width
    for level in range(4):
        for stride in (1 if level == 0 else 2, 1):
            blocks.append(_residual_class()(dimensions, before, width << level, stride))
            before = width << level
    return nn.Sequential(*stem, *blocks, *_head(dimensions, before, classes))


def _convolution(dimensions: int, before: int, after: int, size: int = 3, stride: int = 1) -> nn.Module:
    from torch import nn

    convolution, norm = (nn.Conv2d, nn.BatchNorm2d) if dimensions == 2 else (nn.Conv3d, nn.BatchNorm3d)
    return nn.Sequential(convolution(before, after, size, stride, padding=size // 2, bias=False), norm(after))


def _head(dimensions: int, before: int, classes: int) -> list[nn.Module]:
    from torch import nn

    average = nn.AdaptiveAvgPool2d(1) if dimensions == 2 else nn.AdaptiveAvgPool3d(1)
    return [average, nn.Flatten(), nn.Linear(before, classes)]


@cache
def _residual_class() -> type[nn.Module]:
    from torch import nn
    from torch.nn.functional import relu

    class Residual(nn.Module):
        """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where shapes differ."""

        def __init__(self, dimensions: int, before: int, after: int, stride: int) -> None:
            super().__init__()
            self.inner = nn.Sequential(
                _convolution(dimensions, before, after, stride=stride),
                nn.ReLU(inplace=True),
                _convolution(dimensions, after, after),
            )
            same = stride == 1 and before == after
            self.shortcut = nn.Identity() if same else _convolution(dimensions, before, after, size=1, stride=stride)

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return relu(self.inner(features) + self.shortcut(features))

    return Residual


@cache
def _vit_class() -> type[nn.Module]:
    import torch
    from torch import nn

    class VisionTransformer(nn.Module):
        """A small vision transformer (Dosovitskiy et al., arXiv 2010.11929): about 8 patches a side, 4 layers, mean."""

        def __init__(self, channels: int, classes: int, sides: tuple[int, ...], hidden: int) -> None:
            super().__init__()
            patch = max(1, -(-max(sides) // _VIT_PATCHES))
            sizes = [min(patch, side) for side in sides]
            convolution = nn.Conv2d if len(sides) == 2 else nn.Conv3d
            self.embed = convolution(channels, hidden, sizes, stride=sizes)
            patches = 1
            for side, size in zip(sides, sizes, strict=True):
                patches *= side // size
            self.position = nn.Parameter(0.02 * torch.randn(1, patches, hidden))
            layer = nn.TransformerEncoderLayer(
                hidden, _VIT_HEADS, 2 * hidden, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            self.layers = nn.TransformerEncoder(layer, _VIT_LAYERS, enable_nested_tensor=False)
            self.head = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, classes))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            tokens = self.embed(image).flatten(2).transpose(1, 2) + self.position
            return self.head(self.layers(tokens).mean(1))

    return VisionTransformer
