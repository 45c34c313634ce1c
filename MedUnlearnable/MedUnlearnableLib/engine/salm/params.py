"""The choices of a SALM run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ..classifiers import CLASSIFIERS
from ..errors import UsageError
from ..window_rules import WindowSetting

PROFILES = ("instant", "standard", "paper")
TRAINED_PROFILES = ("paper",)  # those that need PyTorch
#: Default budget by profile, a fraction of the window.
DEFAULT_EPSILON = {"instant": 4 / 255, "standard": 5 / 255, "paper": 8 / 255}
#: Default share of the allowed pixels that a mask takes; of `paper` in one step, its cap is a parameter of its own.
DEFAULT_SHARE = {"instant": 0.3, "standard": 0.25, "paper": 0.3}
REGIONS = ("all", "inside", "outside", "band")
REFRESHES = ("step", "round", "once")
NOISES = ("sample", "class")
UNITS = ("slice", "volume")


@dataclass(frozen=True)
class MinMinParams:
    """Error-minimizing noise under a sparse mask. Defaults: those of its published relatives, where they agree."""

    refresh: str = "step"  # when the mask is chosen anew: every gradient step, every round, or once
    cap: float = 0.45  # share of the allowed pixels that may be touched in the end
    noise: str = "sample"  # each sample has noise of its own, or all of a class share it
    unit: str = "slice"  # what a sample is: a slice along k, or a whole volume
    surrogates: tuple[str, ...] = ("cnn",)  # of classifiers.CLASSIFIERS, taken in turns round by round
    width: int = 16  # channels of the surrogates
    noise_steps: int = 10  # of each sample in a round
    step_share: float = 0.2  # length of a step, share of epsilon
    network_steps: int = 10  # of the surrogate in a round
    batch_size: int = 128  # also how many samples are optimized at once
    learning_rate: float = 0.1
    stop_error: float = 0.01  # share of protected samples that the surrogate gets wrong
    least_rounds: int = 8  # an easy task is learned before there is much noise: 3 left 0.84 where 8 left 0.62
    most_rounds: int = 30

    def __post_init__(self) -> None:
        for name, known in (("refresh", REFRESHES), ("noise", NOISES), ("unit", UNITS)):
            if getattr(self, name) not in known:
                raise UsageError(f"unknown {name} {getattr(self, name)!r}; known are {', '.join(known)}")
        for surrogate in self.surrogates:
            if surrogate not in CLASSIFIERS:
                raise UsageError(f"unknown surrogate {surrogate!r}; known are {', '.join(CLASSIFIERS)}")
        if not self.surrogates:
            raise UsageError("at least one surrogate is needed")
        if not 1 <= self.least_rounds <= self.most_rounds:
            raise UsageError("least_rounds must be at least 1 and at most most_rounds")
        if not 0 < self.cap <= 1:
            raise UsageError(f"the cap is a share above 0, at most 1, not {self.cap:g}")


@dataclass(frozen=True)
class SALMParams:
    """epsilon: fraction of the window; share: of the allowed pixels that a mask takes."""

    profile: str = "instant"
    epsilon: float | None = None  # None: the profile's default
    window: WindowSetting = field(default_factory=WindowSetting)
    region: str = "all"
    share: float | None = None  # None: the profile's default
    min_min: MinMinParams = field(default_factory=MinMinParams)  # of profile paper

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise UsageError(
                f"--profile {self.profile} is unknown; this version of SALM has: auto, {', '.join(PROFILES)}"
            )
        if self.region not in REGIONS:
            raise UsageError(f"--region {self.region} is unknown; give one of {', '.join(REGIONS)}")
        for name, defaults in (("epsilon", DEFAULT_EPSILON), ("share", DEFAULT_SHARE)):
            if getattr(self, name) is None:
                object.__setattr__(self, name, defaults[self.profile])
        if not 0 < self.budget_share <= 1:
            raise UsageError(
                f"--epsilon {self.budget_share * 255:g} is out of range; give a number above 0, at most 255"
            )
        if not 0 < self.mask_share <= 1:
            raise UsageError(f"the share of pixels is above 0 and at most 1, not {self.mask_share:g}")

    @property
    def budget_share(self) -> float:
        """epsilon, filled in."""
        assert self.epsilon is not None
        return self.epsilon

    @property
    def mask_share(self) -> float:
        """share, filled in."""
        assert self.share is not None
        return self.share

    def to_json(self) -> dict[str, Any]:
        values = asdict(self)
        values["window"] = str(self.window)
        values["min_min"]["surrogates"] = list(self.min_min.surrogates)
        if self.profile != "paper":
            del values["min_min"]  # says nothing about this run
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> SALMParams:
        values = dict(values)
        min_min = values.pop("min_min", {})
        if min_min:
            min_min = {**min_min, "surrogates": tuple(min_min["surrogates"])}
        window = WindowSetting.parse(values.pop("window"))
        return cls(window=window, min_min=MinMinParams(**min_min), **values)
