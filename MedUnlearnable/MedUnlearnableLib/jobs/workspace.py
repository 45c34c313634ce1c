"""The workspace of a run: what a method keeps lies in the job folder and outlives a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..engine.method import State, Workspace
from ..engine.progress import Progress
from ..engine.team import Team
from ..files.volume import PRIVATE_MODE, read_json, write_json

KEPT_FILE = "training.json"


class FolderWorkspace(Workspace):
    """A workspace in `folder`, which is private."""

    def __init__(self, folder: Path, progress: Progress, device: str, team: Team) -> None:
        super().__init__(progress, device, team)
        self._folder = folder

    def kept(self) -> State | None:
        path = self._folder / KEPT_FILE
        return State.from_json(read_json(path)) if path.exists() else None

    def keep(self, state: State) -> None:
        write_json(self._folder / KEPT_FILE, state.to_json(), mode=PRIVATE_MODE)

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Memory-mapped: it may be larger than the memory."""
        path = self._folder / f"{name}.npy"
        if not path.exists():
            path.touch(PRIVATE_MODE)
            return np.lib.format.open_memmap(path, "w+", np.dtype(dtype), shape)
        return np.lib.format.open_memmap(path, "r+")
