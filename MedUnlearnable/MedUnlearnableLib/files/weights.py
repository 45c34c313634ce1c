"""Weights of a network to start from, as `torch.save(network.state_dict())` leaves them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from ..engine.audit.cells import Pretrained
from ..engine.errors import Refused
from .outputs import sha256_of


def read_weights(path: Path) -> Pretrained:
    """Tensors by name. Nothing in the file is executed. Refuses what holds anything but tensors."""
    import torch

    try:
        weights: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise Refused(f"{path}: there is no such file; check --weights") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError):
        weights = None
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise Refused(f"{path}: this is no state_dict of a network; save one by torch.save(network.state_dict(), file)")
    return Pretrained(weights, sha256_of(path))
