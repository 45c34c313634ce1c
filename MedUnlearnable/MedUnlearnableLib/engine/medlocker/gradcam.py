"""Where a model looks (Grad-CAM, Selvaraju et al., arXiv 1610.02391): stands in for lesion boxes nobody has given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .targets import TargetModel

if TYPE_CHECKING:
    import torch

#: Share of the largest activation above which a pixel counts as looked at.
THRESHOLD = 0.5
_COARSEST = 4  # pixels; below, a map says nothing of the place


def looked_at(model: TargetModel, planes: NDArray[np.float32], label: int, device: str) -> NDArray[np.bool_] | None:
    """Mask [S, h, w] of what speaks for the class in planes [S, C, h, w]; None for a model without inner layers."""
    import torch
    from torch.nn.functional import interpolate

    if model.module is None:
        return None
    maps: list[torch.Tensor] = []

    def keep(module: Any, inputs: Any, output: Any) -> None:
        if output.ndim == 4 and min(output.shape[2:]) >= _COARSEST and output.requires_grad:
            maps.append(output)

    layers = [layer for layer in model.module.modules() if isinstance(layer, torch.nn.Conv2d)]
    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        given = torch.from_numpy(planes).to(device).requires_grad_(True)
        score = model(given)[:, label].sum()
    finally:
        for hook in hooks:
            hook.remove()
    if not maps:
        return None
    (slope,) = torch.autograd.grad(score, maps[-1])
    weights = slope.mean(dim=(2, 3), keepdim=True)
    heat = (weights * maps[-1]).sum(dim=1, keepdim=True).clamp(min=0)
    heat = interpolate(heat, planes.shape[2:], mode="bilinear", align_corners=False)[:, 0].detach()
    peak = heat.amax(dim=(1, 2), keepdim=True)
    return ((heat > THRESHOLD * peak) & (peak > 0)).cpu().numpy()
