"""One run as data. Panel, console and command line build it; the worker does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files.cases import CaseFiles
from ..files.volume import PRIVATE_MODE, read_json, write_json

_FORMAT = "medunlearnable-job/1"
JOB_FILE = "job.json"


@dataclass(frozen=True)
class Job:
    """What to do with which files. `out` may be handed out; `private` (key, input hashes) stays with the owner."""

    method: str  # "umed"
    cases: tuple[CaseFiles, ...]
    out: Path
    private: Path
    profile: str = "auto"
    epsilon: float | None = None  # fraction of the window; None: the profile's default, or the state's
    window: str | None = None  # auto, ct, mr or LO,HI; None: auto, or the state's
    seed: int | None = None  # None: a fresh secret one
    device: str = "auto"
    state: Path | None = None  # protect with this saved state
    save_state: Path | None = None

    def write(self, folder: Path) -> Path:
        """Writes job.json into `folder` and returns its path."""
        path = folder / JOB_FILE
        write_json(path, {"format": _FORMAT, **self.to_json()}, mode=PRIVATE_MODE)  # a seed is a key
        return path

    @classmethod
    def read(cls, path: Path) -> Job:
        data = read_json(path)
        data.pop("format")
        cases = tuple(CaseFiles.from_json(case) for case in data.pop("cases"))
        for name in ("out", "private", "state", "save_state"):
            data[name] = Path(data[name]) if data[name] else None
        return cls(cases=cases, **data)

    def to_json(self) -> dict[str, Any]:
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        paths = {name: str(value) for name, value in data.items() if isinstance(value, Path)}
        return {**data, **paths, "cases": [case.to_json() for case in self.cases]}
