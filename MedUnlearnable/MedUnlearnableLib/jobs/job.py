"""One run as data. Panel, console and command line build it; the worker does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files.cases import CaseFiles
from ..files.nnunet import left_out
from ..files.volume import PRIVATE_MODE, read_json, write_json

_FORMAT = "medunlearnable-job/1"
JOB_FILE = "job.json"
_PATHS = ("out", "private", "state", "save_state", "image", "label", "more_channels", "root")


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
    parameters: Mapping[str, Any] = field(default_factory=dict)  # the method's own choices, JSON-ready
    key: str | None = None  # public key of who signs the certificates; the private one never stands here
    recipient: tuple[str, ...] = ()  # who may restore besides: public keys, and "passphrase" for one

    def write(self, folder: Path) -> Path:
        """Writes job.json into `folder` and returns its path."""
        path = folder / JOB_FILE
        data = {"format": _FORMAT, "working_folder": str(Path.cwd()), **self.to_json()}
        write_json(path, data, mode=PRIVATE_MODE)  # a seed is a key
        return path

    @classmethod
    def read(cls, path: Path) -> Job:
        data = read_json(path)
        del data["format"], data["working_folder"]
        cases = tuple(CaseFiles.from_json(case) for case in data.pop("cases"))
        for name in ("out", "private", "state", "save_state"):
            data[name] = Path(data[name]) if data[name] else None
        return cls(cases=cases, recipient=tuple(data.pop("recipient")), **data)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be said of the cases as a whole, one sentence each."""
        images = [path for case in self.cases for path in case.images]
        roots = {case.root for case in self.cases if case.root}
        return tuple(sentence for root in sorted(roots) if (sentence := left_out(root, images)))

    def differences(self, path: Path) -> list[str]:
        """The options in which the job written at `path` differs; relative paths count from where each was started."""
        stored = read_json(path)
        theirs = _flat(_with_whole_paths(stored, Path(stored["working_folder"])))
        ours = _flat(_with_whole_paths(self.to_json(), Path.cwd()))
        names = [name for name in ours if ours[name] != theirs.get(name)]
        return ["--images or --labels" if name == "cases" else f"--{name.replace('_', '-')}" for name in names]

    def to_json(self) -> dict[str, Any]:
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        paths = {name: str(value) for name, value in data.items() if isinstance(value, Path)}
        data["parameters"], data["recipient"] = dict(self.parameters), list(self.recipient)
        return {**data, **paths, "cases": [case.to_json() for case in self.cases]}


def _flat(data: dict[str, Any]) -> dict[str, Any]:
    """The method's own choices beside the others."""
    return {**data, **data["parameters"]} | {"parameters": None}


def _with_whole_paths(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A job in JSON, with its paths as they are from anywhere."""

    def whole(name: str, value: Any) -> Any:
        if isinstance(value, list):
            return [whole(name, one) for one in value]
        return str((folder / value).resolve()) if value and name in _PATHS else value

    cases = [{name: whole(name, value) for name, value in case.items()} for case in data["cases"]]
    return {**{name: whole(name, value) for name, value in data.items()}, "cases": cases}
