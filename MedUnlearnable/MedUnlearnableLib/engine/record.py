"""What was done to a case: the part that may be handed out with the image. Nothing in it undoes the protection."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .case import Case

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
