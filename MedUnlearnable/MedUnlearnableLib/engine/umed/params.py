"""The choices of a UMed run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import UsageError
from ..window_rules import WindowSetting

METHOD = "UMed"
PROFILES = ("instant", "standard", "paper")
TRAINED_PROFILES = ("standard", "paper")
#: Default budget by profile, a fraction of the window.
DEFAULT_EPSILON = {"instant": 4 / 255, "standard": 6 / 255, "paper": 4 / 255}
#: Smallest texture bound by profile, as a share of epsilon. 0 leaves smooth tissue unprotected, as published.
TEXTURE_FLOOR = {"instant": 0.75, "standard": 1.0, "paper": 0.0}
#: Largest change in the half of the contour band that lies outside the segments, as a share of epsilon. At half
#: strength there it is learned sooner than without it; without it the fewest voxels change (both measured).
OUTSIDE_SHARE = {"instant": 0.0, "standard": 0.5, "paper": 1.0}
#: Fewer cases than this teach the generators these cases, not the task (our choice).
SMALLEST_COHORT = 16


@dataclass(frozen=True)
class UMedParams:
    """epsilon: fraction of the window; contour_mm: half-width of the contour band, None = three finest pixels.

    texture_floor, outside_share: shares of epsilon, see TEXTURE_FLOOR and OUTSIDE_SHARE. None: the profile's default.
    """

    profile: str = "instant"
    epsilon: float | None = None
    window: WindowSetting = field(default_factory=WindowSetting)
    contour_mm: float | None = None
    texture_floor: float | None = None
    outside_share: float | None = None
    width: int = 16  # channels of the trained networks at full resolution
    iterations: int | None = None  # of the training; None: by the size of the cohort

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise UsageError(
                f"--profile {self.profile} is unknown; this version of UMed has: auto, {', '.join(PROFILES)}"
            )
        by_profile = {"epsilon": DEFAULT_EPSILON, "texture_floor": TEXTURE_FLOOR, "outside_share": OUTSIDE_SHARE}
        for name, defaults in by_profile.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, defaults[self.profile])
        if not 0 < self.budget_share <= 1:
            raise UsageError(
                f"--epsilon {self.budget_share * 255:g} is out of range; give a number above 0, at most 255"
            )
        if self.width < 1 or (self.iterations is not None and self.iterations < 1):
            raise UsageError("width and iterations must be at least 1")

    @property
    def trained(self) -> bool:
        """Whether `fit` trains generators."""
        return self.profile in TRAINED_PROFILES

    @property
    def largest_outside(self) -> float:
        """outside_share, filled in."""
        assert self.outside_share is not None
        return self.outside_share

    @property
    def budget_share(self) -> float:
        """epsilon, filled in."""
        assert self.epsilon is not None
        return self.epsilon

    @property
    def smallest_texture(self) -> float:
        """texture_floor, filled in."""
        assert self.texture_floor is not None
        return self.texture_floor

    def to_json(self) -> dict[str, Any]:
        values = {**asdict(self), "window": str(self.window)}
        if not self.trained:
            del values["width"], values["iterations"]  # say nothing about this run
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> UMedParams:
        return cls(**{**values, "window": WindowSetting.parse(values["window"])})
