"""What every method has in common: it learns on a cohort, protects one case at a time, and can be saved."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .case import Case, CaseSource
from .errors import Refused
from .progress import Progress
from .record import Protected
from .streams import RandomStreams
from .team import Team
from .window import IntensityWindow

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class State:
    """What is kept of a method or of its training: `header` is JSON-ready, `arrays` hold weights and moments.

    A state holds the key of its run: keep it secret.
    """

    header: dict[str, Any]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def below(self, header: Mapping[str, Any]) -> State:
        """The same with `header` before its own."""
        return State({**header, **self.header}, self.arrays)

    def to_json(self) -> dict[str, Any]:
        """One JSON object: the header, and the arrays as base64 of their little-endian bytes in C order."""
        arrays = {name: _encoded(array) for name, array in self.arrays.items()}
        return {**self.header, "arrays": arrays} if arrays else self.header

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> State:
        """What `to_json` gave. Raises KeyError, TypeError or ValueError where it is damaged."""
        header = dict(data)
        arrays = header.pop("arrays", {})
        return cls(header, {name: _decoded(array) for name, array in arrays.items()})

    def refuse_other_format(self, expected: str, method: str) -> None:
        found = self.header.get("format")
        if found != expected:
            raise Refused(f"the state has format {found!r}, expected {expected!r}; was it saved by {method}?")


class Workspace:
    """Where a method works: who listens, with whom, which device, what outlives a kill. This one keeps all in memory.

    A training that calls `keep` now and then, and starts from `kept()`, ends with the same bytes however often it was
    interrupted in between. `array` gives scratch space too large for a state.
    """

    def __init__(self, progress: Progress | None = None, device: str = "auto", team: Team | None = None) -> None:
        self.progress = progress or Progress()
        self.team = team or Team()
        self._device = device
        self._kept: State | None = None
        self._arrays: dict[str, NDArray[Any]] = {}

    @cached_property
    def device(self) -> str:
        """PyTorch's name of the device to work on, "cpu" or "cuda"."""
        if self._device != "auto":
            return self._device
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    def kept(self) -> State | None:
        """What `keep` was given last, also by an earlier process; None at the start."""
        return self._kept

    def keep(self, state: State) -> None:
        """Keeps the state of a training, in place of the last one."""
        self._kept = state

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """The array of this name, zero at first; what is written into it stays."""
        if name not in self._arrays:
            self._arrays[name] = np.zeros(shape, dtype)
        return self._arrays[name]


class Parameters(Protocol):
    """The choices of a run, a frozen dataclass of each method."""

    @property
    def profile(self) -> str: ...


class Method(Protocol):
    """A way to protect images. What `protect` gives depends on the case and the state, never on the order of cases."""

    streams: RandomStreams

    @property
    def params(self) -> Parameters: ...

    def fit(self, cases: CaseSource, workspace: Workspace | None = None) -> None:
        """Learns on the cohort. A case that cannot be read is left to `protect`, which says what is wrong with it."""

    def protect(self, case: Case, workspace: Workspace | None = None) -> Protected:
        """One protected case. Raises Refused with one sentence when it cannot be done."""

    def windows(self, case: Case) -> tuple[IntensityWindow, ...]:
        """The window of each channel, after `fit`. Refuses what has none."""

    def state(self) -> State:
        """What `protect` needs for new cases."""

    @classmethod
    def from_state(cls, state: State, **changes: Any) -> Self:
        """The method as it was saved; `changes` replace single parameters."""


def _encoded(array: NDArray[Any]) -> dict[str, Any]:
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    content = base64.b64encode(little.tobytes()).decode()
    return {"dtype": little.dtype.str, "shape": list(array.shape), "base64": content}


def _decoded(data: Mapping[str, Any]) -> NDArray[Any]:
    content = base64.b64decode(data["base64"], validate=True)
    return np.frombuffer(bytearray(content), np.dtype(data["dtype"])).reshape(data["shape"])
