"""What was done to a case: the part that may be handed out with the image. Nothing in it undoes the protection."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from .case import Case
from .quality import Quality
from .window import Windows
from .window_rules import channel_figures, units_of

FORMAT = "medunlearnable-record/1"
NOT_FOR_DIAGNOSIS = "derived image, not for diagnosis; protected is not de-identified"


@dataclass(frozen=True)
class Record:
    """JSON-ready account of one protected case. Stored units unless the name says otherwise."""

    case: str
    state: str  # "protected" or "unchanged" (no segment had a voxel)
    method: str
    profile: str
    version: str  # of this software
    parameters: dict[str, Any]
    seed_id: str
    window: tuple[float, float]  # stored units
    units: str  # of `max_change_physical`: HU, or empty
    budget: float
    psnr_db: float | None
    ssim: float
    max_change: float
    max_change_physical: float
    share_changed: float
    voxels_sha256: str
    seconds: float
    warnings: tuple[str, ...] = ()
    burned_in: bool = False  # marks that can be seen are in the pixels, which DICOM wants said
    #: window, units, budget and max_change of each channel that has its own; what stands above is then the first window
    channels: tuple[dict[str, Any], ...] = ()
    notice: str = NOT_FOR_DIAGNOSIS
    format: str = field(default=FORMAT)

    @classmethod
    def of(
        cls,
        case: Case,
        image: NDArray[Any],
        windows: Windows,
        budgets: Sequence[float],
        quality: Quality,
        *,
        method: str,
        profile: str,
        parameters: dict[str, Any],
        seed_id: str,
        seconds: float,
        warnings: Sequence[str],
        burned_in: bool = False,
    ) -> Record:
        """Of a case that has become `image`; `warnings` are the method's, those of the source come first.

        `windows` and `budgets` (stored units) by channel; both are empty where nothing was to be changed.
        """
        return cls(
            case=case.id,
            state="protected" if quality.share_changed else "unchanged",
            method=method,
            profile=profile,
            version=__version__,
            parameters=parameters,
            seed_id=seed_id,
            window=(windows[0].lo, windows[0].hi) if windows else (0.0, 0.0),
            units=units_of(case),
            budget=max(budgets, default=0.0),
            psnr_db=quality.psnr_db,
            ssim=quality.ssim,
            max_change=quality.max_change,
            max_change_physical=quality.physical(case),
            share_changed=quality.share_changed,
            voxels_sha256=voxels_sha256(image),
            seconds=seconds,
            warnings=case.warnings + tuple(warnings),
            burned_in=burned_in,
            channels=channel_figures(case, windows, budgets, quality.channel_changes),
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Record:
        known: dict[str, Any] = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        for name in known.keys() & {"window", "warnings", "channels"}:
            known[name] = tuple(known[name])
        return cls(**known)


@dataclass(frozen=True)
class Protected:
    """A case, what became of its image (same shape and dtype), and the record.

    `secrets`, JSON-ready: what only the holder of a key may read, for the certificate's encrypted part.
    """

    case: Case
    image: NDArray[Any]
    record: Record
    secrets: dict[str, Any] = field(default_factory=dict)


def voxels_sha256(image: NDArray[Any]) -> str:
    """SHA-256 of the voxels alone: little-endian, C order [C, D, H, W]."""
    digest = hashlib.sha256()
    for channel in image:
        for plane in channel:
            digest.update(np.ascontiguousarray(plane, dtype=plane.dtype.newbyteorder("<")).data)
    return digest.hexdigest()
