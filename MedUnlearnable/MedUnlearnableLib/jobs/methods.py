"""From the words of a job to a method object: profile, device, seed, saved state."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..engine import medlocker, salm, umed
from ..engine.case import CaseSource
from ..engine.errors import Refused, UsageError
from ..engine.forecast import Forecast, forecast
from ..engine.method import Method, State
from ..engine.progress import Progress
from ..engine.streams import RandomStreams
from ..engine.umed.cost import TrainingCost
from ..engine.window_rules import WindowSetting
from ..files.volume import read_json
from .job import Job

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class MethodKind:
    """How jobs get at a method. `choices`: epsilon, window and the method's own parameters, as far as given.

    training_cost, forecast: of a training that lies ahead, for methods that can tell.
    """

    name: str
    profiles: tuple[str, ...]
    trained_profiles: tuple[str, ...]  # those that need PyTorch to train
    torch_profiles: tuple[str, ...]  # those that need it to protect with a saved state, too
    auto_profile: Callable[[Job], tuple[str, str]]  # the profile to take, and why
    refuse_bad_choices: Callable[[Mapping[str, Any]], object]
    new: Callable[[str, Mapping[str, Any], RandomStreams], Method]  # profile, choices, seed
    from_state: Callable[..., Method]
    training_cost: Callable[..., TrainingCost] | None = None  # method, cases, workspace
    forecast: Callable[[CaseSource, np.random.Generator, Progress], Forecast] | None = None

    def trains(self, method: Method, job: Job) -> bool:
        """Whether the job has to train before it protects."""
        return job.state is None and method.params.profile in self.trained_profiles


METHODS = {
    "umed": MethodKind(
        name=umed.METHOD,
        profiles=umed.PROFILES,
        trained_profiles=umed.TRAINED_PROFILES,
        torch_profiles=("paper",),
        auto_profile=lambda job: ("instant", "it needs no training, and none holds against strong augmentation"),
        refuse_bad_choices=lambda choices: umed.UMedParams(**choices),
        new=lambda profile, choices, streams: umed.UMed(umed.UMedParams(profile=profile, **choices), streams),
        from_state=umed.UMed.from_state,
        training_cost=umed.UMed.training_cost,
        forecast=forecast,
    ),
    "salm": MethodKind(
        name=salm.METHOD,
        profiles=salm.PROFILES,
        trained_profiles=salm.TRAINED_PROFILES,
        torch_profiles=salm.TRAINED_PROFILES,
        auto_profile=lambda job: ("standard", "measured to hold best, and needs no training"),
        refuse_bad_choices=lambda choices: salm.SALMParams(**choices),
        new=lambda profile, choices, streams: salm.SALM(salm.SALMParams(profile=profile, **choices), streams),
        from_state=salm.SALM.from_state,
    ),
    "medlocker": MethodKind(
        name=medlocker.METHOD,
        profiles=medlocker.PROFILES,
        trained_profiles=medlocker.TRAINED_PROFILES,
        torch_profiles=medlocker.TRAINED_PROFILES,
        auto_profile=lambda job: medlocker.auto_profile(
            len(job.parameters.get("models", ())), sum(case.classes is not None for case in job.cases)
        ),
        refuse_bad_choices=lambda choices: _medlocker_params(choices),
        new=lambda profile, choices, streams: medlocker.MedLocker(
            _medlocker_params({"profile": profile, **choices}), streams
        ),
        from_state=medlocker.MedLocker.from_state,
    ),
}


def _medlocker_params(choices: Mapping[str, Any]) -> medlocker.MedLockerParams:
    if "epsilon" in choices:
        raise UsageError("MedLocker's mark is meant to be seen and has no budget; leave --epsilon out")
    return medlocker.MedLockerParams(**choices)


def build(job: Job) -> tuple[Method, str]:
    """The method with its parameters, and why this profile was taken. Refuses one that needs PyTorch without it."""
    method, why = choose(job)
    if reason := missing_torch(job, method):
        raise Refused(reason)
    return method, why


def choose(job: Job) -> tuple[Method, str]:
    """As `build`, PyTorch or not."""
    refuse_bad_request(job)
    kind, choices = METHODS[job.method], choices_of(job)
    if job.state is not None:
        method, why = _saved(kind, job.state, choices), f"as saved in {job.state.name}"
    else:
        profile, why = kind.auto_profile(job) if job.profile == "auto" else (job.profile, "asked for")
        streams = RandomStreams.fresh() if job.seed is None else RandomStreams.from_number(job.seed)
        method = kind.new(profile, choices, streams)
    return method, why


def missing_torch(job: Job, method: Method) -> str:
    """What to do, where the run needs PyTorch and there is none; else nothing."""
    kind, profile = METHODS[job.method], method.params.profile
    needed = kind.trains(method, job) or profile in kind.torch_profiles
    return _missing_torch(f"profile {profile}") if needed else ""


def refuse_bad_request(job: Job) -> None:
    """What is wrong with the words alone; needs no file. Called before a job starts, too."""
    if job.method not in METHODS:
        raise UsageError(f"method {job.method} is unknown; this version has: {', '.join(METHODS)}")
    kind = METHODS[job.method]
    if job.profile not in ("auto", *kind.profiles):
        raise UsageError(f"--profile {job.profile} is unknown; {kind.name} has: auto, {', '.join(kind.profiles)}")
    if job.device not in DEVICES:
        raise UsageError(f"--device {job.device} is unknown; give one of {', '.join(DEVICES)}")
    if job.state is not None and job.seed is not None:
        raise UsageError("--state brings its own key, so --seed cannot be given with it; leave one out")
    kind.refuse_bad_choices(choices_of(job))
    if job.device == "cuda":
        _refuse_without_cuda()


def choices_of(job: Job) -> dict[str, Any]:
    """What the user chose, in the words of the method's parameters; what was left open is left out."""
    choices = dict(job.parameters)
    if job.epsilon is not None:
        choices["epsilon"] = job.epsilon
    if job.window is not None:
        choices["window"] = WindowSetting.parse(job.window)
    return choices


def _saved(kind: MethodKind, path: Path, choices: Mapping[str, Any]) -> Method:
    data = read_json(path)
    try:
        return kind.from_state(State.from_json(data), **choices)
    except Refused as error:
        raise Refused(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError):
        raise Refused(f"{path}: the saved state is damaged; take a copy of it, or start without --state") from None


def _refuse_without_cuda() -> None:
    if reason := _missing_torch("--device cuda"):
        raise Refused(reason)
    import torch

    if not torch.cuda.is_available():
        raise Refused("--device cuda: this machine has no CUDA device that PyTorch can use; use --device auto or cpu")


def _missing_torch(what: str) -> str:
    if importlib.util.find_spec("torch") is not None:
        return ""
    return (
        f"{what} needs PyTorch, which is not installed; in Slicer install the extension PyTorch, elsewhere "
        "`pip install torch`; profile instant does without"
    )
