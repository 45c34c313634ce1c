"""What a training takes, before it begins: memory by formula, time from a few iterations on random numbers."""

from __future__ import annotations

import importlib.util
import statistics
import time
from dataclasses import dataclass, replace

import numpy as np

from ..streams import RandomStreams
from .cohort import Cohort
from .examiner import Examiner
from .params import UMedParams
from .plan import Plan, estimate_training_mb
from .recipes import RECIPES
from .samples import Samples, sample_dtype

_SECONDS_TIMED = 5.0
_ITERATIONS_TIMED = 10


@dataclass(frozen=True)
class TrainingCost:
    """seconds: about and at most, of the iterations alone and by one process; None where PyTorch is missing."""

    plan: Plan
    device: str
    memory_mb: float  # of the device
    seconds: float | None


def training_cost(cohort: Cohort, plan: Plan, params: UMedParams, device: str) -> TrainingCost:
    """Runs iterations of these sizes for a few seconds, and throws away what they learned."""
    seconds = None
    if importlib.util.find_spec("torch") is not None:
        examined = Examiner(RECIPES[params.profile].examined_every).iterations_beside(plan.iterations)
        seconds = (plan.iterations + examined) * _seconds_an_iteration(cohort, plan, params, device)
    return TrainingCost(plan, device, estimate_training_mb(plan, cohort), seconds)


def _seconds_an_iteration(cohort: Cohort, plan: Plan, params: UMedParams, device: str) -> float:
    from .joint_training import JointTraining
    from .noise import Ports

    recipe, streams = RECIPES[params.profile], RandomStreams.fresh()
    ports = Ports.of(cohort, recipe.told_labels)
    training = JointTraining(ports, plan, recipe, params.budget_share, streams, device)
    samples = _random_samples(cohort, replace(plan, samples=plan.batch), streams.generator("samples"))

    def seconds(batch: Samples) -> float:
        began = time.perf_counter()
        training.gradients(batch)
        training.step()
        return time.perf_counter() - began

    seconds(samples[:1])  # sets up what the next ones find there
    batch = samples if seconds(samples[:1]) * plan.batch < _SECONDS_TIMED else samples[:1]
    times = [seconds(batch)]
    while sum(times) < _SECONDS_TIMED and len(times) < _ITERATIONS_TIMED:
        times.append(seconds(batch))
    return statistics.median(times) * plan.batch / len(batch)


def _random_samples(cohort: Cohort, plan: Plan, random: np.random.Generator) -> Samples:
    """What takes as long as real samples."""
    samples = np.zeros(plan.samples, sample_dtype(cohort, plan))
    for name in samples.dtype.names or ():
        field = samples[name]
        below = cohort.classes.count if field.dtype.kind == "i" else 2
        whole = field.dtype.kind != "f"
        field[...] = random.integers(below, size=field.shape) if whole else random.uniform(0.1, 0.9, field.shape)
    return samples
