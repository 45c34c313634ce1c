"""From the words of a job to a method object: profile, device, seed, saved state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..engine.errors import Refused, UsageError
from ..engine.streams import RandomStreams
from ..engine.umed import METHOD, PROFILES, UMed, UMedParams
from ..engine.window_rules import WindowSetting
from ..files.volume import read_json
from .job import Job

METHOD_NAMES = {"umed": METHOD}
DEVICES = ("auto", "cpu", "cuda")


def build(job: Job) -> tuple[UMed, str]:
    """The method with its parameters, and why this profile was taken."""
    refuse_bad_request(job)
    changes: dict[str, Any] = {}
    if job.epsilon is not None:
        changes["epsilon"] = job.epsilon
    if job.window is not None:
        changes["window"] = WindowSetting.parse(job.window)
    if job.state is not None:
        return _saved(job.state, changes), f"as saved in {job.state.name}"
    profile, why = _profile(job)
    streams = RandomStreams.fresh() if job.seed is None else RandomStreams.from_number(job.seed)
    return UMed(UMedParams(profile=profile, **changes), streams), why


def refuse_bad_request(job: Job) -> None:
    """What is wrong with the words alone; needs no file. Called before a job starts, too."""
    if job.method not in METHOD_NAMES:
        raise UsageError(f"method {job.method} is unknown; this version has: {', '.join(METHOD_NAMES)}")
    if job.profile not in ("auto", *PROFILES):
        raise UsageError(f"--profile {job.profile} is unknown; UMed has: auto, {', '.join(PROFILES)}")
    if job.device not in DEVICES:
        raise UsageError(f"--device {job.device} is unknown; give one of {', '.join(DEVICES)}")
    if job.state is not None and job.seed is not None:
        raise UsageError("--state brings its own key, so --seed cannot be given with it; leave one out")
    if job.window is not None:
        WindowSetting.parse(job.window)
    if job.epsilon is not None:
        UMedParams(epsilon=job.epsilon)
    if job.device == "cuda":
        _refuse_without_cuda()


def _saved(path: Path, changes: dict[str, Any]) -> UMed:
    state = read_json(path)
    try:
        return UMed.from_state(state, **changes)
    except Refused as error:
        raise Refused(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError):
        raise Refused(f"{path}: the saved state is damaged; take a copy of it, or start without --state") from None


def _profile(job: Job) -> tuple[str, str]:
    if job.profile != "auto":
        return job.profile, "asked for"
    return "instant", "the only profile of UMed in this version; it needs no training"


def _refuse_without_cuda() -> None:
    try:
        import torch
    except ModuleNotFoundError:
        raise Refused(
            "--device cuda needs PyTorch, which is not installed; use --device auto, or install torch"
        ) from None
    if not torch.cuda.is_available():
        raise Refused("--device cuda: this machine has no CUDA device that PyTorch can use; use --device auto or cpu")
