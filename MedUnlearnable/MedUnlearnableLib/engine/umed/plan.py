"""Sizes of a training: patches, batches, samples, iterations, from the cohort and the memory there is."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import Refused
from .cohort import Cohort
from .params import UMedParams

#: Halvings, by dimensions.
GENERATOR_DEPTH = {2: 3, 3: 2}
SURROGATE_DEPTH = {2: 4, 3: 3}
#: Sides of a patch are multiples of it, for the surrogate's halvings.
_MULTIPLE = {dimensions: 2**depth for dimensions, depth in SURROGATE_DEPTH.items()}
#: In 3D three voxels a side are left at the lowest level: of two, the weight gradients of bfloat16 convolutions hold
#: what lay in memory (oneDNN of PyTorch 2.13).
_SMALLEST_SIDE = {2: 16, 3: 24}
_MARGIN = 16  # voxels of surroundings a patch shows on either side of the foreground
_WHOLE_SIDE = {2: 128, 3: 0}  # images up to this size are shown whole, for attackers learn from whole images
_LARGEST_SIDE = {("cpu", 2): 320, ("cuda", 2): 320, ("cpu", 3): 64, ("cuda", 3): 96}
_BATCH_VOXELS = {("cpu", 2): 16 * 128**2, ("cuda", 2): 16 * 256**2, ("cpu", 3): 64**3, ("cuda", 3): 2 * 96**3}
_SMALLEST_BATCH = 2
_FEW_SAMPLES = 1024  # where patches are smaller than the images, at least so many are cut out
_SAMPLES_MB = 512
#: Of activations and their gradients, a voxel of the batch and channel of width, by dimensions (measured, rounded up).
_BYTES_A_VOXEL_AND_CHANNEL = {2: 60, 3: 72}
_FIXED_MB = 450  # torch itself, networks and optimizers


@dataclass(frozen=True)
class Schedule:
    """What a profile trains, and for how long (our choice)."""

    as_volumes: bool  # volumes with enough thin slices; else slice by slice
    networks: int  # in memory at once
    largest_batch: int
    epochs: int
    fewest_iterations: int
    most_iterations: int
    most_samples: int | None = None


SCHEDULES = {
    # Of each attacker: enough to find a carrier, not enough to learn the task.
    "standard": Schedule(False, 1, 16, 0, fewest_iterations=150, most_iterations=150, most_samples=512),
    "paper": Schedule(True, 3, 8, 100, fewest_iterations=2000, most_iterations=5000),
}


@dataclass(frozen=True)
class Plan:
    """Sizes of one training. Kept with it: a resumed training has the sizes it began with."""

    sides: tuple[int, ...]  # of a patch
    batch: int
    samples: int
    iterations: int
    width: int
    networks: int  # in memory at once

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Plan:
        return cls(**{**values, "sides": tuple(values["sides"])})


def plan_training(cohort: Cohort, params: UMedParams, device: str, free_mb: float | None) -> Plan:
    """The sizes for this cohort. Batches shrink until the training fits into `free_mb` (None: not known).

    Refuses where even the smallest does not fit.
    """
    schedule = SCHEDULES[params.profile]
    kind = (device, cohort.dimensions)
    sides = tuple(
        _patch_side(
            min(side, max(extent + 2 * _MARGIN, _WHOLE_SIDE[cohort.dimensions]), _LARGEST_SIDE[kind]), cohort.dimensions
        )
        for side, extent in zip(cohort.sides, cohort.extent)
    )
    batch = min(max(_SMALLEST_BATCH, _BATCH_VOXELS[kind] // math.prod(sides)), schedule.largest_batch)
    pieces = sum(cohort.pieces)
    samples = pieces if all(a >= b for a, b in zip(sides, cohort.sides)) else max(pieces, _FEW_SAMPLES)
    samples = min(
        samples,
        schedule.most_samples or samples,
        max(batch, int(_SAMPLES_MB * 2**20 / sample_bytes(sides, cohort.channels))),
    )
    iterations = params.iterations or _iterations(schedule, pieces, batch)
    plan = Plan(sides, batch, samples, iterations, params.width, schedule.networks)
    while free_mb is not None and estimate_training_mb(plan, cohort) > free_mb:
        if plan.batch <= _SMALLEST_BATCH:
            raise Refused(
                f"the training needs about {estimate_training_mb(plan, cohort):.0f} MB and {free_mb:.0f} MB are free; "
                "close other programs, or use --profile instant"
            )
        plan = replace(plan, batch=plan.batch // 2)
    return plan


def estimate_training_mb(plan: Plan, cohort: Cohort) -> float:
    """About the peak memory of the training, in MB: samples, activations of all networks and their gradients."""
    voxels = plan.batch * math.prod(plan.sides)
    activations = _BYTES_A_VOXEL_AND_CHANNEL[cohort.dimensions] * plan.networks * plan.width * voxels
    classes = 6 * 4 * cohort.classes.count * voxels  # logits, probabilities, truth, and their gradients
    samples = 2 * plan.samples * sample_bytes(plan.sides, cohort.channels)  # as they are, and as an attacker has them
    return _FIXED_MB + (activations + classes + samples) / 2**20


def sample_bytes(sides: tuple[int, ...], channels: int) -> int:
    """Of one prepared sample: image, bound and what hides stripes as float32, class and contour."""
    return math.prod(sides) * (8 * channels + 7)


def free_mb(device: str) -> float | None:
    """Memory that is free on the device, in MB; None where the system does not say."""
    if device != "cpu":
        import torch

        return torch.cuda.mem_get_info()[0] / 2**20
    table = Path("/proc/meminfo")
    if not table.exists():
        return None
    available = next(line for line in table.read_text().splitlines() if line.startswith("MemAvailable"))
    return int(available.split()[1]) / 2**10


def _iterations(schedule: Schedule, pieces: int, batch: int) -> int:
    return min(max(schedule.fewest_iterations, schedule.epochs * pieces // batch), schedule.most_iterations)


def _patch_side(wanted: int, dimensions: int) -> int:
    multiple = _MULTIPLE[dimensions]
    return max(_SMALLEST_SIDE[dimensions], -(-wanted // multiple) * multiple)
