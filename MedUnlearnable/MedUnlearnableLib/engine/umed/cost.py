"""What a training takes, before it begins: memory by formula, time from a few iterations on random numbers."""

from __future__ import annotations

import importlib.util
import statistics
import time
from dataclasses import dataclass, replace

import numpy as np

from ..attack import AttackSettings
from ..streams import RandomStreams
from .carrier_search import TRIALS, trial
from .cohort import Cohort
from .params import UMedParams
from .plan import Plan, estimate_training_mb
from .samples import Samples, sample_dtype

_SECONDS_TIMED = 5.0
_ITERATIONS_TIMED = 10


@dataclass(frozen=True)
class TrainingCost:
    """seconds: about and at most, of the iterations alone and by one process; None where PyTorch is missing."""

    plan: Plan  # of each training
    trainings: int
    device: str
    memory_mb: float  # of the device
    seconds: float | None


def training_cost(cohort: Cohort, plan: Plan, params: UMedParams, device: str) -> TrainingCost:
    """Runs iterations of these sizes for a few seconds, and throws away what they learned."""
    seconds = None
    if importlib.util.find_spec("torch") is not None:
        samples = _random_samples(cohort, replace(plan, samples=plan.batch), RandomStreams.fresh().generator("samples"))
        took = _seconds_of_a_search if params.profile == "standard" else _seconds_of_a_joint_training
        seconds = took(cohort, plan, params, device, samples)
    trainings = len(TRIALS) if params.profile == "standard" else 1
    return TrainingCost(plan, trainings, device, estimate_training_mb(plan, cohort), seconds)


def _seconds_of_a_search(cohort: Cohort, plan: Plan, params: UMedParams, device: str, samples: Samples) -> float:
    """From two short trials: what the longer one takes longer is that of the iterations it has more."""

    def seconds(layout: str, attacker: AttackSettings, iterations: int) -> float:
        began = time.perf_counter()
        trial(samples, layout, attacker, replace(plan, iterations=iterations), params.budget_share, device)
        return time.perf_counter() - began

    (layout, attacker), more = TRIALS[1], _ITERATIONS_TIMED // 2  # the second is that of the slowest attackers
    seconds(layout, attacker, 1)  # sets up what the next ones find there
    start = seconds(layout, attacker, 1)
    iteration = max(0.0, seconds(layout, attacker, 1 + more) - start) / more
    return len(TRIALS) * (start + plan.iterations * iteration)


def _seconds_of_a_joint_training(
    cohort: Cohort, plan: Plan, params: UMedParams, device: str, samples: Samples
) -> float:
    from .joint_training import JointTraining

    training = JointTraining(cohort, plan, params.budget_share, RandomStreams.fresh(), device)

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
    return plan.iterations * statistics.median(times) * plan.batch / len(batch)


def _random_samples(cohort: Cohort, plan: Plan, random: np.random.Generator) -> Samples:
    """What takes as long as real samples."""
    samples = np.zeros(plan.samples, sample_dtype(cohort, plan))
    for name in samples.dtype.names or ():
        field = samples[name]
        below = cohort.classes.count if field.dtype.kind == "i" else 2
        whole = field.dtype.kind != "f"
        field[...] = random.integers(below, size=field.shape) if whole else random.uniform(0.1, 0.9, field.shape)
    return samples
