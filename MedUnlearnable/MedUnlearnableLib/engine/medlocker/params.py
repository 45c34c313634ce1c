"""The choices of a MedLocker run. All of them are JSON-ready, for jobs and states."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import UsageError
from ..window_rules import WindowSetting

METHOD = "MedLocker"
PROFILES = ("instant", "standard")
TRAINED_PROFILES = ("standard",)
MODES = ("translucent", "sealed")
LESION_POLICIES = ("avoid", "off", "inside")
PLACEMENTS = ("column", "slice", "volume")
MOST_LOGOS = 3
#: Fewer labeled cases teach a target model too little (our choice).
SMALLEST_COHORT = 40


@dataclass(frozen=True)
class MedLockerParams:
    """What the owner chose.

    logo: a text, or a PNG as "data:image/png;base64,...". models: JSON descriptions of target models (targets.py).
    boxes: case to rows of [slice or None, x0, y0, x1, y1], half-open, stored pixels, kept free as segments are, but
    without a margin. margin_mm: kept free around segments. slab_mm: how far beyond the lesions a column reaches.
    """

    profile: str = "standard"  # instant: a keyed place, without any model
    logo: str = "PROTECTED"
    logos: int = 1
    mode: str = "translucent"
    lesions: str = "avoid"
    placement: str = "column"
    margin_mm: float = 3.0
    slab_mm: float = 5.0
    window: WindowSetting = field(default_factory=WindowSetting)
    models: Sequence[str] = ()
    trust_models: bool = False
    boxes: Mapping[str, Sequence[Sequence[int | None]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for option, value, known in (
            ("profile", self.profile, PROFILES),
            ("mode", self.mode, MODES),
            ("lesions", self.lesions, LESION_POLICIES),
            ("placement", self.placement, PLACEMENTS),
        ):
            if value not in known:
                raise UsageError(f"--{option} {value} is unknown; give one of {', '.join(known)}")
        if not 1 <= self.logos <= MOST_LOGOS:
            raise UsageError(f"--logos {self.logos} is out of range; give 1 to {MOST_LOGOS}")
        if min(self.margin_mm, self.slab_mm) < 0:
            raise UsageError("margins are lengths in mm, 0 or more")

    @property
    def public(self) -> dict[str, Any]:
        """What may stand in the record that is handed out: no case, no class, no logo, no path."""
        return {
            "profile": self.profile,
            "logos": self.logos,
            "mode": self.mode,
            "lesions": self.lesions,
            "placement": self.placement,
            "margin_mm": self.margin_mm,
            "slab_mm": self.slab_mm,
            "window": str(self.window),
        }

    def to_json(self) -> dict[str, Any]:
        return {
            **self.public,
            "logo": self.logo,
            "models": list(self.models),
            "trust_models": self.trust_models,
            "boxes": dict(self.boxes),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MedLockerParams:
        return cls(**{**data, "window": WindowSetting.parse(data["window"])})


def auto_profile(models: int, labeled_cases: int) -> tuple[str, str]:
    """The profile to take for so many given models and labeled cases, and why."""
    if importlib.util.find_spec("torch") is None:
        return "instant", "PyTorch is not installed"
    if models:
        return "standard", "a model to mislead is given"
    if labeled_cases >= SMALLEST_COHORT:
        return "standard", f"{labeled_cases} labeled cases are enough to train target models on"
    return "instant", f"no model is given, and {labeled_cases} labeled cases are fewer than {SMALLEST_COHORT}"
